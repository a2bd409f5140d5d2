/**
 * A change of the configuration, stage by stage: catching up, joint, stable (braft's ConfigurationCtx). It also runs a new
 * leader's `flush`, which confirms a stable configuration or finishes a joint one, and the replacement of a lost store, which is
 * a change from the old store to the new one.
 * Invariants:
 * 1. One change at a time; none before the flush of this leader is committed.
 * 2. No configuration entry contains a new peer, or a member's new store, before it has caught up and its store id is known.
 * 3. The joint stage is rolled back only by the leader that appended it in this term, and never once the stable entry is
 *    appended.
 * 4. Each request that waits for a change gets one reply: when the change or the leadership ends, or when the deadline of the
 *    stable stage passes.
 * 5. No new peer, and no new store of a member, is added to a configuration unless it supports the group's feature level. The
 *    level is raised by an entry of its own, while no change is running, and never lowered.
 * 6. A store replacement that is catching up blocks no membership change and no leadership transfer: such a command ends the
 *    replacement. Only raising the feature level waits until the replacement has ended.
 */
import {
  allMembers,
  type Body,
  type Change,
  ConclaveError,
  type Configuration,
  hasMember,
  invariant,
  isIn,
  type LogIndex,
  type Member,
  type PeerId,
  peerIds,
  type Stage,
  samePeers,
} from '@conclave/protocol';
import type { LeaderState, Proposals } from '../leader/index.js';
import type { LogAppender } from '../log/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import {
  type ActiveChange,
  type ChangeOrder,
  changeOf,
  describe,
  flushOf,
  raiseOf,
  reasonAgainstCancel,
  replacementOf,
  waitingFor,
} from './active-change.js';
import { CatchUpStage, type CatchUpVerdict } from './catch-up-stage.js';
import { ChangeAnnouncements } from './change-announcements.js';
import { withHistory } from './next-configuration.js';

export type { ChangeOrder } from './active-change.js';

