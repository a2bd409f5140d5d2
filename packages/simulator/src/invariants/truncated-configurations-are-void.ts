/**
 * After a node has truncated its log, its effective configuration is the last one in what is left and in what it
 * appended with the truncation: a configuration that was truncated has no effect (Raft thesis, section 4.1; DESIGN,
 * section 4).
 */
import type { Instant } from '@conclave/actor/core';
import type { NodeCore } from '@conclave/node';
import type { Body } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { configurationText, sameConfiguration } from './configurations.js';
import { type Invariant, Rule } from './invariant.js';

export class TruncatedConfigurationsAreVoid extends Rule implements Invariant {
  readonly name = 'truncated-configurations-are-void';
  readonly watched = ['node'] as const;
  /** The truncating append that a node has sent to its log-store in this step. */
  private truncated: { readonly from: Actor; readonly body: Body<'log-store.append'> } | undefined;
  private at: Instant | undefined;

  readonly sent = {
    'log-store.append': (body: Body<'log-store.append'>, from: Actor) => {
      if (body.truncate_from > 0 && this.record.appended !== undefined) this.truncated = { from, body };
    },
  };

  onStepping(_actor: Actor, _input: unknown, at: Instant): void {
    this.truncated = undefined;
    this.at = at;
  }

  onStepped(actor: Actor): void {
    const { truncated, at } = this;
    if (truncated?.from !== actor || at === undefined) return;
    this.truncated = undefined;
    const effective = this.record.accepted.of(truncated.body)?.last?.effective?.configuration;
    const { configuration } = (actor.core as unknown as NodeCore).status(at);
    const isSame =
      effective === undefined
        ? configuration === null
        : configuration !== null && sameConfiguration(configuration, effective);
    this.check(
      isSame,
      () =>
        `${actor.name} truncates from entry ${truncated.body.truncate_from} on, and uses ${
          configuration === null ? 'none' : configurationText(configuration)
        }, not by ${effective === undefined ? 'none' : configurationText(effective)}`,
    );
  }
}
