/**
 * When the log-store last confirmed that this node's session was the current one, which means that no second node of this peer had
 * opened the log-store. A follower echoes its leader's ticks only if that was recently: a second node may have voted for another
 * leader, and the leader must not count the echo of the first one for a read.
 * Owns: that time. It is the send time of the last message to the log-store that was acknowledged in this session. A second node grants
 * no vote for one election timeout after it opened the log-store. So the confirmation is valid for 0.9 election timeouts. If two
 * nodes run for one peer, a read therefore relies on clocks whose rates differ by less than a tenth.
 */
import type { Body } from '@conclave/protocol';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { LocalActors } from './local-actors.js';

/** The share of an election timeout that a lease lasts. */
export const leaseShare = 0.9;

export class SessionCheck {
  private confirmedMs = Number.NEGATIVE_INFINITY;
  private pending: { readonly id: number; readonly sentMs: number } | undefined;
  private lastId = 0;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
  ) {}

  get isConfirmed(): boolean {
    return this.context.nowMs - this.confirmedMs < leaseShare * this.context.options.electionTimeoutMs;
  }

  /** The log-store has acknowledged a message that was sent at `sentMs`, in this session. */
  recordConfirmed(sentMs: number): void {
    this.confirmedMs = Math.max(this.confirmedMs, sentMs);
  }

  /** Asks the log-store whether the session is the current one, unless it has confirmed that within half an election timeout. */
  ask(): void {
    const { context, state, actors } = this;
    if (context.nowMs - this.confirmedMs < context.options.electionTimeoutMs / 2) return;
    this.lastId += 1;
    this.pending = { id: this.lastId, sentMs: context.nowMs };
    const body = { ...actors.identity, term: state.term, tick_id: this.lastId };
    context.sendLocal({ name: 'log-store.confirm', body });
  }

  /** The log-store has confirmed that the session is the current one. @returns whether this is the reply to the latest request */
  onInForce({ tick_id }: Body<'node.in_force'>): boolean {
    if (this.pending?.id !== tick_id) return false;
    this.recordConfirmed(this.pending.sentMs);
    this.pending = undefined;
    return true;
  }
}