export class ConfigurationChange {
  private active: ActiveChange | undefined;
  private readonly catchUp: CatchUpStage;
  private readonly announcements: ChangeAnnouncements;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly leadership: LeaderState,
    proposals: Proposals,
    private readonly appender: LogAppender,
    private readonly listener: {
      /** The last entry of a flush or change is committed, also that of a rolled back change or of a raised feature level. */
      readonly onStable: (kind: 'flush' | 'change') => void;
      /** A store replacement has failed. */
      readonly onReplacementFailed: (peerId: PeerId, reason: ConclaveError) => void;
    },
  ) {
    this.catchUp = new CatchUpStage(context, state, leadership, proposals);
    this.announcements = new ChangeAnnouncements(context, state);
  }

  get stage(): Stage {
    return this.active?.changesMembers === true ? this.active.stage : 'none';
  }

  /** The peers that are being added, as long as the change is in the stage of catching up. */
  get catchingUpPeers(): readonly PeerId[] {
    return this.active?.stage === 'catching_up' ? this.active.adding : [];
  }

  get isBusy(): boolean {
    return this.active !== undefined;
  }

  // ---- beginning ---------------------------------------------------------------------------------

  /** Begins a leadership: appends the effective configuration again (braft's flush). */
  flush(): void {
    const { peers, old_peers } = this.effective();
    this.active = flushOf(this.effective(), this.context.nowMs);
    if (this.active.changesMembers) this.emitStage('joint');
    const interrupted = this.announcements.takeInterruptedChange();
    this.append({ peers, old_peers, ...(interrupted === undefined ? {} : { lost_change: interrupted }) });
  }

  private effective(): Configuration {
    const entry = this.state.log.configuration;
    invariant(entry !== undefined, 'a leader has a configuration');
    return entry.configuration;
  }

  /** Starts a change, or refuses it. A request for the effective configuration succeeds at once. */
  start(order: ChangeOrder): void {
    const { context } = this;
    const { requestId, newPeers } = order;
    const busy = this.reasonBusy();
    if (busy !== undefined) return context.refuse(requestId, 'EBUSY', busy);
    const old = this.effective().peers;
    const oldPeers = peerIds(old);
    if (samePeers(oldPeers, newPeers)) {
      const reply = { old_peers: oldPeers, new_peers: oldPeers };
      return context.reply(requestId, order.replyOf?.(reply) ?? reply);
    }
    this.preempt(`a change to ${newPeers} was requested`);
    const active = changeOf(order, old, context.nowMs);
    this.begin(active, order.timeoutMs);
    if (active.adding.length === 0) return this.proceed(this.catchUp.nextMembers(active));
    this.leadership.setNewPeers(active.adding.map((peer_id) => ({ peer_id, store_id: undefined })));
    this.announcements.announce(active);
  }

  /** Returns why no change can start now; undefined: one can. */
  private reasonBusy(): string | undefined {
    const { active } = this;
    if (active?.kind === 'change') return `a change to ${active.newPeers} is ${active.stage}`;
    if (active?.replacing !== undefined && active.stage !== 'catching_up') {
      return `the store of ${active.replacing.peer_id} is being replaced: ${active.stage}`;
    }
    if (active?.kind === 'raise') return 'the feature level is being raised';
    const isFree = active === undefined || active.kind === 'heal';
    if (this.leadership.committedOwnTerm && isFree) return undefined;
    return 'the leader has not yet committed an entry of its own term';
  }

  /**
   * Replaces the store that the configuration binds to the member's name by this store, once this store has caught up.
   * `StoreReplacement` decides when that is right.
   */
  replaceStore(replacing: Member): void {
    invariant(this.leadership.committedOwnTerm && this.active === undefined, 'nothing else is in progress');
    const { peers } = this.effective();
    invariant(
      !hasMember(peers, replacing.peer_id, replacing.store_id),
      'the new store is not the one in the configuration',
    );
    this.begin(replacementOf(replacing, peers, this.context.nowMs), this.context.options.changeTimeoutMs);
    this.leadership.setNewPeers([replacing]);
  }

  /** Whether an entry that raises the feature level waits for its commit. */
  get isRaising(): boolean {
    return this.active?.kind === 'raise';
  }

  /** Returns why the feature level cannot be raised now; undefined: it can. */
  get reasonAgainstRaise(): string | undefined {
    const { active } = this;
    if (active === undefined) return this.leadership.committedOwnTerm ? undefined : this.reasonBusy();
    return this.reasonBusy() ?? 'the store of a member is being replaced';
  }

  /**
   * Raises the group's feature level with an entry of its own. `LevelRaise` decides when that is right.
   * @param requestId the request that waits for the entry, if there is one; it gets the reply `replyOf()` once the entry is
   * committed
   */
  raise(level: number, requestId: number | undefined, replyOf: () => unknown): void {
    invariant(this.reasonAgainstRaise === undefined, 'nothing else is in progress');
    const { peers, old_peers } = this.effective();
    invariant(level > this.state.level, 'a level is never lowered');
    this.active = raiseOf(peers, this.context.nowMs, requestId, replyOf);
    this.context.setTimer('change', this.context.options.jointTimeoutMs);
    this.append({ peers, old_peers, level });
  }

  private begin(active: ActiveChange, timeoutMs: number): void {
    this.active = active;
    this.catchUp.begin();
    this.emitStage('catching_up');
    this.context.setTimer('change', timeoutMs);
  }

  /**
   * Abandons a store replacement that is catching up, in favor of an operator's command. `StoreReplacement` tries again later.
   */
  preempt(reason: string): void {
    const { active } = this;
    if (active?.kind === 'heal' && active.stage === 'catching_up') this.fail(new ConclaveError('ECANCELED', reason));
  }

  // ---- catching up -------------------------------------------------------------------------------

  /** The replicators have reported. Enters the next stage if all new peers have caught up; fails if one cannot be added. */
  onProgress(): void {
    if (this.active?.stage === 'catching_up') this.proceed(this.catchUp.onProgress(this.active));
  }

  private proceed(verdict: CatchUpVerdict): void {
    if (verdict.type === 'fail') return this.fail(verdict.reason);
    if (verdict.type === 'continue') this.enterNextStage(verdict.members);
  }

  /** Enters the joint stage, or the stable stage if exactly one member is added or removed. */
  private enterNextStage(members: readonly Member[]): void {
    const { active } = this;
    invariant(active?.stage === 'catching_up', 'a change is catching up');
    const added = members.filter(({ peer_id, store_id }) => !hasMember(active.old, peer_id, store_id));
    const removed = active.old.filter(({ peer_id, store_id }) => !hasMember(members, peer_id, store_id));
    if (added.length + removed.length > 1) {
      this.enter('joint');
      this.append({ peers: [...members], old_peers: [...active.old] });
    } else {
      this.enter('stable');
      this.append({ peers: [...members], old_peers: [] });
    }
    this.catchUp.end();
  }

  /** Announces a change that has no entry in the log yet, once per tick. */
  onTick(): void {
    if (this.active?.stage === 'catching_up') this.announcements.announce(this.active);
  }

  onAnnounced(body: Body<'node.change_announced'>): void {
    this.announcements.onAnnounced(body);
  }

  // ---- joint and stable --------------------------------------------------------------------------

  private enter(stage: 'joint' | 'stable'): void {
    const { active } = this;
    invariant(active !== undefined, 'a change is in progress');
    active.stage = stage;
    if (active.kind !== 'flush') {
      const canBeRolledBack = stage === 'joint' || active.rollbackReason !== undefined;
      this.leadership.confirmation.setRollbackVoters(canBeRolledBack ? active.old : undefined);
    }
    this.context.setTimer('change', this.context.options.jointTimeoutMs);
    this.emitStage(stage);
  }

  /**
   * Appends a configuration. The peers that this configuration removes are notified, also new peers of a joint configuration
   * that is rolled back.
   */
  private append(configuration: Configuration): void {
    const { active } = this;
    invariant(active !== undefined, 'a change is in progress');
    const effective = this.effective();
    const { state, context } = this;
    active.index = this.appender.appendConfiguration(
      withHistory(effective, configuration, state.groupUid, context.wallTimeMs),
    );
    const removed = allMembers(effective).filter(({ peer_id, store_id }) => !isIn(configuration, peer_id, store_id));
    this.leadership.targets.onConfiguration(removed, active.index);
  }

  /** The commit index has risen. If the entry of the current stage is committed, the next stage begins, or the change ends. */
  onCommitted(commitIndex: LogIndex): void {
    const { active } = this;
    if (active?.index === undefined || commitIndex < active.index) return;
    if (active.stage === 'joint') {
      const { peers } = this.effective();
      this.enter('stable');
      this.append({ peers, old_peers: [] });
    } else {
      this.finish();
    }
  }

  private finish(): void {
    const { active, context } = this;
    invariant(active !== undefined, 'a change is in progress');
    this.active = undefined;
    this.leadership.confirmation.setRollbackVoters(undefined);
    context.cancelTimer('change');
    if (active.rollbackReason !== undefined) {
      this.replyUndone(active, active.rollbackReason);
    } else if (active.requestId !== undefined) {
      const reply = { old_peers: peerIds(active.old), new_peers: [...active.newPeers] };
      context.reply(active.requestId, active.replyOf(reply));
    }
    if (active.changesMembers) this.emitStageOf(active, 'none');
    this.listener.onStable(active.kind === 'flush' ? 'flush' : 'change');
  }

  // ---- cancelling --------------------------------------------------------------------------------

  /** Handles `cancel_change`: rolls the change back, if it is not too late. */
  cancel(requestId: number): void {
    const { active, context } = this;
    if (active?.changesMembers !== true) {
      return context.refuse(requestId, 'ENOENT', 'no change is in progress');
    }
    if (active.kind === 'flush' || active.stage === 'stable') {
      return context.refuse(requestId, 'EBUSY', reasonAgainstCancel(active));
    }
    active.cancelRequests.push(requestId);
    this.rollBack(new ConclaveError('ECANCELED', 'the change was cancelled'));
  }

  /** The deadline of the stage has passed. */
  onDeadline(): void {
    const { active, context } = this;
    if (active === undefined) return;
    if (active.stage === 'catching_up') {
      const failure = this.catchUp.failureAtDeadline(active);
      // A store replacement that makes progress gets another period.
      if (failure === undefined) return context.setTimer('change', context.options.changeTimeoutMs);
      this.fail(failure);
    } else if (active.stage === 'joint' && active.kind !== 'flush') {
      const { peers, old_peers } = this.leadership.missingVotes;
      const votes = `of the new set ${peers.join(' ') || 'none'}, of the old set ${old_peers.join(' ') || 'none'}`;
      this.rollBack(
        new ConclaveError('ECANCELED', `the joint stage was not committed in time; missing votes: ${votes}`),
      );
    } else {
      for (const requestId of waitingFor(active)) {
        context.refuse(requestId, 'ETIMEDOUT', `the change is ${active.stage} and continues`, 'unknown');
      }
      active.requestId = undefined;
      active.cancelRequests = [];
    }
  }

  private rollBack(reason: ConclaveError): void {
    const { active } = this;
    invariant(active !== undefined && active.stage !== 'stable', 'a change can be rolled back');
    if (active.stage === 'catching_up') return this.fail(reason);
    invariant(active.kind !== 'flush', 'the joint entry is of this leader and term');
    active.rollbackReason = reason;
    this.enter('stable');
    this.append({ peers: [...active.old], old_peers: [] });
  }

  /** Ends a change that is catching up. Such a change has had no effect. */
  private fail(reason: ConclaveError): void {
    const { active, context } = this;
    invariant(active?.stage === 'catching_up', 'a change is catching up');
    this.announcements.announce(active, reason);
    this.active = undefined;
    context.cancelTimer('change');
    this.leadership.setNewPeers([]);
    this.catchUp.end();
    this.announcements.recordUndone(active, reason);
    this.replyUndone(active, reason);
    this.emitStageOf(active, 'none');
  }

  private replyUndone(active: ActiveChange, reason: ConclaveError): void {
    const { context, state } = this;
    const error = reason.toBody();
    if (active.requestId !== undefined) {
      context.refuse(active.requestId, reason.code, reason.message, active.outcomeUndone);
    }
    for (const requestId of active.cancelRequests) {
      context.reply(requestId, { cancelled: describe(active, state.term, 'undone', error) });
    }
    const { old, newPeers, reportedKind: kind } = active;
    context.event('change_failed', { kind, old_peers: peerIds(old), new_peers: [...newPeers], error });
    if (active.replacing !== undefined) this.listener.onReplacementFailed(active.replacing.peer_id, reason);
  }

  /**
   * The leadership has ended. The log of a later leader decides the outcome: that leader completes the change if its log contains an
   * entry of the change and no rollback entry.
   */
  abandon(reason: string, leaderId: string): void {
    const { active, context } = this;
    if (active === undefined) return;
    this.active = undefined;
    context.cancelTimer('change');
    // While new peers catch up the change has no entry: no leader finishes it.
    const outcome = active.stage === 'catching_up' ? active.outcomeUndone : 'unknown';
    for (const requestId of waitingFor(active)) context.refuse(requestId, 'EPERM', reason, outcome, leaderId);
    if (active.stage === 'catching_up') {
      this.announcements.recordUndone(active, new ConclaveError('EPERM', `${reason} while new peers were catching up`));
    }
  }

  // ---- reporting ---------------------------------------------------------------------------------

  /** Returns the last changes and their outcomes, oldest first. */
  history(): Change[] {
    return this.announcements.history(this.active);
  }

  private emitStage(stage: Stage): void {
    invariant(this.active !== undefined, 'a change is in progress');
    this.emitStageOf(this.active, stage);
  }

  private emitStageOf(active: ActiveChange, stage: Stage): void {
    const { old, newPeers, reportedKind: kind } = active;
    this.context.event('stage_changed', { kind, stage, old_peers: peerIds(old), new_peers: [...newPeers] });
  }
}
