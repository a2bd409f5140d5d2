/**
 * A leader ends in time what has a deadline: catching up after `timeout_ms`, a joint stage that it has begun itself,
 * and its own leadership after its removal is committed (DESIGN, section 4; promise 1).
 */
import type { Instant } from '@conclave/actor/core';
import { type ConclaveEvent, defaultTimes, type PeerId } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';
import type { Step } from './record/run-record.js';

/** In the run's time: a skewed clock does not change a timer that is already set. */
interface Deadline {
  readonly what: string;
  readonly atMs: number;
  /** A tick was handled after it. After a pause inputs arrive in order, so its timer may be the next one. */
  isPast: boolean;
}

interface Deadlines {
  change: Deadline | undefined;
  leadership: Deadline | undefined;
}

export class LeadersKeepTheirDeadlines extends Rule implements Invariant {
  readonly name = 'leaders-keep-their-deadlines';
  readonly watched = ['node'] as const;
  readonly inputs = ['admin', 'timer'] as const;
  private readonly byActor = new WeakMap<Actor, Deadlines>();
  /** The timeout of the last command, and in which step it arrived. */
  private timeout: { readonly ms: number | undefined; readonly step: Step | undefined } | undefined;

  onStepping(actor: Actor, input: unknown, { wallTimeMs }: Instant): void {
    if (actor.kind !== 'node') return;
    const { type, timer, body } = input as { type: string; timer?: string; body?: { timeout_ms?: number } };
    if (type === 'admin') this.timeout = { ms: body?.timeout_ms, step: this.record.step };
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
        // The replacement of a lost store has no deadline for catching up: no client waits for it.
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
            ? this.deadlineAfter(
                this.record.electionTimeoutMs(peerId),
                actor,
                'leads, and has been removed from the group',
              )
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
      const timeoutMs = this.timeout?.step === this.record.step ? this.timeout?.ms : undefined;
      return this.deadlineAfter(timeoutMs ?? defaultTimes.changeTimeoutMs, actor, 'waits for new peers');
    }
    // A change that an earlier leader began has no deadline.
    if (stage !== 'joint' || !hasBegunIt) return undefined;
    return this.deadlineAfter(defaultTimes.jointTimeoutMs, actor, 'has a change that is joint');
  }

  private deadlineAfter(ms: number, actor: Actor, what: string): Deadline {
    const now = this.record.step?.at.wallTimeMs ?? 0;
    return { what, atMs: now + actor.clock.taken(ms), isPast: false };
  }
}
