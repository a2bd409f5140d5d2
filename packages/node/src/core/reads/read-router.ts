/**
 * Routes a read: to the leader's reads, which a quorum or the lease confirms; to the reads of a follower, which a read index
 * confirms; or, if it is `stale`, to the state machine at once.
 * Owns nothing.
 */
import type { StateMachine } from '@conclave/actor/core';
import type { Body } from '@conclave/protocol';
import type { NonMember } from '../follower/index.js';
import type { NodeInput } from '../inputs-and-effects.js';
import type { LeaderState, OtherHistory } from '../leader/index.js';
import type { RoleControl } from '../role-control.js';
import { clockOf, type NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import { FollowerReads } from './follower-reads.js';
import { LeaderReads } from './leader-reads.js';
import { ReadBudget } from './read-budget.js';

type ReadInput = Extract<NodeInput, { type: 'read' }>;

export class ReadRouter {
  /** The reads of a leader. */
  readonly leaderReads: LeaderReads;
  /** The reads on this peer's own subject. */
  readonly followerReads: FollowerReads;
  private readonly budget = new ReadBudget();

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly stateMachine: StateMachine,
    private readonly leadership: LeaderState,
    roles: RoleControl,
    /** The state is being restored from a snapshot: it cannot be read. */
    private readonly isRestoring: () => boolean,
    private readonly otherHistory: Pick<OtherHistory, 'refuses'>,
    private readonly nonMember: Pick<NonMember, 'refuses'>,
  ) {
    this.leaderReads = new LeaderReads(context, state, stateMachine, this.budget);
    this.followerReads = new FollowerReads(context, state, stateMachine, roles, this.budget);
  }

  onRead({ requestId, addressee, consistency, query, groupUid }: ReadInput): void {
    const { state, context } = this;
    const speaksForGroup = state.role === 'leader' && this.leadership.confirmation.isConfirmed();
    if (addressee === 'group' && this.otherHistory.refuses(requestId, false)) return;
    if (addressee === 'peer' && consistency !== 'stale' && this.nonMember.refuses(requestId)) return;
    if (context.refuseOtherHistory(requestId, groupUid, state.groupUid)) return;
    const { divergence } = state;
    if (divergence !== undefined) {
      return context.refuse(
        requestId,
        'EBUSY',
        'the state of this peer differs from the majority’s: it is being repaired',
      );
    }
    if (consistency === 'stale') return this.readAsItIs(requestId, query);
    if (state.role === 'opening') {
      return context.refuse(requestId, 'EBUSY', 'the peer is starting: its log-store has not answered yet');
    }
    const byLease = consistency === 'lease';
    const read = { requestId, query, sinceMs: context.nowMs };
    if (!speaksForGroup) return this.followerReads.read(read, byLease);
    if (byLease && this.useLease()) return this.leaderReads.readByLease(read);
    this.leaderReads.read(read);
  }

  private readAsItIs(requestId: number, query: unknown): void {
    if (!this.isRestoring())
      return this.context.reply(requestId, this.stateMachine.query(query, clockOf(this.state, this.context.nowMs)));
    this.context.refuse(requestId, 'EBUSY', 'the state is being restored from a snapshot');
  }

  /** A follower requests a commit index that is current now. */
  onReadIndex(body: Body<'node.read_index'>): void {
    const { state, context } = this;
    if (body.group_uid !== state.groupUid || state.role !== 'leader' || !this.leadership.confirmation.isConfirmed()) {
      return context.drop('read_index_to_no_leader');
    }
    if (body.by_lease && this.useLease()) return this.leaderReads.sendReadIndex(body, state.commitIndex);
    this.leaderReads.onReadIndex(body);
  }

  /**
   * A read asks for the lease, which is then kept for a while. Returns whether this leader may answer at once: it holds the lease,
   * and knows every entry that earlier leaders committed.
   */
  useLease(): boolean {
    const holds = this.leadership.confirmation.useLease();
    return holds && this.leadership.knowsCommitted;
  }

  onTick(): void {
    this.followerReads.onTick();
    // If this leader cannot exclude a successor, the successor may answer the same requests: an error must not overtake that answer.
    if (this.state.role === 'leader' && this.leadership.confirmation.isOnlyLeader()) this.leaderReads.refuseLate();
  }

  /** Another turn begins: as much may be read as in the one before. */
  onTurn(): void {
    this.budget.refill();
  }

  /** Answers the reads that waited for entries which are applied now. */
  serve(): void {
    this.leaderReads.serve();
    this.followerReads.serve();
  }
}
