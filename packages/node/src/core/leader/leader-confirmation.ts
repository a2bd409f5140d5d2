/**
 * Whether a leader may still consider itself the only one: its ticks, and the echoes of a quorum that confirm them.
 * A leader is *confirmed* for one election timeout after it sent a tick that a quorum has echoed. It may answer for the group for a
 * shorter time (`isOnlyLeader`) if its ticks permit voters to replace it early (`SuccessorDelay`).
 * Owns: the ticks that were sent, which of them are confirmed, and the lease that follows from them.
 * Invariants:
 * 1. A tick is confirmed only by a quorum's echoes of that tick or of a later one. A leader that is the only member is confirmed by
 *    its own log-store, which does not answer a node any more once another node has opened it.
 * 2. A leader steps down if no quorum has confirmed its ticks for an election timeout, or if one of its own actors has been
 *    silent for an election timeout. In a joint stage that it can roll back, echoes of a majority of the old members are enough.
 */
import {
  allMembers,
  type Body,
  hasQuorum,
  type Member,
  majority,
  type PeerId,
  type Progress,
} from '@conclave/protocol';
import type { LocalActors } from '../local/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import { LeaderLease } from './leader-lease.js';
import { SuccessorDelay } from './successor-delay.js';

export class LeaderConfirmation {
  readonly lease: LeaderLease;
  private readonly successorDelay: SuccessorDelay;
  private tickId = 0;
  private readonly sentMs = new Map<number, number>();
  private confirmedTickId = 0;
  private confirmedMs = 0;
  /**
   * The shortest election timeout of this leader and of its targets: no voter grants another peer a vote sooner, unless a tick permits
   * it (`SuccessorDelay`).
   */
  private shortestTimeoutMs = 0;
  /** The send time of the tick that caused the replicators' last report. */
  private reportedMs = Number.NEGATIVE_INFINITY;
  /** The id of the tick that caused the replicators' last report; 0: no report in this term yet. */
  private reportedTickId = 0;
  /** The send time of the last tick for which this peer's log-store has acknowledged all messages sent to it before that tick. */
  private ownStoredMs = 0;
  /** The members whose majority alone can roll the running change back; undefined: it cannot be rolled back. */
  private rollbackVoters: readonly Member[] | undefined;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
    private readonly progress: (peerId: PeerId) => Progress | undefined,
  ) {
    this.lease = new LeaderLease(context, state);
    this.successorDelay = new SuccessorDelay(context);
  }

  /** This peer has become the leader. */
  begin(): void {
    this.sentMs.clear();
    this.confirmedTickId = this.tickId;
    this.confirmedMs = Number.NEGATIVE_INFINITY;
    this.shortestTimeoutMs = this.context.options.electionTimeoutMs;
    this.ownStoredMs = this.context.nowMs;
    this.rollbackVoters = undefined;
    this.reportedTickId = 0;
    this.lease.begin(this.tickId);
    this.successorDelay.begin();
  }

  /**
   * Called when the joint stage of a change that this leader began in this term starts or ends. During this stage no other peer can
   * be elected without a majority of the old members. A leader that receives the echoes of such a majority may therefore stay,
   * and roll the change back, even if the new members are silent.
   * @param members the old members; undefined: the stage ends
   */
  setRollbackVoters(members: readonly Member[] | undefined): void {
    this.rollbackVoters = members;
  }

  /** The age of `ownStoredMs`. */
  get ownStoredAgeMs(): number {
    return this.context.nowMs - this.ownStoredMs;
  }

  /**
   * An upper bound of the age of the replicators' last report: the time since the tick that caused it was sent. So it includes the time
   * for which the report was in flight or waited in this process.
   */
  get reportAgeMs(): number {
    return this.context.nowMs - this.reportedMs;
  }

  /** Sends a new tick to the replicators, which begins a round of heartbeats. Returns its id. */
  sendTick(): number {
    const { state, context, actors } = this;
    this.tickId += 1;
    this.sentMs.set(this.tickId, context.nowMs);
    actors.sendReplicatorTick(state.term, true, this.tickId, this.permission());
    return this.tickId;
  }

  /**
   * Returns the field `replaceable_after_ms` of the tick that is being sent: after this time the voters may replace this leader early.
   * Undefined: they may not.
   */
  private permission(): number | undefined {
    const mayPermit = !this.lease.isStillInUse() && this.rollbackVoters === undefined && !this.state.isAlone();
    return this.successorDelay.onSending(this.tickId, mayPermit);
  }

  /**
   * Sends a new tick directly to the nodes of the members, for the reads that wait. It does not pass through the replicators, and
   * causes no message to the followers' log-stores. Returns its id; undefined: too few members echo such ticks, because some run
   * an older version.
   */
  sendReadTick(): number | undefined {
    const { state, context } = this;
    const configuration = state.log.configuration?.configuration;
    if (configuration === undefined || !hasQuorum(configuration, (member) => this.answersReadTicks(member)))
      return undefined;
    this.tickId += 1;
    this.sentMs.set(this.tickId, context.nowMs);
    const permission = this.permission();
    for (const member of allMembers(configuration)) {
      if (member.peer_id === state.peerId || !this.answersReadTicks(member)) continue;
      const body = {
        group_id: context.options.groupId,
        group_uid: state.groupUid,
        leader_id: state.peerId,
        term: state.term,
        target_store_id: member.store_id,
        tick_id: this.tickId,
        ...(permission === undefined ? {} : { replaceable_after_ms: permission }),
      };
      context.send(member.peer_id, { name: 'node.read_tick', body });
    }
    return this.tickId;
  }

  private answersReadTicks({ peer_id, store_id }: Member): boolean {
    if (peer_id === this.state.peerId) return store_id === this.state.storeId;
    const progress = this.progress(peer_id);
    return progress?.store_id === store_id && progress.answers_read_ticks === true;
  }

  /** A read asks for the lease. Returns whether it holds. */
  useLease(): boolean {
    this.lease.use(this.tickId);
    return this.lease.holds;
  }

  /** A message was sent to this peer's log-store together with this tick. The acknowledgement of the message extends the lease. */
  awaitOwnSession(tickId: number): void {
    const { state, actors, lease } = this;
    const { term } = state;
    const { nowMs } = this.context;
    lease.onSent(tickId);
    actors.afterSynced(() => {
      if (state.role !== 'leader' || state.term !== term) return;
      this.ownStoredMs = nowMs;
      lease.onOwnSession(tickId);
    });
  }

  /** A configuration entry has been appended. */
  onConfiguration(): void {
    this.lease.onConfiguration(this.tickId);
  }

  /** A quorum has confirmed that this peer led when it sent this tick. Returns false if the message is old or of another term. */
  onConfirmed({ term, tick_id }: Pick<Body<'node.confirmed'>, 'term' | 'tick_id'>): boolean {
    if (term !== this.state.term || tick_id <= this.confirmedTickId || tick_id > this.tickId) {
      this.context.drop('confirmed_stale');
      return false;
    }
    this.confirm(tick_id);
    return true;
  }

  /**
   * The log-stores of a quorum confirmed their sessions after this tick. Returns false if the message is old or of another term.
   */
  onSessionsConfirmed({ term, session_tick_id }: Body<'node.confirmed'>): boolean {
    return term === this.state.term && session_tick_id <= this.tickId && this.lease.onQuorum(session_tick_id);
  }

  /** Whether this tick is the last one that is known to be confirmed. */
  isConfirmedTick(tickId: number): boolean {
    return tickId === this.confirmedTickId;
  }

  private confirm(tickId: number): void {
    this.confirmedMs = this.sentMs.get(tickId) ?? this.confirmedMs;
    this.confirmedTickId = tickId;
    this.successorDelay.onConfirmed(tickId, this.context.nowMs - this.confirmedMs);
    for (const sent of this.sentMs.keys()) {
      if (sent > tickId) break;
      this.sentMs.delete(sent);
    }
  }

  /**
   * Whether no other peer can have been elected yet, so that this leader may answer for the group: it is confirmed, and the time
   * after which its ticks permit voters to replace it early has not passed.
   */
  isOnlyLeader(): boolean {
    if (!this.isConfirmed()) return false;
    if (!this.successorDelay.mayHaveSuccessor) return true;
    // No tick of the last election timeout permitted early votes: a voter of the old members waits for a whole election timeout.
    return (
      this.rollbackVoters !== undefined &&
      this.successorDelay.permittedNoneRecently &&
      this.isMajorityReachable(this.rollbackVoters)
    );
  }

  /**
   * Whether a quorum has confirmed this leader within an election timeout (the shortest one, if peers have different ones). It also
   * counts as confirmed if it receives echoes of a majority of the old members during its joint stage.
   */
  isConfirmed(): boolean {
    if (this.context.nowMs - this.confirmedMs <= this.shortestTimeoutMs) return true;
    return this.rollbackVoters !== undefined && this.isMajorityReachable(this.rollbackVoters);
  }

  private isMajorityReachable(members: readonly Member[]): boolean {
    const { state, context } = this;
    // `silent_ms` counts up to the report: the age of the report is added.
    const sinceMs = this.reportAgeMs;
    const reachable = members.filter(({ peer_id, store_id }) => {
      if (peer_id === state.peerId) return store_id === state.storeId;
      const progress = this.progress(peer_id);
      if (progress === undefined || progress.store_id !== store_id || progress.silent_ms < 0) return false;
      // If the target is rejected, its last message may have come from another store.
      if (progress.refusal !== '') return false;
      // Half of the time for which a voter that received a heartbeat grants no vote.
      return progress.silent_ms + sinceMs <= context.options.electionTimeoutMs / 2;
    });
    return reachable.length >= majority(members.length);
  }

  /** Returns why this leader must step down; undefined: it need not. */
  reasonToStepDown(): string | undefined {
    const { electionTimeoutMs, heartbeatIntervalMs } = this.context.options;
    const silent = this.actors.silent();
    if (silent.length > 0) return `its own ${silent.join(' and ')} is silent`;
    // Time alone is no reason: a process that was paused must first receive the echoes that wait for it.
    const hasSentEnough = this.sentMs.size > electionTimeoutMs / heartbeatIntervalMs;
    return !this.isConfirmed() && hasSentEnough ? 'its quorum is silent' : undefined;
  }

  /**
   * Whether a later tick than this report's has already caused a report. The first report of restarted replicators has the tick id 0,
   * because they have received no tick yet: it is not older.
   */
  isOlderReport({ tick_id = 0 }: Body<'node.progress'>): boolean {
    return tick_id > 0 && tick_id < this.reportedTickId;
  }

  /** The replicators have reported. */
  onProgress({ targets, tick_id }: Body<'node.progress'>): void {
    this.reportedMs = this.reportTime(tick_id);
    this.reportedTickId = Math.max(this.reportedTickId, tick_id ?? 0);
    this.shortestTimeoutMs = Math.min(
      this.context.options.electionTimeoutMs,
      ...targets.map(({ election_timeout_ms = Infinity }) => election_timeout_ms),
    );
  }

  /**
   * Returns when the tick that caused a report was sent. If the tick is no longer in `sentMs`, returns the time of the previous report.
   * @param tickId undefined: replicators of an older version do not report it
   */
  private reportTime(tickId: number | undefined): number {
    if (tickId === undefined) return this.context.nowMs;
    return tickId === this.confirmedTickId ? this.confirmedMs : (this.sentMs.get(tickId) ?? this.reportedMs);
  }
}
