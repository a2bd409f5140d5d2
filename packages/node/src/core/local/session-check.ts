/**
 * When this node last knew that no other node had opened its log-store. A follower that does not know it does not echo its
 * leader: a second node of this peer may have voted for another leader, and the leader must not count the first one for a read.
 * Owns: that time. It is when a message was sent to the log-store that has been acknowledged in this session. A second node votes
 * an election timeout after it has opened the log-store, at the earliest; so for nine tenths of that this node need not ask
 * again. Only with two nodes of one peer does a read rely on clocks that run at about the same rate.
 */
import type { Body } from '@conclave/protocol';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { LocalActors } from './local-actors.js';

/** The share of an election timeout that a lease lasts. */
export const leaseShare = 0.9;

export class SessionCheck {
  private confirmedMs = Number.NEGATIVE_INFINITY;
  private asked: { readonly id: number; readonly sentMs: number } | undefined;
  private lastId = 0;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly own: LocalActors,
  ) {}

  get isConfirmed(): boolean {
    return this.context.nowMs - this.confirmedMs < leaseShare * this.context.options.electionTimeoutMs;
  }

  /** A message that was sent at that time has been acknowledged. */
  recordConfirmed(sentMs: number): void {
    this.confirmedMs = Math.max(this.confirmedMs, sentMs);
  }

  /** Asks the log-store, if it has acknowledged nothing for a while. For each tick, and when the log-store is open. */
  ask(): void {
    const { context, state, own } = this;
    if (context.nowMs - this.confirmedMs < context.options.electionTimeoutMs / 2) return;
    this.lastId += 1;
    this.asked = { id: this.lastId, sentMs: context.nowMs };
    const body = { ...own.identity, term: state.term, tick_id: this.lastId };
    context.sendOwn({ name: 'log-store.confirm', body });
  }

  /** The log-store has answered. @returns whether it was asked */
  onInForce({ tick_id }: Body<'node.in_force'>): boolean {
    if (this.asked?.id !== tick_id) return false;
    this.recordConfirmed(this.asked.sentMs);
    this.asked = undefined;
    return true;
  }
}
