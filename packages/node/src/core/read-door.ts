/**
 * Takes reads to where they are answered: at the leader by a quorum or by its lease, at a peer by what the leader says is
 * committed, or as the state is.
 *
 * Owns nothing of its own.
 */
import type { StateMachine } from '@conclave/actor/core';
import type { Body } from '@conclave/protocol';
import type { ConfigurationChange } from './configuration-change.js';
import type { NodeContext } from './context.js';
import type { NodeInput } from './contract.js';
import { FollowerReads } from './follower-reads.js';
import type { NodeHub } from './hub.js';
import type { Leadership } from './leadership.js';
import type { OtherHistory } from './other-history.js';
import type { Outside } from './outside.js';
import { Reads } from './reads.js';
import { clockOf, type NodeState } from './state.js';

type ReadInput = Extract<NodeInput, { type: 'read' }>;

export class ReadDoor {
  /** As the leader. */
  readonly reads: Reads;
  /** As a peer that is asked itself. */
  readonly own: FollowerReads;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly stateMachine: StateMachine,
    private readonly leadership: Leadership,
    private readonly change: ConfigurationChange,
    hub: NodeHub,
    /** The state is being restored from a snapshot: there is none to read as it is. */
    private readonly isRestoring: () => boolean,
    private readonly otherHistory: Pick<OtherHistory, 'refuses'>,
    private readonly outside: Pick<Outside, 'refuses'>,
  ) {
    this.reads = new Reads(context, state, stateMachine);
    this.own = new FollowerReads(context, state, stateMachine, hub);
  }

  onRead({ requestId, door, consistency, query, groupUid }: ReadInput): void {
    const { state, context } = this;
    const speaksForGroup = state.role === 'leader' && this.leadership.isConfirmed();
    if (door === 'group' && this.otherHistory.refuses(requestId, false)) return;
    if (door === 'peer' && consistency !== 'stale' && this.outside.refuses(requestId)) return;
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
    if (!speaksForGroup) return this.own.read(requestId, query, byLease);
    if (byLease && this.leaseHolds) return this.reads.readByLease(requestId, query);
    this.reads.read(requestId, query);
  }

  private readAsItIs(requestId: number, query: unknown): void {
    if (!this.isRestoring())
      return this.context.reply(requestId, this.stateMachine.query(query, clockOf(this.state, this.context.nowMs)));
    this.context.refuse(requestId, 'EBUSY', 'the state is being restored from a snapshot');
  }

  /** A follower is to read: it asks for a commit index that is as of now. */
  onReadIndex(body: Body<'node.read_index'>): void {
    const { state, context } = this;
    if (body.group_uid !== state.groupUid || state.role !== 'leader' || !this.leadership.isConfirmed()) {
      return context.drop('read_index_to_no_leader');
    }
    if (body.by_lease && this.leaseHolds) return this.reads.answer(body, state.commitIndex);
    this.reads.onReadIndex(body);
  }

  /** Before an entry of its own term is committed a leader does not know what is. */
  get leaseHolds(): boolean {
    return this.change.knowsCommitted && this.leadership.lease.holds;
  }

  /** What is applied may be what reads wait for. */
  serve(): void {
    this.reads.serve();
    this.own.serve();
  }
}
