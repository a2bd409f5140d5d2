/**
 * The transfer of leadership: to a peer that was requested, because this leader is read-only, or because it is no longer a
 * member.
 * A target that is behind first catches up, while the leader continues to append. Then the leader appends nothing more, and its
 * replicator orders the target to campaign as soon as the target has the whole log.
 * Invariants:
 * 1. A leader that is a member transfers its leadership only to a peer that can commit entries then, as far as it knows.
 * 2. Writes wait only after the replicators are ordered to transfer; that happens after half of the deadline at the latest.
 */
import { type Body, type PeerId, peerIds } from '@conclave/protocol';
import type { LocalActors } from '../local/index.js';
import type { RoleControl } from '../role-control.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { LeaderState } from './leader-state.js';

interface Active {
  /** Undefined: which peers the replicators can reach is not known yet. */
  readonly targetId: PeerId | undefined;
  readonly requestId: number | undefined;
  readonly leaves: boolean;
  /** When the replicators are ordered to transfer, though the target may still be behind. */
  readonly orderByMs: number;
  readonly isOrdered: boolean;
}

export class LeadershipTransfer {
  private active: Active | undefined;
  /** When a read-only leader may try again. */
  private againMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly own: LocalActors,
    private readonly leadership: LeaderState,
    private readonly roles: RoleControl,
  ) {}

  get isInProgress(): boolean {
    return this.active !== undefined && this.state.role === 'leader';
  }

  /** Whether nothing may be appended: the target must have the whole log before it campaigns. */
  get holdsWrites(): boolean {
    return this.isInProgress && this.active?.isOrdered === true;
  }

  /** `transfer_leader`: to the peer that is named, or to the most up-to-date peer that can lead. */
  start(requestId: number, peerId: PeerId | undefined, timeoutMs: number): void {
    const { context, state } = this;
    if (this.active !== undefined) return context.refuse(requestId, 'EBUSY', 'a transfer is in progress');
    if (peerId === state.peerId) return context.reply(requestId, {});
    const others = this.others();
    if (peerId !== undefined && !others.includes(peerId)) {
      return context.refuse(requestId, 'EINVAL', `${peerId} is not in the configuration`);
    }
    const targetId = peerId ?? this.committingTarget() ?? this.leadership.candidates.best(others);
    if (this.isNotKnownYet(targetId, others)) {
      const text = 'this leader has just been elected, and does not know yet which peers take entries: ask again';
      return context.refuse(requestId, 'EBUSY', text);
    }
    if (targetId === undefined) {
      return context.refuse(requestId, 'EUNREACHABLE', 'no other peer is in reach that takes entries');
    }
    const reason = this.leadership.candidates.ineligibleReason(targetId);
    if (reason === 'silent' || reason === 'unknown')
      return context.refuse(requestId, 'EUNREACHABLE', `${targetId} is silent`);
    if (reason === 'refused') return context.refuse(requestId, 'EUNREACHABLE', `${targetId} has another store`);
    if (reason === 'lacks_actor') {
      return context.refuse(requestId, 'EUNREACHABLE', `${targetId} cannot lead: one of its own actors is silent`);
    }
    if (reason === 'cannot_lead') {
      return context.refuse(
        requestId,
        'EUNSUPPORTED',
        `${targetId} cannot lead: it has stopped applying, or is too old`,
      );
    }
    if (reason === 'read_only') {
      return context.refuse(requestId, 'EREADONLY', `${targetId} is read-only`);
    }
    if (!this.canCommit(targetId)) return this.refuseWithoutQuorum(requestId, targetId, others);
    this.begin({ targetId, requestId, leaves: false }, timeoutMs);
  }

  /** Whether the only obstacle is that members have not been reported yet since this leader was elected. */
  private isNotKnownYet(targetId: PeerId | undefined, others: readonly PeerId[]): boolean {
    const { leadership } = this;
    if (!leadership.isEarly) return false;
    const isUnknown = (peerId: PeerId): boolean => leadership.candidates.ineligibleReason(peerId) === 'unknown';
    if (targetId === undefined || isUnknown(targetId)) return others.some(isUnknown);
    return (
      leadership.candidates.ineligibleReason(targetId) === undefined &&
      !this.canCommit(targetId) &&
      others.some(isUnknown)
    );
  }

  private refuseWithoutQuorum(requestId: number, targetId: PeerId, others: readonly PeerId[]): void {
    const { context, leadership, state } = this;
    const isReadOnly = (peerId: PeerId): boolean => leadership.candidates.ineligibleReason(peerId) === 'read_only';
    if (state.readOnlyReason !== '' || others.some(isReadOnly)) {
      return context.refuse(requestId, 'EREADONLY', `no quorum takes entries: ${targetId} could commit nothing`);
    }
    context.refuse(requestId, 'EUNREACHABLE', `no quorum is in reach: ${targetId} could commit nothing`);
  }

  /**
   * A read-only leader transfers its leadership to a peer that can commit entries; if there is none it stays, answers reads and
   * refuses writes. Called on ticks, until the transfer has happened.
   */
  transferAsReadOnly(): void {
    const { state, context } = this;
    if (this.active !== undefined || context.nowMs < this.againMs) return;
    const targetId = this.committingTarget();
    if (targetId === undefined) return;
    const { electionTimeoutMs } = context.options;
    this.againMs = context.nowMs + 3 * electionTimeoutMs;
    context.log('info', 'transfers its leadership, as it is read-only', { reason: state.readOnlyReason });
    this.begin({ targetId, requestId: undefined, leaves: false }, 2 * electionTimeoutMs);
  }

  /** A leader that cannot read its own log transfers its leadership. False: no peer can lead, or none took over in time. */
  transferAsUnfit(): boolean {
    const targetId = this.active === undefined ? this.leadership.candidates.best(this.others()) : this.active.targetId;
    if (this.active !== undefined) return true;
    const { nowMs, options } = this.context;
    if (targetId === undefined || nowMs < this.againMs) return false;
    this.againMs = nowMs + 3 * options.electionTimeoutMs;
    this.begin({ targetId, requestId: undefined, leaves: false }, options.electionTimeoutMs);
    return true;
  }

  /** A leader that is not in the configuration transfers its leadership and steps down. */
  transferAsRemoved(): void {
    const targetId = this.transferTarget();
    this.begin({ targetId, requestId: undefined, leaves: true }, this.context.options.electionTimeoutMs);
  }

  /** The replicators have reported: the target may have caught up; a leader without a target may know one now. */
  onProgress(): void {
    const { active } = this;
    if (active === undefined || active.isOrdered) return;
    this.active = { ...active, targetId: active.targetId ?? this.transferTarget() };
    this.orderOnceNear();
  }

  /** Orders the replicators to transfer, unless the target is behind: it first catches up, as writers would wait for that. */
  private orderOnceNear(): void {
    const { active, context } = this;
    if (active?.targetId === undefined || active.isOrdered) return;
    const isBehind = this.leadership.progress(active.targetId)?.behind === true;
    if (isBehind && context.nowMs < active.orderByMs) return;
    // It could commit when the transfer began; since then peers may have fallen silent.
    if (!active.leaves && !this.canCommit(active.targetId)) return;
    this.active = { ...active, isOrdered: true };
    this.sendOrder();
  }

  /** Returns the most up-to-date peer of those that can commit entries. */
  private committingTarget(): PeerId | undefined {
    return this.leadership.candidates.best(this.others().filter((peerId) => this.canCommit(peerId)));
  }

  private canCommit(peerId: PeerId): boolean {
    return this.leadership.candidates.canCommit(peerId);
  }

  /** Returns the target for a leader that must step down: if necessary a peer that is not healthy. */
  private transferTarget(): PeerId | undefined {
    const others = this.others();
    return (
      this.committingTarget() ??
      this.leadership.candidates.best(others) ??
      this.leadership.candidates.mostUpToDate(others)
    );
  }

  /**
   * A leader whose state is wrong steps down at once: the best of these peers may campaign without waiting. The node orders that
   * itself, as the replicators would need time for it.
   */
  transferNow(among: readonly PeerId[], reason: string): void {
    const { state, context, leadership } = this;
    const targetId = leadership.candidates.best(among);
    const storeId = targetId === undefined ? undefined : leadership.progress(targetId)?.store_id;
    if (targetId === undefined || storeId === undefined) return;
    leadership.confirmation.lease.end();
    context.log('info', 'transfers its leadership', { target: targetId, reason });
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
    context.log('info', 'transfers its leadership', { target: active.targetId });
    this.orderOnceNear();
    context.setTimer('transfer', timeoutMs);
  }

  /** Sends the order to the replicators, again after they have restarted. */
  sendOrder(): void {
    if (this.holdsWrites && this.active?.targetId !== undefined) this.order(this.active.targetId);
  }

  private order(peerId: PeerId | ''): void {
    const { state, own } = this;
    if (peerId !== '') this.leadership.confirmation.lease.end();
    own.sendFramed('replicator', (frame) => ({
      name: 'replicator.transfer',
      body: { ...own.identity, ...frame, term: state.term, peer_id: peerId, last_index: state.log.lastIndex },
    }));
  }

  onDeadline(): void {
    const { active, context } = this;
    if (active === undefined) return;
    this.active = undefined;
    if (this.state.role === 'leader' && active.isOrdered) this.order('');
    if (active.requestId !== undefined) {
      // No peer was ordered to campaign unless the replicators were.
      const outcome = active.isOrdered ? 'unknown' : 'not_done';
      context.refuse(active.requestId, 'ETIMEDOUT', `${active.targetId} did not take over in time`, outcome);
    }
    if (active.leaves && this.state.role === 'leader') this.roles.becomeFollower('it is not in the configuration');
  }

  /** This node is fenced: it will not learn which peer leads. */
  abandon(reason: string): void {
    const requestId = this.active?.requestId;
    this.active = undefined;
    if (requestId !== undefined) this.context.refuse(requestId, 'EFENCED', reason, 'unknown');
  }

  /** A leader is known again: it may be the target. */
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
