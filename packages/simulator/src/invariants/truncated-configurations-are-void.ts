/**
 * After a node has truncated its log, its effective configuration is the last one in what is left and in what it
 * appended with the truncation: a configuration that was truncated has no effect (Raft thesis, section 4.1; DESIGN,
 * section 4).
 */
import type { NodeCore } from '@conclave/node';
import type { Body } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { configurationText, sameConfiguration } from './configurations.js';
import { type Invariant, Rule } from './invariant.js';
import type { Step } from './record/run-record.js';

export class TruncatedConfigurationsAreVoid extends Rule implements Invariant {
  readonly name = 'truncated-configurations-are-void';
  readonly watched = ['node'] as const;
  /** The last truncating append that a node has sent to its log-store, and in which step. */
  private truncated: { readonly body: Body<'log-store.append'>; readonly step: Step | undefined } | undefined;

  readonly sent = {
    'log-store.append': (body: Body<'log-store.append'>) => {
      if (body.truncate_from > 0 && this.record.appended !== undefined)
        this.truncated = { body, step: this.record.step };
    },
  };

  onStepped(actor: Actor): void {
    const { truncated } = this;
    if (truncated === undefined || truncated.step !== this.record.step) return;
    this.truncated = undefined;
    const effective = this.record.accepted.of(truncated.body)?.last?.effective?.configuration;
    const { configuration } = actor.core as unknown as NodeCore;
    const isSame =
      effective === undefined
        ? configuration === undefined
        : configuration !== undefined && sameConfiguration(configuration, effective);
    this.check(
      isSame,
      () =>
        `${actor.name} truncates from entry ${truncated.body.truncate_from} on, and uses ${
          configuration === undefined ? 'none' : configurationText(configuration)
        }, not by ${effective === undefined ? 'none' : configurationText(effective)}`,
    );
  }
}
