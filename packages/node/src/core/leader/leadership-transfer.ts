/**
 * The transfer of leadership to another peer, the target. A leader transfers its leadership because an operator requested it
 * (`transfer_leader`), because it is read-only, because it can no longer lead (`NodeState.cannotLead`), because it is no longer a
 * member, or because its state differs from the majority's (`transferNow`).
 *
 * A transfer has two phases. If the target lags, it first catches up, while the leader continues to append. Then the leader sends
 * its replicators the order (`replicator.transfer`) and appends nothing more; as soon as the target has the whole log, its
 * replicator sends it `timeout_now`, which makes it campaign.
 *
 * Invariants:
 * 1. A leader that is a member transfers its leadership only to a peer that could commit entries as the leader, as far as this
 *    leader knows. Exception: `transferNow`, whose leader steps down in any case.
 * 2. Writes wait only from the order on. A target that lags delays the order for at most half of the transfer's timeout; a target
 *    that is not known, or could not commit entries, delays it further. There is none after the timeout.
 * 3. Writes wait for a target that does not lag for at most two election timeouts: if it was not elected by then, something is wrong
 *    with it that the leader does not know.
 */
import { type Body, type ErrorCode, type PeerId, peerIds } from '@conclave/protocol';
import type { LocalActors } from '../local/index.js';
import type { RoleControl } from '../role-control.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { LeaderState } from './leader-state.js';

/** The transfer in progress. */
interface ActiveTransfer {
  /** Undefined: no target is known yet, because the replicators have not reported which peers they can reach. */
  readonly targetId: PeerId | undefined;
  readonly requestId: number | undefined;
  /** Whether the leader steps down at the end, even if the target was not elected: it is no longer a member. */
  readonly mustStepDown: boolean;
  /** When the order is sent even if the target still lags. */
  readonly orderByMs: number;
  readonly endsAtMs: number;
  /** Whether the replicators have been sent the order. */
  readonly isOrdered: boolean;
}

