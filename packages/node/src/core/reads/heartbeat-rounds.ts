/**
 * The ticks of a node, and the replies to them. A node sends ticks to its own actors. A leader's tick also begins a round: the
 * heartbeats of its replicators carry it to the followers, whose echoes confirm it. If reads wait, the leader's node sends an
 * additional tick directly to the followers (`node.read_tick`).
 * Owns nothing: `LeaderConfirmation` owns what is confirmed, `LeaderReads` the reads that wait.
 */
import type { Body, LogIndex } from '@conclave/protocol';
import type { LeaderState } from '../leader/index.js';
import type { LocalActors, SessionCheck } from '../local/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { LeaderReads } from './leader-reads.js';

export class HeartbeatRounds {
  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
    private readonly leadership: LeaderState,
    private readonly reads: LeaderReads,
    private readonly session: SessionCheck,
  ) {}

  /** Requests an acknowledgement of each local actor whose tick is due; a leader also begins a round. */
  tick(): void {
    const { state, context, actors } = this;
    const leading = this.isLeader();
    const { term } = state;
    if (actors.isTickDue('log-store'))
      context.sendLocal({ name: 'log-store.tick', body: actors.lastSent('log-store') });
    if (actors.isTickDue('ballot-box')) {
      const { group_id, store_id, session, link, seq } = actors.lastSent('ballot-box');
      context.sendLocal({ name: 'ballot-box.tick', body: { group_id, store_id, session, link, seq, term, leading } });
    }
    if (leading) {
      const isSent = this.repeatOwnMatch();
      const tickId = this.begin();
      if (isSent) this.leadership.confirmation.awaitOwnSession(tickId);
      return;
    }
    this.session.ask();
    if (actors.isTickDue('replicator')) actors.sendReplicatorTick(term, false, 0);
  }

  /** Sends a tick, which also confirms the reads that wait. Returns its id. */
  begin(): number {
    const tickId = this.leadership.confirmation.sendTick();
    this.onSent(tickId);
    return tickId;
  }

  /** This tick has just been sent: the reads that wait get its round. */
  private onSent(tick_id: number): void {
    if (this.leadership.knowsCommitted) this.reads.beginRound(tick_id);
    const { term } = this.state;
    // A leader without other members needs no echo.
    if (this.reads.awaitsSession || this.state.isAlone()) {
      this.context.sendLocal({ name: 'log-store.confirm', body: { ...this.actors.identity, term, tick_id } });
    }
  }

  /** A leader's turn ends: reads that wait get a round. */
  onIdle(): void {
    if (!this.leadership.knowsCommitted || !this.reads.wantsRound) return;
    const { confirmation } = this.leadership;
    this.onSent(confirmation.sendReadTick() ?? confirmation.sendTick());
  }

  /** This peer's log-store had granted no vote in a newer session by then: this peer may count itself. */
  onInForce(body: Body<'node.in_force'>): void {
    if (!this.isLeader() && this.session.onInForce(body)) return;
    if (!this.isLeader() || body.term !== this.state.term) return this.context.drop('in_force_stale');
    this.reads.onInForce(body.tick_id);
    if (this.state.isAlone()) this.onTickConfirmed(body);
  }

  /** The ballot-box has counted a quorum of echoes. */
  onConfirmed(body: Body<'node.confirmed'>): void {
    const isNews = this.isLeader() && this.leadership.confirmation.onSessionsConfirmed(body);
    // What it reports of the tick itself may be known already.
    if (!isNews || !this.leadership.confirmation.isConfirmedTick(body.tick_id)) this.onTickConfirmed(body);
  }

  private onTickConfirmed(body: Pick<Body<'node.confirmed'>, 'term' | 'tick_id'>): void {
    if (!this.isLeader()) return this.context.drop('confirmed_stale');
    if (this.leadership.confirmation.onConfirmed(body)) this.reads.onConfirmed(body.tick_id);
  }

  private isLeader(): boolean {
    return this.state.role === 'leader';
  }

  /** The leader's own store acknowledges again what it has stored. False: its link is full. */
  private repeatOwnMatch(): boolean {
    const { state, actors } = this;
    if (!actors.hasRoom('log-store')) return false;
    actors.sendAppendToLogStore({
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
