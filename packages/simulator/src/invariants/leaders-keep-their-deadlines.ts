/**
 * A leader ends in time what has a deadline: catching up after `timeout_ms`, a joint stage that it has begun itself,
 * and its own leadership after its removal is committed (DESIGN, section 4; promise 1).
 */
import type { Instant } from '@conclave/actor/core';
import { type ConclaveEvent, defaultTimes, type PeerId } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';

/** By the run's time: clocks are skewed, while a timer that is set takes as long as it was set for. */
interface Deadline {
  readonly what: string;
  readonly atMs: number;
  /** A tick has come after it. What is late by a pause comes in its order, so that its timer may be the next thing. */
  isPast: boolean;
}

interface Deadlines {
  change: Deadline | undefined;
  leadership: Deadline | undefined;
}

export class LeadersKeepTheirDeadlines extends Rule implements Invariant {
  readonly name = 'leaders-keep-their-deadlines';
  readonly watched = ['node'] as const;
  private readonly byActor = new WeakMap<Actor, Deadlines>();
  /** Of the command that is being taken. */
  private timeoutMs: number | undefined;

  onStepping(actor: Actor, input: unknown, { wallTimeMs }: Instant): void {
    if (actor.kind !== 'node') return;
    const { type, timer, body } = input as { type: string; timer?: string; body?: { timeout_ms?: number } };
    this.timeoutMs = type === 'admin' ? body?.timeout_ms : undefined;
    if (timer !== 'tick') return;
    const { change, leadership } = this.byActor.get(actor) ?? {};
    for (const deadline of [change, leadership]) {
      if (deadline === undefined || wallTimeMs <= deadline.atMs) continue;
      this.check(
        !deadline.isPast,
        () => `${actor.name} ${deadline.what}, ${wallTimeMs - deadline.atMs} ms after its deadline`,
      );
      deadline.isPast = true;
    }
  }

  onEvent(peerId: PeerId, _term: number, event: ConclaveEvent): void {
    const actor = this.record.step?.actor;
    if (actor === undefined) return;
    const deadlines = this.byActor.get(actor) ?? { change: undefined, leadership: undefined };
    this.byActor.set(actor, deadlines);
    switch (event.name) {
      case 'stage_changed':
        // A heal that gets on may catch up for as long as it takes: nobody waits for it.
        deadlines.change =
          event.detail.kind === 'heal' && event.detail.stage === 'catching_up'
            ? undefined
            : this.deadlineOf(event.detail.stage, actor, deadlines.change !== undefined);
        return;
      case 'configuration_committed': {
        const { peers, old_peers } = event.detail;
        const isOut = old_peers.length === 0 && !peers.includes(peerId);
        const leads = this.record.step?.message?.name === 'feed.committed';
        deadlines.leadership =
          isOut && leads
            ? this.after(this.record.electionTimeoutMs(peerId), actor, 'leads, and is out of the group')
            : undefined;
        return;
      }
      case 'leader_elected':
      case 'leader_stepped_down':
        deadlines.change = undefined;
        deadlines.leadership = undefined;
        return;
      default:
    }
  }

  private deadlineOf(stage: string, actor: Actor, hasBegunIt: boolean): Deadline | undefined {
    if (stage === 'catching_up') {
      return this.after(this.timeoutMs ?? defaultTimes.changeTimeoutMs, actor, 'waits for new peers');
    }
    // What an earlier leader has begun is finished, however long that takes.
    if (stage !== 'joint' || !hasBegunIt) return undefined;
    return this.after(defaultTimes.jointTimeoutMs, actor, 'has a change that is joint');
  }

  private after(ms: number, actor: Actor, what: string): Deadline {
    const now = this.record.step?.at.wallTimeMs ?? 0;
    return { what, atMs: now + actor.clock.taken(ms), isPast: false };
  }
}