export class LeadershipTransfer {
  private active: ActiveTransfer | undefined;
  /** When a leader that is read-only, or can no longer lead, may begin another transfer. */
  private nextAttemptMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
    private readonly leadership: LeaderState,
    private readonly roles: RoleControl,
  ) {}

  get isInProgress(): boolean {
    return this.active !== undefined && this.state.role === 'leader';
  }

  /** Whether writes wait, because the order was sent: the target must have the whole log before it campaigns. */
  get holdsWrites(): boolean {
    return this.isInProgress && this.active?.isOrdered === true;
  }

  /**
   * Carries out `transfer_leader`, or refuses it.
   * @param peerId the target; undefined: this leader chooses the most up-to-date peer that can lead
   */
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
      const text =
        'this leader has just been elected, and does not know yet which peers accept entries: request it again';
      return context.refuse(requestId, 'EBUSY', text);
    }
    if (targetId === undefined) {
      const texts = others.flatMap((other) => this.rejectionOf(other)?.text ?? []);
      const text =
        texts.length === 0 ? 'the group has no other member' : `no other member can lead: ${texts.join('; ')}`;
      return context.refuse(requestId, 'EUNREACHABLE', text);
    }
    const rejection = this.rejectionOf(targetId);
    if (rejection !== undefined) return context.refuse(requestId, rejection.code, rejection.text);
    if (!this.canCommit(targetId)) return this.refuseWithoutQuorum(requestId, targetId, others);
    this.begin({ targetId, requestId, mustStepDown: false }, timeoutMs);
  }

  /** Returns why this peer cannot become leader now; undefined: it can. */
  private rejectionOf(peerId: PeerId): { readonly code: ErrorCode; readonly text: string } | undefined {
    const reason = this.leadership.candidates.ineligibleReason(peerId);
    switch (reason) {
      case undefined:
        return undefined;
      case 'silent':
      case 'unknown':
        return { code: 'EUNREACHABLE', text: `${peerId} is silent` };
      case 'refused':
        return { code: 'EUNREACHABLE', text: `${peerId} has another store` };
      case 'stores_nothing':
        return { code: 'EUNREACHABLE', text: `${peerId} cannot lead: its log-store stores nothing` };
      case 'lacks_actor':
        return { code: 'EUNREACHABLE', text: `${peerId} cannot lead: one of its own actors is silent` };
      case 'cannot_lead': {
        const text = `${peerId} cannot lead: conclave health --peer ${peerId} prints the reason`;
        return { code: 'EUNSUPPORTED', text };
      }
      case 'read_only':
        return { code: 'EREADONLY', text: `${peerId} is read-only` };
      default:
        reason satisfies never;
    }
  }

  /** Whether the transfer may become possible soon: this leader was just elected, and the replicators have not reported all members yet. */
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
      return context.refuse(requestId, 'EREADONLY', `no quorum accepts entries: ${targetId} could commit nothing`);
    }
    context.refuse(requestId, 'EUNREACHABLE', `no quorum is reachable: ${targetId} could commit nothing`);
  }

  /**
   * A read-only leader transfers its leadership to a peer that can commit entries. If there is none, it stays leader, answers reads
   * and refuses writes. Called on every tick while this leader is read-only.
   */
  transferAsReadOnly(): void {
    const { state, context } = this;
    if (this.active !== undefined || context.nowMs < this.nextAttemptMs) return;
    const targetId = this.committingTarget();
    if (targetId === undefined) return;
    const { electionTimeoutMs } = context.options;
    this.nextAttemptMs = context.nowMs + 3 * electionTimeoutMs;
    context.log('info', 'transfers its leadership, as it is read-only', { reason: state.readOnlyReason });
    this.begin({ targetId, requestId: undefined, mustStepDown: false }, 2 * electionTimeoutMs);
  }

  /**
   * A leader that can no longer lead (`NodeState.cannotLead`) transfers its leadership.
   * @returns whether a transfer is in progress. False: no peer can lead, or the last transfer for this reason, or as this peer is
   *   read-only, began less than three election timeouts ago
   */
  transferAsUnfit(): boolean {
    if (this.active !== undefined) return true;
    const targetId = this.leadership.candidates.best(this.others());
    const { nowMs, options } = this.context;
    if (targetId === undefined || nowMs < this.nextAttemptMs) return false;
    this.nextAttemptMs = nowMs + 3 * options.electionTimeoutMs;
    this.begin({ targetId, requestId: undefined, mustStepDown: false }, options.electionTimeoutMs);
    return true;
  }

  /** A leader that is not in the configuration transfers its leadership and steps down. */
  transferAsRemoved(): void {
    const targetId = this.targetOfRemoved();
    this.begin({ targetId, requestId: undefined, mustStepDown: true }, this.context.options.electionTimeoutMs);
  }

  /** The replicators have reported their progress: chooses a target if there is none yet, and sends the order if the target no longer lags. */
  onProgress(): void {
    const { active } = this;
    if (active === undefined || active.isOrdered) return;
    this.active = { ...active, targetId: active.targetId ?? this.targetOfRemoved() };
    this.orderWhenReady();
  }

  /** Sends the order, unless the target lags and there is time left: writes wait from the order on, so the target first catches up. */
  private orderWhenReady(): void {
    const { active, context } = this;
    if (active?.targetId === undefined || active.isOrdered) return;
    const isBehind = this.leadership.progress(active.targetId)?.behind === true;
    if (isBehind && context.nowMs < active.orderByMs) return;
    // `transferAsUnfit` has not checked this, and since the other transfers began, peers may have fallen silent.
    if (!active.mustStepDown && !this.canCommit(active.targetId)) return;
    this.active = { ...active, isOrdered: true };
    this.sendOrder();
    const latestMs = context.nowMs + 2 * context.options.electionTimeoutMs;
    if (!isBehind && latestMs < active.endsAtMs) context.setTimer('transfer', latestMs - context.nowMs);
  }

  /** Returns the most up-to-date peer that can lead and could commit entries as the leader. */
  private committingTarget(): PeerId | undefined {
    return this.leadership.candidates.best(this.others().filter((peerId) => this.canCommit(peerId)));
  }

  private canCommit(peerId: PeerId): boolean {
    return this.leadership.candidates.canCommit(peerId);
  }

  /** Returns the target for a leader that must step down: if no better one exists, a peer that may be unable to lead. */
  private targetOfRemoved(): PeerId | undefined {
    const others = this.others();
    return (
      this.committingTarget() ??
      this.leadership.candidates.best(others) ??
      this.leadership.candidates.mostUpToDate(others)
    );
  }

  /**
   * Called by a leader whose state differs from the majority's, just before it steps down. Makes the best peer of `among` campaign
   * without waiting for an election timeout. The node itself sends `timeout_now`, because an order to the replicators would
   * take longer.
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

  private begin(active: Pick<ActiveTransfer, 'targetId' | 'requestId' | 'mustStepDown'>, timeoutMs: number): void {
    const { context } = this;
    const endsAtMs = context.nowMs + timeoutMs;
    this.active = { ...active, orderByMs: context.nowMs + timeoutMs / 2, endsAtMs, isOrdered: false };
    context.log('info', 'transfers its leadership', { target: active.targetId });
    context.setTimer('transfer', timeoutMs);
    this.orderWhenReady();
  }

  /** Sends the order to the replicators. Called again when they have restarted. */
  sendOrder(): void {
    if (this.holdsWrites && this.active?.targetId !== undefined) this.order(this.active.targetId);
  }

  /** @param peerId the target; empty: withdraws the order */
  private order(peerId: PeerId | ''): void {
    const { state, actors } = this;
    if (peerId !== '') this.leadership.confirmation.lease.end();
    actors.sendFramed('replicator', (frame) => ({
      name: 'replicator.transfer',
      body: { ...actors.identity, ...frame, term: state.term, peer_id: peerId, last_index: state.log.lastIndex },
    }));
  }

  /** The timeout of the transfer has passed, and no other leader is known. */
  onDeadline(): void {
    const { active, context } = this;
    if (active === undefined) return;
    this.active = undefined;
    if (this.state.role === 'leader' && active.isOrdered) this.order('');
    if (active.requestId !== undefined) {
      // Without the order, no peer was made to campaign.
      const outcome = active.isOrdered ? 'unknown' : 'not_done';
      context.refuse(active.requestId, 'ETIMEDOUT', `${active.targetId} did not become leader in time`, outcome);
    }
    if (active.mustStepDown && this.state.role === 'leader')
      this.roles.becomeFollower('it is not in the configuration');
  }

  /** This node is fenced: it will not learn which peer becomes leader. */
  abandon(reason: string): void {
    const requestId = this.active?.requestId;
    this.active = undefined;
    if (requestId !== undefined) this.context.refuse(requestId, 'EFENCED', reason, 'unknown');
  }

  /** This peer has received AppendEntries of a new leader, which may be the target. */
  onLeader(body: Pick<Body<'node.append_entries'>, 'leader_id'>): void {
    const { active, context } = this;
    if (active === undefined) return;
    this.active = undefined;
    context.cancelTimer('transfer');
    if (active.requestId === undefined) return;
    if (body.leader_id === active.targetId) context.reply(active.requestId, {});
    else
      context.refuse(
        active.requestId,
        'ECANCELED',
        `${body.leader_id} became leader instead`,
        'not_done',
        body.leader_id,
      );
  }
}
