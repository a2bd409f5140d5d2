/**
 * The ticks that a node sends to its own actors, and what they come back with. A leader's tick begins a round: its
 * replicators' heartbeats carry it to the followers, whose echoes confirm it.
 *
 * Owns no state: what is confirmed is Leadership's, who waits for it is Reads'.
 */
import type { Body, LogIndex } from '@conclave/protocol';
import type { ConfigurationChange } from './configuration-change.js';
import type { NodeContext } from './context.js';
import type { Leadership } from './leadership.js';
import type { OwnActors } from './own-actors.js';
import type { OwnSession } from './own-session.js';
import type { Reads } from './reads.js';
import type { NodeState } from './state.js';

export class Rounds {
  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly own: OwnActors,
    private readonly leadership: Leadership,
    private readonly change: ConfigurationChange,
    private readonly reads: Reads,
    private readonly session: OwnSession,
  ) {}

  /** Asks all own actors for a sign of life; a leader also begins a round. */
  tick(): void {
    const { state, context, own } = this;
    const leading = this.isLeader();
    const { term } = state;
    context.sendOwn({ name: 'log-store.tick', body: own.lastSent('log-store') });
    const { group_id, store_id, session, link, seq } = own.lastSent('ballot-box');
    context.sendOwn({ name: 'ballot-box.tick', body: { group_id, store_id, session, link, seq, term, leading } });
    if (leading) {
      const isSent = this.repeatOwnMatch();
      const tickId = this.begin();
      if (isSent) this.leadership.awaitOwnSession(tickId);
      return;
    }
    this.session.ask();
    own.sendReplicatorTick(term, false, 0);
  }

  /** Sends a tick, which also confirms the reads that wait. Answers its id. */
  begin(): number {
    const tick_id = this.leadership.sendTick();
    if (this.change.knowsCommitted) this.reads.beginRound(tick_id);
    const { term } = this.state;
    // Alone, nobody else's echo is needed.
    if (this.reads.awaitsSession || this.state.isAlone()) {
      this.context.sendOwn({ name: 'log-store.confirm', body: { ...this.own.own, term, tick_id } });
    }
    return tick_id;
  }

  /** A leader's mailbox has run dry: reads that wait get a round. */
  onIdle(): void {
    if (this.change.knowsCommitted && this.reads.wantsRound) this.begin();
  }

  /** The own store had not granted a vote to anybody in a newer session by then: this peer may count itself. */
  onInForce(body: Body<'node.in_force'>): void {
    if (!this.isLeader() && this.session.onInForce(body)) return;
    if (!this.isLeader() || body.term !== this.state.term) return this.context.drop('in_force_stale');
    this.reads.onInForce(body.tick_id);
    if (this.state.isAlone()) this.onTickConfirmed(body);
  }

  /** The ballot-box has counted a quorum of echoes. */
  onConfirmed(body: Body<'node.confirmed'>): void {
    const isNews = this.isLeader() && this.leadership.onSessionsConfirmed(body);
    // What it says of the tick itself may have been said before.
    if (!isNews || !this.leadership.isConfirmedTick(body.tick_id)) this.onTickConfirmed(body);
  }

  private onTickConfirmed(body: Pick<Body<'node.confirmed'>, 'term' | 'tick_id'>): void {
    if (!this.isLeader()) return this.context.drop('confirmed_stale');
    if (this.leadership.onConfirmed(body)) this.reads.onConfirmed(body.tick_id);
  }

  private isLeader(): boolean {
    return this.state.role === 'leader';
  }

  /** The leader's own store repeats what it has stored, too. False: its link is full. */
  private repeatOwnMatch(): boolean {
    const { state, own } = this;
    if (!own.hasRoom('log-store')) return false;
    own.sendAppendToLogStore({
      group_uid: state.groupUid,
      leader_id: state.peerId,
      leader_term: state.term,
      verified_index: state.log.lastIndex,
      truncate_from: 0 as LogIndex,
      commit_index: state.commitIndex,
      batches: [],
    });
    return true;
  }
}
