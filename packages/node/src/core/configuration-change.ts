/**
 * A change of the configuration, stage by stage: catching up, joint, stable (braft's ConfigurationCtx). It also
 * runs a new leader's `flush`, which confirms a stable configuration or finishes a joint one, and the heal of a member
 * that has lost its store, which is a change from the old store to the new one.
 *
 * Invariants:
 * 1. One change at a time; none before the flush of this leader is committed.
 * 2. A new peer, or a member's new store, is in no configuration entry before it has caught up and its store is known.
 * 3. The joint stage is taken back only by the leader that appended it in this term, and never once the stable entry
 *    is appended.
 * 4. Each change ends with one answer to each that waits for it.
 * 5. No new peer, and no new store of a member, gets into a configuration unless it speaks the group's feature level. The level
 *    is raised by an entry of its own, while nothing else is going on, and never lowered.
 * 6. Nobody waits for a heal that is catching up: whatever an operator asks for comes before it.
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
  limits,
  type Member,
  type PeerId,
  type Progress,
  peerIds,
  type Stage,
  samePeers,
} from '@conclave/protocol';
import {
  type ActiveChange,
  type ChangeOrder,
  changeOf,
  describe,
  flushOf,
  healOf,
  memberFor,
  raiseOf,
  waitingFor,
} from './active-change.js';
import { CatchUpReport } from './catch-up-report.js';
import { endedChanges } from './change-history.js';
import type { NodeContext } from './context.js';
import type { Leadership } from './leadership.js';
import { carryOn } from './next-configuration.js';
import type { Proposals } from './proposals.js';
import { reachOf } from './reach.js';
import type { NodeState } from './state.js';
import { UnloggedChanges } from './unlogged-changes.js';

export type { ChangeOrder } from './active-change.js';

export class ConfigurationChange {
  private active: ActiveChange | undefined;
  private flushed = false;
  private readonly unlogged: UnloggedChanges;
  private readonly report: CatchUpReport;
  private readonly parts: { context: NodeContext; state: NodeState; leadership: Leadership };

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly leadership: Leadership,
    private readonly proposals: Proposals,
    private readonly listener: {
      /** The stable entry is committed. */
      readonly onStable: (kind: 'flush' | 'change') => void;
      /** A heal has come to nothing. */
      readonly onHealFailed: (peerId: PeerId, reason: ConclaveError) => void;
    },
  ) {
    this.parts = { context, state, leadership };
    this.unlogged = new UnloggedChanges(context, state);
    this.report = new CatchUpReport(context, state, leadership);
  }

  get stage(): Stage {
    return this.active?.changes === true ? this.active.stage : 'none';
  }

  /** Whether this leader has committed an entry of its own term. */
  get isFlushed(): boolean {
    return this.flushed;
  }

  /**
   * Whether this leader knows every entry that an earlier leader has committed, so that it may answer reads: all of them are in
   * its log (leader completeness), so it does once the last one before its own first entry is known to be committed. Usually
   * the commit of that first entry says so; of a group that takes no entries, what earlier leaders have said. A leader of a
   * new history answers nothing before the entry that begins it is committed.
   */
  get knowsCommitted(): boolean {
    if (this.flushed) return true;
    const { commitIndex, groupUid, log } = this.state;
    if (commitIndex < this.leadership.firstIndex - 1) return false;
    const before = log.configurationAt(commitIndex)?.configuration;
    return before !== undefined && ((before.level ?? 0) === 0 || before.history?.group_uid === groupUid);
  }

  /** Who is to come in, and has not yet caught up. */
  get joiners(): readonly PeerId[] {
    return this.active?.stage === 'catching_up' ? this.active.adding : [];
  }

  get isBusy(): boolean {
    return this.active !== undefined;
  }

  // ---- beginning ---------------------------------------------------------------------------------

  /** Begins a leadership: appends the configuration in force again (braft's flush). */
  flush(): void {
    const { peers, old_peers } = this.inForce();
    this.flushed = false;
    this.active = flushOf(this.inForce(), this.context.nowMs);
    if (this.active.changes) this.say('joint');
    const lost = this.unlogged.takeLost();
    this.append({ peers, old_peers, ...(lost === undefined ? {} : { lost_change: lost }) });
  }

  private inForce(): Configuration {
    const entry = this.state.log.configuration;
    invariant(entry !== undefined, 'a leader has a configuration');
    return entry.configuration;
  }

  /** Starts a change, or refuses it. Asking for what is in force succeeds at once. */
  start(order: ChangeOrder): void {
    const { context } = this;
    const { requestId, newPeers } = order;
    const busy = this.reasonBusy();
    if (busy !== undefined) return context.refuse(requestId, 'EBUSY', busy);
    const old = this.inForce().peers;
    const oldPeers = peerIds(old);
    if (samePeers(oldPeers, newPeers)) {
      const reply = { old_peers: oldPeers, new_peers: oldPeers };
      return context.reply(requestId, order.replyOf?.(reply) ?? reply);
    }
    this.giveWay(`a change to ${newPeers} is asked for`);
    const active = changeOf(order, old, context.nowMs);
    this.begin(active, order.timeoutMs);
    if (active.adding.length === 0) return this.leaveCatchingUp();
    this.leadership.setJoiners(active.adding.map((peer_id) => ({ peer_id, store_id: undefined })));
    this.announce();
  }

  /** Why no change is taken now, or undefined. */
  private reasonBusy(): string | undefined {
    const { active } = this;
    if (active?.kind === 'change') return `a change to ${active.newPeers} is ${active.stage}`;
    if (active?.healing !== undefined && active.stage !== 'catching_up') {
      return `${active.healing.peer_id} is being healed: ${active.stage}`;
    }
    if (active?.kind === 'raise') return 'the feature level is being raised';
    const isFree = active === undefined || active.kind === 'heal';
    return this.flushed && isFree ? undefined : 'the leader has not yet committed an entry of its own term';
  }

  /**
   * Lets this store take the place of the one that the configuration binds the member to, once it has caught up.
   * `Healing` decides when that is right.
   */
  heal(healing: Member): void {
    invariant(this.flushed && this.active === undefined, 'nothing else is going on');
    const { peers } = this.inForce();
    invariant(!hasMember(peers, healing.peer_id, healing.store_id), 'a heal brings another store');
    this.begin(healOf(healing, peers, this.context.nowMs), this.context.options.changeTimeoutMs);
    this.leadership.setJoiners([healing]);
  }

  /** Whether an entry that raises the feature level waits for its commit. */
  get isRaising(): boolean {
    return this.active?.kind === 'raise';
  }

  /** Why the feature level cannot be raised now, or undefined. */
  get reasonAgainstRaise(): string | undefined {
    const { active } = this;
    if (active === undefined) return this.flushed ? undefined : this.reasonBusy();
    return this.reasonBusy() ?? 'a member is being healed';
  }

  /**
   * Raises the group's feature level with an entry of its own. `LevelRaise` decides when that is right.
   * @param requestId of who waits for it, if anybody does; gets `replyOf()` once it is committed
   */
  raise(level: number, requestId: number | undefined, replyOf: () => unknown): void {
    invariant(this.reasonAgainstRaise === undefined, 'nothing else is going on');
    const { peers, old_peers } = this.inForce();
    invariant(level > this.state.level, 'a level is never lowered');
    this.active = raiseOf(peers, this.context.nowMs, requestId, replyOf);
    this.context.setTimer('change', this.context.options.jointTimeoutMs);
    this.append({ peers, old_peers, level });
  }

  private begin(active: ActiveChange, timeoutMs: number): void {
    this.active = active;
    this.report.clear();
    this.say('catching_up');
    this.context.setTimer('change', timeoutMs);
  }

  /** Gives up a heal that is catching up, for something that an operator wants: it is tried again after that. */
  giveWay(reason: string): void {
    const { active } = this;
    if (active?.kind === 'heal' && active.stage === 'catching_up') this.fail(new ConclaveError('ECANCELED', reason));
  }

  // ---- catching up -------------------------------------------------------------------------------

  /** The replicators have reported: perhaps the new peers have caught up. */
  onProgress(): void {
    const { active } = this;
    if (active?.stage !== 'catching_up') return;
    const { healing } = active;
    const isOfBefore = (progress: Progress | undefined) =>
      healing !== undefined && progress?.store_id !== healing.store_id;
    // Of a heal: not what a replicator said before it was told which store it is.
    const all = active.adding.map((peerId) => this.leadership.progress(peerId)).filter((each) => !isOfBefore(each));
    this.report.publish(all);
    const refused = all.find((progress) => progress?.refusal === 'ENOTEMPTY');
    if (refused !== undefined) {
      return this.fail(new ConclaveError('ENOTEMPTY', `${refused.peer_id} holds another history`));
    }
    const below = all.find((progress) => progress !== undefined && this.isBelowLevel(progress));
    if (below !== undefined) return this.fail(belowLevel(below, this.state.level));
    const { commonCommandVersion } = this.leadership;
    const older = all.find((one) => one?.levels !== undefined && (one.command_version ?? 0) < commonCommandVersion);
    if (older !== undefined) return this.fail(belowCommandVersion(older, commonCommandVersion));
    if (all.some((progress) => progress?.wants_throttle === true)) this.slowWriters();
    if (healing !== undefined) return this.onHealProgress(healing, active.old);
    if (all.every((progress) => progress?.caught_up === true && progress.store_id !== '')) this.leaveCatchingUp();
  }

  /** The writers are as fast as a new peer, which can reach them only if they are slower for a moment. */
  private slowWriters(): void {
    const { context, proposals } = this;
    if (!proposals.throttle.begin(context.nowMs)) return;
    context.log('info', 'slows the writers down for a moment: a new peer cannot catch up with them');
  }

  /** Whether a new peer is known not to speak the group's level. */
  private isBelowLevel({ levels }: Progress): boolean {
    const { level } = this.state;
    return levels !== undefined && (level > levels.highest || level < levels.lowest);
  }

  /** A heal must not go on where the store has changed again, or the lost one is back. */
  private onHealProgress({ peer_id, store_id }: Member, old: readonly Member[]): void {
    const progress = this.leadership.progress(peer_id);
    if (progress === undefined || progress.store_id !== store_id) return;
    const { found, refusal, caught_up } = progress;
    if (found !== undefined && hasMember(old, peer_id, found.store_id)) {
      return this.fail(new ConclaveError('ECANCELED', `the store that ${peer_id} is bound to is back`));
    }
    if (refusal !== '') return this.fail(new ConclaveError('ECANCELED', `${peer_id} has yet another store`));
    if (caught_up) this.leaveCatchingUp();
  }

  /** On to the joint stage, or straight to the stable one where a single peer changes. */
  private leaveCatchingUp(): void {
    const { active } = this;
    invariant(active?.stage === 'catching_up', 'a change is catching up');
    // At level 0 there is nobody to be kept out; above, one of which it is not known yet what it speaks has to say first.
    const hasSaid = (peerId: PeerId) => this.leadership.progress(peerId)?.levels !== undefined;
    if (this.state.level > 0 && !active.adding.every(hasSaid)) return;
    const members = active.newPeers.map((peerId) => memberFor(active, peerId, this.leadership.progress(peerId)));
    const reach = reachOf(members, active.sinceMs, this.parts);
    // The next report of the replicators tells more.
    if (reach === 'not_known') return;
    if (reach === 'too_few') return this.fail(outOfReach());
    // A heal may wait until the votes that it needs are surely there; nobody waits for it.
    const lately = this.context.options.electionTimeoutMs / 2;
    if (active.kind === 'heal' && reachOf(active.old, active.sinceMs, this.parts, lately) !== 'enough') return;
    const added = members.filter(({ peer_id, store_id }) => !hasMember(active.old, peer_id, store_id));
    const removed = active.old.filter(({ peer_id, store_id }) => !hasMember(members, peer_id, store_id));
    if (added.length + removed.length > 1) {
      this.enter('joint');
      this.append({ peers: members, old_peers: [...active.old] });
    } else {
      this.enter('stable');
      this.append({ peers: members, old_peers: [] });
    }
    this.leadership.setJoiners([]);
    this.proposals.throttle.end();
  }

  /** Once a tick: a change of which nothing stands in the log is told of. */
  onTick(): void {
    if (this.active?.kind === 'change' && this.active.stage === 'catching_up') this.announce();
  }

  private announce(over: ConclaveError | null = null): void {
    const { active } = this;
    if (active?.kind !== 'change') return;
    const change = { old_peers: peerIds(active.old), new_peers: active.newPeers };
    this.unlogged.announce(change, active.old, over?.toBody() ?? null);
  }

  onAnnounced(body: Body<'node.change_announced'>): void {
    this.unlogged.onAnnounced(body);
  }

  // ---- joint and stable --------------------------------------------------------------------------

  private enter(stage: 'joint' | 'stable'): void {
    const { active } = this;
    invariant(active !== undefined, 'a change is going on');
    active.stage = stage;
    if (active.kind !== 'flush') {
      const canBeUndone = stage === 'joint' || active.undoing !== undefined;
      this.leadership.setUndoers(canBeUndone ? active.old : undefined);
    }
    this.context.setTimer('change', this.context.options.jointTimeoutMs);
    this.say(stage);
  }

  /** Appends a configuration. Whom it no longer has is still told so: also who came in with a joint one that is undone. */
  private append(configuration: Configuration): void {
    const { active } = this;
    invariant(active !== undefined, 'a change is going on');
    const inForce = this.inForce();
    const { state, context } = this;
    active.index = this.proposals.appendConfiguration(
      carryOn(inForce, configuration, state.groupUid, context.wallTimeMs),
    );
    const gone = allMembers(inForce).filter(({ peer_id, store_id }) => !isIn(configuration, peer_id, store_id));
    this.leadership.bidFarewell(gone, active.index);
  }

  /** Something is committed: perhaps the entry of the stage. */
  onCommitted(commitIndex: LogIndex): void {
    const { active } = this;
    if (active?.index === undefined || commitIndex < active.index) return;
    this.flushed = true;
    if (active.stage === 'joint') {
      const { peers } = this.inForce();
      this.enter('stable');
      this.append({ peers, old_peers: [] });
    } else {
      this.finish();
    }
  }

  private finish(): void {
    const { active, context } = this;
    invariant(active !== undefined, 'a change is going on');
    this.active = undefined;
    this.leadership.setUndoers(undefined);
    context.cancelTimer('change');
    if (active.undoing !== undefined) {
      this.answerUndone(active, active.undoing);
    } else if (active.requestId !== undefined) {
      const reply = { old_peers: peerIds(active.old), new_peers: [...active.newPeers] };
      context.reply(active.requestId, active.replyOf(reply));
    }
    if (active.changes) this.sayOf(active, 'none');
    this.listener.onStable(active.kind === 'flush' ? 'flush' : 'change');
  }

  // ---- taking back -------------------------------------------------------------------------------

  /** `cancel_change`, while that is possible. */
  cancel(requestId: number): void {
    const { active, context } = this;
    if (active?.changes !== true) {
      return context.refuse(requestId, 'ENOENT', 'no change is going on');
    }
    if (active.kind === 'flush' || active.stage === 'stable') {
      return context.refuse(requestId, 'EBUSY', 'it is too late: the new configuration may be in force already');
    }
    active.cancelRequests.push(requestId);
    this.undo(new ConclaveError('ECANCELED', 'the change was cancelled'));
  }

  /** The deadline of the stage has passed. */
  onDeadline(): void {
    const { active, context } = this;
    if (active === undefined) return;
    if (active.stage === 'catching_up') {
      // Nobody waits for a heal, and a large store takes its time: as long as it gets on, it may.
      if (active.kind === 'heal' && this.report.hasMovedSinceAsked()) {
        return context.setTimer('change', context.options.changeTimeoutMs);
      }
      const laggards = this.report.laggards(active.adding);
      this.fail(
        laggards === '' ? outOfReach() : new ConclaveError('ECATCHUP', `in time did not catch up: ${laggards}`),
      );
    } else if (active.stage === 'joint' && active.kind !== 'flush') {
      const { peers, old_peers } = this.leadership.lacking;
      const lacking = `lacking of the new: ${peers.join(' ') || 'none'}, of the old: ${old_peers.join(' ') || 'none'}`;
      this.undo(new ConclaveError('ECANCELED', `the joint stage was not committed in time; votes ${lacking}`));
    } else {
      for (const requestId of waitingFor(active)) {
        context.refuse(requestId, 'ETIMEDOUT', `the change is ${active.stage} and goes on`, 'unknown');
      }
      active.requestId = undefined;
      active.cancelRequests = [];
    }
  }

  private undo(reason: ConclaveError): void {
    const { active } = this;
    invariant(active !== undefined && active.stage !== 'stable', 'a change can be undone');
    if (active.stage === 'catching_up') return this.fail(reason);
    invariant(active.kind !== 'flush', 'the joint entry is of this leader and term');
    active.undoing = reason;
    this.enter('stable');
    this.append({ peers: [...active.old], old_peers: [] });
  }

  /** Ends a change that is catching up: nothing has happened. */
  private fail(reason: ConclaveError): void {
    const { active, context } = this;
    invariant(active?.stage === 'catching_up', 'a change is catching up');
    this.announce(reason);
    this.active = undefined;
    context.cancelTimer('change');
    this.leadership.setJoiners([]);
    this.proposals.throttle.end();
    this.remember(active, reason);
    this.answerUndone(active, reason);
    this.sayOf(active, 'none');
  }

  private answerUndone(active: ActiveChange, reason: ConclaveError): void {
    const { context, state } = this;
    const error = reason.toBody();
    if (active.requestId !== undefined) {
      context.refuse(active.requestId, reason.code, reason.message, active.outcomeUndone);
    }
    for (const requestId of active.cancelRequests) {
      context.reply(requestId, { cancelled: describe(active, state.term, 'undone', error) });
    }
    const { old, newPeers, saysKind: kind } = active;
    context.event('change_failed', { kind, old_peers: peerIds(old), new_peers: [...newPeers], error });
    if (active.healing !== undefined) this.listener.onHealFailed(active.healing.peer_id, reason);
  }

  /** The leadership is over: the next leader finishes or undoes what stands in the log. */
  abandon(reason: string, leaderId: string): void {
    const { active, context } = this;
    if (active === undefined) return;
    this.active = undefined;
    this.flushed = false;
    context.cancelTimer('change');
    // While new peers catch up no entry of it is appended: nobody will finish it.
    const outcome = active.stage === 'catching_up' ? active.outcomeUndone : 'unknown';
    for (const requestId of waitingFor(active)) context.refuse(requestId, 'EPERM', reason, outcome, leaderId);
    if (active.stage === 'catching_up') {
      this.remember(active, new ConclaveError('EPERM', `${reason} while new peers were catching up`));
    }
  }

  // ---- telling -----------------------------------------------------------------------------------

  /** A heal that did not happen is tried again: that is nothing to remember. */
  private remember(active: ActiveChange, reason: ConclaveError): void {
    if (active.kind === 'change') this.unlogged.end(describe(active, this.state.term, 'undone', reason.toBody()));
  }

  /** The last changes and what became of them, oldest first. */
  history(): Change[] {
    const { active, state } = this;
    const ended = endedChanges(state, (inLog) => this.unlogged.besides(inLog));
    const goingOn = active?.stage === 'catching_up' ? [describe(active, state.term, 'going_on')] : [];
    return [...ended, ...goingOn].slice(-limits.rememberedChanges);
  }

  private say(stage: Stage): void {
    invariant(this.active !== undefined, 'a change is going on');
    this.sayOf(this.active, stage);
  }

  private sayOf(active: ActiveChange, stage: Stage): void {
    const { old, newPeers, saysKind: kind } = active;
    this.context.event('stage_changed', { kind, stage, old_peers: peerIds(old), new_peers: [...newPeers] });
  }
}

function belowLevel({ peer_id, levels }: Progress, level: number): ConclaveError {
  const speaks = levels === undefined ? 'nothing of it' : `levels ${levels.lowest} to ${levels.highest}`;
  return new ConclaveError('EUNSUPPORTED', `the group has feature level ${level}, and ${peer_id} speaks ${speaks}`);
}

function belowCommandVersion({ peer_id, command_version = 0 }: Progress, version: number): ConclaveError {
  const text = `the members read commands up to version ${version}, and the state machine of ${peer_id} up to ${command_version}`;
  return new ConclaveError('EUNSUPPORTED', text);
}

function outOfReach(): ConclaveError {
  return new ConclaveError('ECATCHUP', 'a majority of the new peers cannot be reached');
}
