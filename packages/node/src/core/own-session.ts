/**
 * How lately this node was sure that no other node has opened its log-store. A follower that is not sure does not echo its
 * leader: a second node of this peer may have voted for another one, and the leader must not count the first for a read.
 *
 * Owns when that was. It is sure as of when it sent what the log-store has acknowledged since, in this session. The second
 * node votes an election timeout after it has opened the log-store, at the earliest; so for nine tenths of that this node
 * need not ask again. Only where two nodes of one peer run does a read so trust that clocks go at about the same rate.
 */
import type { Body } from '@conclave/protocol';
import type { NodeContext } from './context.js';
import { leaseShare } from './leader-lease.js';
import type { OwnActors } from './own-actors.js';
import type { NodeState } from './state.js';

export class OwnSession {
  private sureMs = Number.NEGATIVE_INFINITY;
  private asked: { readonly id: number; readonly sentMs: number } | undefined;
  private lastId = 0;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly own: OwnActors,
  ) {}

  get isSure(): boolean {
    return this.context.nowMs - this.sureMs < leaseShare * this.context.options.electionTimeoutMs;
  }

  /** What was sent at that time has been acknowledged. */
  wasSure(sentMs: number): void {
    this.sureMs = Math.max(this.sureMs, sentMs);
  }

  /** Asks, where nothing else has told it for a while. To be called when the log-store is open, and with each tick. */
  ask(): void {
    const { context, state, own } = this;
    if (context.nowMs - this.sureMs < context.options.electionTimeoutMs / 2) return;
    this.lastId += 1;
    this.asked = { id: this.lastId, sentMs: context.nowMs };
    const body = { ...own.own, term: state.term, tick_id: this.lastId };
    context.sendOwn({ name: 'log-store.confirm', body });
  }

  /** Answers whether it was asked for. */
  onInForce({ tick_id }: Body<'node.in_force'>): boolean {
    if (this.asked?.id !== tick_id) return false;
    this.wasSure(this.asked.sentMs);
    this.asked = undefined;
    return true;
  }
}
