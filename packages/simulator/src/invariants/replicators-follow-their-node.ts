/**
 * A replicator sends nothing to other peers once an election timeout, by its own clock, has passed since the last new
 * tick of its node: it does not keep a dead, paused or fenced leader in its term (DESIGN, section 5).
 */
import type { Instant } from '@conclave/actor/core';
import type { Message } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';

interface Tick {
  readonly term: number;
  readonly id: number;
  readonly atMs: number;
}

export class ReplicatorsFollowTheirNode extends Rule implements Invariant {
  readonly name = 'replicators-follow-their-node';
  readonly watched = ['replicator'] as const;
  readonly inputs = ['replicator.lead', 'replicator.tick'] as const;
  private readonly ticks = new WeakMap<object, Tick>();

  readonly sent = {
    'node.append_entries': (_: unknown, from: Actor) => this.onSends(from),
    'node.timeout_now': (_: unknown, from: Actor) => this.onSends(from),
    'node.identify': (_: unknown, from: Actor) => this.onSends(from),
  };

  onStepping({ kind, core }: Actor, input: unknown, { nowMs }: Instant): void {
    const { message } = input as { readonly message?: Message };
    if (kind !== 'replicator' || message === undefined) return;
    // The start of a term counts as a tick.
    if (message.name === 'replicator.lead') this.ticks.set(core, { term: message.body.term, id: 0, atMs: nowMs });
    if (message.name !== 'replicator.tick' || !message.body.leading) return;
    const { term, tick_id } = message.body;
    const last = this.ticks.get(core);
    const isNew = last === undefined || term > last.term || (term === last.term && tick_id > last.id);
    if (isNew) this.ticks.set(core, { term, id: tick_id, atMs: nowMs });
  }

  private onSends(from: Actor): void {
    if (from.kind !== 'replicator') return;
    const nowMs = this.record.step?.at.nowMs ?? 0;
    const silentMs = nowMs - (this.ticks.get(from.core)?.atMs ?? Number.NEGATIVE_INFINITY);
    this.check(
      silentMs < this.record.electionTimeoutMs(from.peerId),
      () => `${from.name} sends, ${silentMs} ms after the last new tick of its node`,
    );
  }
}
