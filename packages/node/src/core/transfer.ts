/**
 * Handing the leadership over: to a peer that was asked for, because this leader takes no entries, or because it is no longer
 * a member.
 *
 * A target that is behind first catches up, while the leader appends what it is asked to. Then the leader appends nothing more,
 * and its replicator tells the target to campaign as soon as the target has the whole log.
 *
 * Invariants:
 * 1. A leader that is a member transfers leadership only to a peer that can commit entries then, as far as it knows.
 * 2. Writes wait only from the order to the replicators on; that goes out after half of the time at the latest.
 */
import { type Body, type PeerId, peerIds } from '@conclave/protocol';
import type { NodeContext } from './context.js';
import type { NodeHub } from './hub.js';
import type { Leadership } from './leadership.js';
import type { OwnActors } from './own-actors.js';
import type { NodeState } from './state.js';
import { canCommitAsLeader } from './write-quorum.js';

interface Active {
  /** Undefined: whom the replicators reach is not known yet. */
  readonly targetId: PeerId | undefined;
  readonly requestId: number | undefined;
  readonly leaves: boolean;
  /** When the replicators are ordered to hand over, though the target may still be behind. */
  readonly orderByMs: number;
  readonly isOrdered: boolean;
}

export class Transfer {
  private active: Active | undefined;
  /** When a leader that takes no entries may try again to hand over. */
  private againMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly own: OwnActors,
    private readonly leadership: Leadership,
    private readonly hub: NodeHub,
  ) {}

  get isGoingOn(): boolean {
    return this.active !== undefined && this.state.role === 'leader';
  }

  /** Whether nothing is to be appended: the target has to have all of the log before it campaigns. */
  get holdsWrites(): boolean {
    return this.isGoingOn && this.active?.isOrdered === true;
  }

  /** `transfer_leader`: to the peer that is named, or to the one that is furthest of those that can lead. */
  start(requestId: number, peerId: PeerId | undefined, timeoutMs: number): void {
    const { context, state } = this;
    if (this.active !== undefined) return context.refuse(requestId, 'EBUSY', 'a transfer is going on');
    if (peerId === state.peerId) return context.reply(requestId, {});
    const others = this.others();
    if (peerId !== undefined && !others.includes(peerId)) {
      return context.refuse(requestId, 'EINVAL', `${peerId} is not in the configuration`);
    }
    const targetId = peerId ?? this.committingHeir() ?? this.leadership.bestHeir(others);
    if (this.isNotKnownYet(targetId, others)) {
      const text = 'this leader has just been elected, and does not know yet which peers take entries: ask again';
      return context.refuse(requestId, 'EBUSY', text);
    }
    if (targetId === undefined) {
      return context.refuse(requestId, 'EUNREACHABLE', 'no other peer is in reach that takes entries');
    }
    const unfitness = this.leadership.unfitness(targetId);
    if (unfitness === 'silent' || unfitness === 'unknown')
      return context.refuse(requestId, 'EUNREACHABLE', `${targetId} is silent`);
    if (unfitness === 'refused') return context.refuse(requestId, 'EUNREACHABLE', `${targetId} has another store`);
    if (unfitness === 'lacks_actor') {
      return context.refuse(requestId, 'EUNREACHABLE', `${targetId} cannot lead: one of its own actors is silent`);
    }
    if (unfitness === 'cannot_lead') {
      return context.refuse(
        requestId,
        'EUNSUPPORTED',
        `${targetId} cannot lead: it has stopped applying, or is too old`,
      );
    }
    if (unfitness === 'read_only') {
      return context.refuse(requestId, 'EREADONLY', `${targetId} is read-only`);
    }
    if (!this.canCommit(targetId)) return this.refuseWithoutQuorum(requestId, targetId, others);
    this.begin({ targetId, requestId, leaves: false }, timeoutMs);
  }

  /** Whether what stands against a transfer is only that members have not been heard of since this leader was elected. */
  private isNotKnownYet(targetId: PeerId | undefined, others: readonly PeerId[]): boolean {
    const { leadership } = this;
    if (!leadership.isEarly) return false;
    const isUnknown = (peerId: PeerId): boolean => leadership.unfitness(peerId) === 'unknown';
    if (targetId === undefined || isUnknown(targetId)) return others.some(isUnknown);
    return leadership.unfitness(targetId) === undefined && !this.canCommit(targetId) && others.some(isUnknown);
  }

  private refuseWithoutQuorum(requestId: number, targetId: PeerId, others: readonly PeerId[]): void {
    const { context, leadership, state } = this;
    const isReadOnly = (peerId: PeerId): boolean => leadership.unfitness(peerId) === 'read_only';
    if (state.readOnlyReason !== '' || others.some(isReadOnly)) {
      return context.refuse(requestId, 'EREADONLY', `no quorum takes entries: ${targetId} could commit nothing`);
    }
    context.refuse(requestId, 'EUNREACHABLE', `no quorum is in reach: ${targetId} could commit nothing`);
  }

  /**
   * This leader takes no entries itself: hands over to a peer that can commit entries; where there is none it stays, answers
   * reads and refuses writes. Again on ticks, until that has happened.
   */
  handOverReadOnly(): void {
    const { state, context } = this;
    if (this.active !== undefined || context.nowMs < this.againMs) return;
    const targetId = this.committingHeir();
    if (targetId === undefined) return;
    const { electionTimeoutMs } = context.options;
    this.againMs = context.nowMs + 3 * electionTimeoutMs;
    context.log('info', 'hands over, as it takes no entries', { reason: state.readOnlyReason });
    this.begin({ targetId, requestId: undefined, leaves: false }, 2 * electionTimeoutMs);
  }

  /** This leader cannot read its own log: hands over where another can lead. False: nobody can, or none has in time. */
  handOverUnfit(): boolean {
    const targetId = this.active === undefined ? this.leadership.bestHeir(this.others()) : this.active.targetId;
    if (this.active !== undefined) return true;
    const { nowMs, options } = this.context;
    if (targetId === undefined || nowMs < this.againMs) return false;
    this.againMs = nowMs + 3 * options.electionTimeoutMs;
    this.begin({ targetId, requestId: undefined, leaves: false }, options.electionTimeoutMs);
    return true;
  }

  /** This leader is out of the configuration: it hands over and steps down. */
  leave(): void {
    const targetId = this.heir();
    this.begin({ targetId, requestId: undefined, leaves: true }, this.context.options.electionTimeoutMs);
  }

  /** The replicators have reported: the target may have caught up; a leader that left before may now know to whom to hand over. */
  onProgress(): void {
    const { active } = this;
    if (active === undefined || active.isOrdered) return;
    this.active = { ...active, targetId: active.targetId ?? this.heir() };
    this.orderOnceNear();
  }

  /** Orders the replicators to hand over, unless the target is behind: then it first catches up, as writers would wait for that. */
  private orderOnceNear(): void {
    const { active, context } = this;
    if (active?.targetId === undefined || active.isOrdered) return;
    const isBehind = this.leadership.progress(active.targetId)?.behind === true;
    if (isBehind && context.nowMs < active.orderByMs) return;
    // It was when the transfer began; while the target caught up it may have fallen silent.
    if (!active.leaves && !this.canCommit(active.targetId)) return;
    this.active = { ...active, isOrdered: true };
    this.tellReplicators();
  }

  /** The peer that is furthest of those that can commit entries. */
  private committingHeir(): PeerId | undefined {
    return this.leadership.bestHeir(this.others().filter((peerId) => this.canCommit(peerId)));
  }

  private canCommit(peerId: PeerId): boolean {
    const { state, leadership } = this;
    return canCommitAsLeader(peerId, { state, leadership });
  }

  /** Of a leader that has to go: also who is not at its best. */
  private heir(): PeerId | undefined {
    const others = this.others();
    return this.committingHeir() ?? this.leadership.bestHeir(others) ?? this.leadership.mostUpToDate(others);
  }

  /**
   * This leader steps down at once, as its state is wrong: the best of these may stand without waiting. Its node says so itself, as
   * the replicators would have to be given time for it.
   */
  sendAway(among: readonly PeerId[], reason: string): void {
    const { state, context, leadership } = this;
    const targetId = leadership.bestHeir(among);
    const storeId = targetId === undefined ? undefined : leadership.progress(targetId)?.store_id;
    if (targetId === undefined || storeId === undefined) return;
    leadership.lease.end();
    context.log('info', 'hands over', { target: targetId, reason });
    context.send(targetId, {
      name: 'node.timeout_now',
      body: {
        group_id: context.options.groupId,
        group_uid: state.groupUid,
        leader_id: state.peerId,
        term: state.term,
        target_store_id: storeId,
      },
    });
  }

  others(): PeerId[] {
    const peers = peerIds(this.state.log.configuration?.configuration.peers ?? []);
    return peers.filter((peerId) => peerId !== this.state.peerId);
  }

  private begin(active: Pick<Active, 'targetId' | 'requestId' | 'leaves'>, timeoutMs: number): void {
    const { context } = this;
    this.active = { ...active, orderByMs: context.nowMs + timeoutMs / 2, isOrdered: false };
    context.log('info', 'hands over', { target: active.targetId });
    this.orderOnceNear();
    context.setTimer('transfer', timeoutMs);
  }

  /** Also again, after the replicators have forgotten. */
  tellReplicators(): void {
    if (this.holdsWrites && this.active?.targetId !== undefined) this.order(this.active.targetId);
  }

  private order(peerId: PeerId | ''): void {
    const { state, own } = this;
    if (peerId !== '') this.leadership.lease.end();
    own.sendFramed('replicator', (frame) => ({
      name: 'replicator.transfer',
      body: { ...own.own, ...frame, term: state.term, peer_id: peerId, last_index: state.log.lastIndex },
    }));
  }

  onDeadline(): void {
    const { active, context } = this;
    if (active === undefined) return;
    this.active = undefined;
    if (this.state.role === 'leader' && active.isOrdered) this.order('');
    if (active.requestId !== undefined) {
      // Nobody was told to stand unless that was ordered.
      const outcome = active.isOrdered ? 'unknown' : 'not_done';
      context.refuse(active.requestId, 'ETIMEDOUT', `${active.targetId} did not take over in time`, outcome);
    }
    if (active.leaves && this.state.role === 'leader') this.hub.becomeFollower('it is out of the configuration');
  }

  /** This node is fenced: who leads will not be known here. */
  abandon(reason: string): void {
    const requestId = this.active?.requestId;
    this.active = undefined;
    if (requestId !== undefined) this.context.refuse(requestId, 'EFENCED', reason, 'unknown');
  }

  /** A leader is known again: is it the one? */
  onLeader(body: Pick<Body<'node.append_entries'>, 'leader_id'>): void {
    const { active, context } = this;
    if (active === undefined) return;
    this.active = undefined;
    context.cancelTimer('transfer');
    if (active.requestId === undefined) return;
    if (body.leader_id === active.targetId) context.reply(active.requestId, {});
    else
      context.refuse(active.requestId, 'ECANCELED', `${body.leader_id} took over instead`, 'not_done', body.leader_id);
  }
}
