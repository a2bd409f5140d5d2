/**
 * A node: role, term, timers, proposals, the consistency check of AppendEntries, the stages of a configuration
 * change, and applying. It touches no disk (its log-store does), counts no quorum (its ballot-box does) and sends no
 * entries to a follower (its replicators do).
 *
 * This file takes each input to the part that owns it, and holds the changes of role. The parts:
 *
 *     every node   Opening, OwnActors, AppendEntriesHandler, StoreBinding, Election,
 *                  Applier, Restore, Snapshots, Install, Bootstrap, PeerReset
 *     a leader     Leadership, OtherHistory, Proposals, Reads, Watches, ConfigurationChange,
 *                  LevelRaise, Healing, Transfer
 *
 * Invariants:
 * 1. Nothing is spoken of a term or vote that is not synced.
 * 2. `term`, `commitIndex` and `appliedIndex` never fall.
 * 3. A peer without a configuration never stands.
 * 4. A node whose session is over (fenced) does nothing any more.
 */
import type { Core, Instant, StateMachine } from '@conclave/actor/core';
import {
  asLogIndex,
  type Body,
  type HistoryAnnouncement,
  invariant,
  isIn,
  type LogIndex,
  levelOf,
  type NodeMessage,
  type Outcome,
  peerIds,
  type ReadOnlyReason,
  type StatusReply,
  type Term,
} from '@conclave/protocol';
import { AdminDoor } from './admin-door.js';
import { AppendEntriesHandler } from './append-entries.js';
import { Applier } from './applier.js';
import { BackupDoor } from './backup-door.js';
import { Bootstrap } from './bootstrap.js';
import { ConfigurationChange } from './configuration-change.js';
import { NodeContext } from './context.js';
import type { NodeDependencies, NodeEffect, NodeInput, NodeOptions, NodeTimer } from './contract.js';
import { Election } from './election.js';
import { Healing } from './healing.js';
import type { NodeHub } from './hub.js';
import { Install } from './install.js';
import { LeaderFeed } from './leader-feed.js';
import { Leadership } from './leadership.js';
import { LevelRaise } from './level-raise.js';
import { Opening } from './opening.js';
import { OtherHistory } from './other-history.js';
import { Outside } from './outside.js';
import { OwnActors } from './own-actors.js';
import { OwnSession } from './own-session.js';
import { PeerReset } from './peer-reset.js';
import { Proposals } from './proposals.js';
import { Quarantine } from './quarantine.js';
import { ReadDoor } from './read-door.js';
import { ReadOnly } from './read-only.js';
import { Removal } from './removal.js';
import { type NodeRequest, RequestHold } from './request-hold.js';
import { Restore } from './restore.js';
import { Rounds } from './rounds.js';
import { Snapshots } from './snapshots.js';
import { NodeState, sideFileLost } from './state.js';
import { StateComparison } from './state-comparison.js';
import {
  health,
  type NodeHealth,
  type NodeSummary,
  type RestartAdvice,
  restartAdvice,
  status,
  summary,
} from './status.js';
import { StoreBinding } from './store-binding.js';
import { StuckWatch } from './stuck-watch.js';
import { Transfer } from './transfer.js';
import { Watches } from './watches.js';

/** How often a leader looks for what its state machine wants done. */
const housekeepingMs = 1000;

export class NodeCore implements Core<NodeInput, NodeEffect>, NodeHub {
  private readonly context: NodeContext;
  private readonly state: NodeState;
  private readonly stateMachine: StateMachine;
  private readonly own: OwnActors;
  private readonly opening: Opening;
  private readonly appendEntries: AppendEntriesHandler;
  private readonly leaderFeed: LeaderFeed;
  private readonly election: Election;
  private readonly applier: Applier;
  private readonly restore: Restore;
  private readonly snapshots: Snapshots;
  private readonly install: Install;
  private readonly leadership: Leadership;
  private readonly otherHistory: OtherHistory;
  private readonly outside: Outside;
  private readonly proposals: Proposals;
  private readonly hold: RequestHold;
  private readonly readDoor: ReadDoor;
  private readonly rounds: Rounds;
  private readonly readOnly: ReadOnly;
  private readonly stuckWatch: StuckWatch;
  private readonly watches: Watches;
  private readonly change: ConfigurationChange;
  private readonly healing: Healing;
  private readonly peerReset: PeerReset;
  private readonly binding: StoreBinding;
  private readonly removal: Removal;
  private readonly session: OwnSession;
  private readonly transfer: Transfer;
  private readonly backup: BackupDoor;
  private readonly bootstrap: Bootstrap;
  private readonly comparison: StateComparison;
  private readonly quarantine: Quarantine;
  private readonly adminDoor: AdminDoor;
  private readonly levelRaise: LevelRaise;
  private housekeptMs = 0;

  constructor(
    private readonly options: NodeOptions,
    { stateMachine, divergence }: NodeDependencies,
  ) {
    const context = new NodeContext(options);
    const state = new NodeState(options.peerId, options.levels);
    this.context = context;
    this.state = state;
    this.hold = new RequestHold(context, (request) => this.carryOut(request));
    state.divergence = divergence;
    state.commandVersion = stateMachine.commandVersion;
    this.stateMachine = stateMachine;
    this.own = new OwnActors(context, state, (kind) => this.resync(kind));
    this.opening = new Opening(context, state, this.own, this, {
      onOpened: (body) => this.onOpened(body),
      onFenced: (reason) => this.onFenced(reason),
    });
    this.leaderFeed = new LeaderFeed(context);
    this.binding = new StoreBinding(context, state);
    this.removal = new Removal(context, state);
    this.outside = new Outside(context, state);
    this.session = new OwnSession(context, state, this.own);
    this.appendEntries = new AppendEntriesHandler(
      context,
      state,
      this.own,
      this,
      this.leaderFeed,
      this.binding,
      this.session,
    );
    this.election = new Election(context, state, this.own, this.binding, this);
    this.leadership = new Leadership(context, state, this.own);
    this.otherHistory = new OtherHistory(context, state, this.leadership);
    this.proposals = new Proposals(context, state, this.own, this.leadership);
    this.watches = new Watches(context, stateMachine);
    this.applier = new Applier(context, state, this.own, stateMachine, {
      onApplied: (index, result) => this.proposals.onApplied(index, result),
      onAllApplied: () => this.readDoor.serve(),
      onCompareIndex: () => this.comparison.onApplied(),
    });
    this.restore = new Restore(context, state, this.own, this.applier, stateMachine, (reason) =>
      this.opening.beginAnew(reason),
    );
    this.snapshots = new Snapshots(context, state, this.own, this.applier, this.leadership, stateMachine, {
      obstacle: () => this.obstacleToSnapshots(),
      onBegun: () => this.install.forget(),
    });
    this.install = new Install(context, state, this.own, this.appendEntries, {
      onBegun: () => this.snapshots.giveUp('the leader installs a snapshot'),
      onInstalled: () => {
        this.quarantine.onInstalled();
        this.opening.beginAnew('a snapshot is installed');
      },
    });
    this.change = new ConfigurationChange(context, state, this.leadership, this.proposals, {
      onStable: (kind) => this.onStable(kind),
      onHealFailed: (peerId, reason) => this.healing.onFailed(peerId, reason),
    });
    this.healing = new Healing(context, state, this.leadership, this.change);
    this.peerReset = new PeerReset(context, state, this.own, this, () => this.quarantine.onReset());
    this.transfer = new Transfer(context, state, this.own, this.leadership, this);
    this.backup = new BackupDoor(context, state, this.own);
    this.bootstrap = new Bootstrap(context, state, this.own, this.election, this.change, this.backup, (reason) =>
      this.opening.beginAnew(reason),
    );
    this.readDoor = new ReadDoor(
      context,
      state,
      stateMachine,
      this.leadership,
      this.change,
      this,
      () => this.restore.isGoingOn,
      this.otherHistory,
      this.outside,
    );
    const { reads } = this.readDoor;
    this.rounds = new Rounds(context, state, this.own, this.leadership, this.change, reads, this.session);
    this.readOnly = new ReadOnly(context, state, this.own);
    this.stuckWatch = new StuckWatch(context, state);
    this.levelRaise = new LevelRaise(context, state, this.leadership, this.change, () => this.transfer.isGoingOn);
    this.quarantine = new Quarantine(context, state, {
      onBegun: (reason) => this.onDiverged(reason),
      onChanged: () => this.readOnly.store(),
      onRestart: (reason) => this.opening.beginAnew(reason),
    });
    this.comparison = new StateComparison(context, state, stateMachine, {
      onCompared: (...compared) => this.quarantine.onCompared(...compared),
      onSnapshotWanted: (index) => this.snapshots.ensure(index),
      snapshotWanted: () => this.quarantine.snapshotWanted,
    });
    this.adminDoor = new AdminDoor(
      context,
      state,
      this.leadership,
      this.change,
      this.transfer,
      this.bootstrap,
      this.snapshots,
      this.backup,
      this.readOnly,
      this.peerReset,
      this.levelRaise,
      this.otherHistory,
      this.comparison,
      () => this.statusReply(),
    );
  }

  step(input: NodeInput, at: Instant): readonly NodeEffect[] {
    this.context.begin(at);
    switch (input.type) {
      case 'start':
        this.opening.start();
        break;
      case 'message':
        this.onMessage(input.message);
        break;
      case 'timer':
        this.onTimer(input.timer);
        break;
      case 'idle':
        this.onIdle();
        break;
      case 'admin':
      case 'propose':
      case 'read':
      case 'watch':
      case 'unwatch':
        this.onRequest(input);
        break;
      case 'watch_unheard':
        this.watches.onUnheard(input.watchId);
        break;
      case 'led_history':
        this.onLedHistory(input.body);
        break;
      case 'hearing_feed':
        this.leaderFeed.onHearing(input.peerId);
        break;
      case 'group_answered':
        this.bootstrap.onGroupAnswered(input);
        break;
      default:
        input satisfies never;
    }
    this.adminDoor.release();
    if (!this.hold.isEmpty && this.mayAnswer()) this.hold.release();
    return this.context.take();
  }

  /** What `status` answers. */
  status(at: Instant): StatusReply {
    this.context.begin(at);
    return this.statusReply();
  }

  /** What `status` answers of restarts, and the configuration that it goes by; undefined: it does not lead. */
  restartAdvice(at: Instant): RestartAdvice | undefined {
    this.context.begin(at);
    return this.isLeader()
      ? restartAdvice(this.context, this.state, this.own, this.leadership, this.change)
      : undefined;
  }

  /** Whether this node does what it is for; if not, why. */
  health(): NodeHealth {
    const stuck = this.otherHistory.reason ?? this.stuckWatch.reason(this.leadership.lacking);
    const { state, own, removal, binding, restore, leadership, quarantine } = this;
    const found = health(state, own, removal.isRemoved, stuck, binding.refusal, restore.isGoingOn, quarantine.reason);
    const isQuiet = found.healthy && found.reason === '';
    if (isQuiet && state.wasUnverified && !state.isUnverified) {
      return { healthy: true, reason: `${sideFileLost}; the log was verified since` };
    }
    return isQuiet && this.isLeader() ? { healthy: true, reason: leadership.timeoutRemark } : found;
  }

  /** What was not taken, by reason. */
  get dropped(): Readonly<Record<string, number>> {
    return this.context.dropped;
  }

  /** Why this node takes no entries; empty: it takes them. */
  get readOnlyReason(): ReadOnlyReason {
    return this.state.readOnlyReason;
  }

  /** In short, for service discovery. */
  summary(): NodeSummary {
    return summary(this.state, this.options, this.outside.leaderId);
  }

  private statusReply(): StatusReply {
    return status(this.context, this.state, this.own, this.leadership, this.change, this.health(), {
      ...this.snapshots.status(),
      restoring: this.restore.status(),
      installing: this.install.status(),
      other_history: this.otherHistory.seen,
      leader_id: this.outside.leaderId,
      ...this.comparison.status(),
    });
  }

  // ---- opening -----------------------------------------------------------------------------------

  private onOpened(body: Body<'node.opened'>): void {
    const { snapshot, installing } = body;
    this.readOnly.onOpened(body);
    // What cannot be compared would never be repaired.
    this.quarantine.onOpened(
      this.stateMachine.digest === undefined ? asLogIndex(0) : (body.diverged_at ?? asLogIndex(0)),
    );
    this.session.ask();
    this.removal.note();
    this.outside.update();
    this.stopActors();
    this.election.onBecameFollower();
    this.snapshots.onOpened(snapshot);
    this.install.onOpened(installing);
    this.restore.begin(snapshot);
    this.applier.run();
  }

  private onFenced(reason: string): void {
    this.transfer.abandon(reason);
    this.bootstrap.onFenced(reason);
    this.hold.refuseAll(reason);
    this.watches.endAll(reason);
    this.snapshots.abandon(reason);
    this.backup.onFenced(reason);
    this.readDoor.own.refuseAll(reason);
    this.peerReset.onFenced(reason);
    this.leaderFeed.hear('');
    this.comparison.abandon(reason);
    this.context.emit({ type: 'leave_door' });
  }

  /** This peer's state is wrong: nothing more is answered from it, and it leads no more. */
  private onDiverged(reason: string): void {
    this.snapshots.giveUp(reason);
    this.readDoor.own.refuseAll(reason);
    if (!this.isLeader()) return;
    const { peerId } = this.state;
    this.transfer.sendAway(this.comparison.agreeing(this.transfer.others()), reason);
    if (this.isLeader()) this.becomeFollower(`${peerId}: ${reason}`);
  }

  /** Tells the replicators and the ballot-box that whatever they did for an earlier session is over. */
  private stopActors(): void {
    this.stopActor('replicator');
    this.stopActor('ballot-box');
  }

  private stopActor(kind: 'replicator' | 'ballot-box'): void {
    const { own, state } = this;
    own.sendFramed(kind, (frame) => ({ name: `${kind}.stop`, body: { ...own.own, ...frame, term: state.term } }));
  }

  private obstacleToSnapshots(): string | undefined {
    if (this.restore.isGoingOn) return 'the state is being restored from a snapshot';
    if (this.state.divergence !== undefined) return 'the state of this peer differs from the majority’s';
    return this.install.isGoingOn ? 'the leader installs a snapshot here' : undefined;
  }

  /** Gives an actor that has forgotten its link all that it needs. */
  private resync(kind: 'replicator' | 'ballot-box'): void {
    this.context.log('info', `the ${kind} begins anew`);
    if (this.state.role === 'leader') {
      if (kind === 'ballot-box') return this.leadership.tellBallotBox();
      this.leadership.tellReplicators();
      return this.transfer.tellReplicators();
    }
    this.stopActor(kind);
    if (kind === 'ballot-box') this.election.openCount();
  }

  // ---- inputs ------------------------------------------------------------------------------------

  private onMessage(message: NodeMessage): void {
    const { state, context } = this;
    if (message.name === 'node.welcome') return this.opening.onWelcome(message.body);
    if (message.name === 'node.opened') return this.opening.onOpened(message.body);
    if (state.role === 'opening') return context.drop('not_open');
    if (state.role === 'fenced') return context.drop('fenced');
    switch (message.name) {
      case 'node.fenced':
        return this.opening.onFenced(message.body);
      case 'node.ack':
        return this.onAck(message.body);
      case 'node.append_entries':
        return this.onAppendEntries(message.body);
      case 'feed.append':
        return this.appendEntries.onFeedAppend(message.body);
      case 'node.request_vote':
        return this.onRequestVote(message.body);
      case 'node.timeout_now':
        return this.election.onTimeoutNow(message.body);
      case 'node.compare_state':
        return this.comparison.onAsked(message.body);
      case 'node.state_digest':
        return this.comparison.onReported(message.body);
      case 'node.state_compared':
        return this.comparison.onVerdict(message.body);
      case 'node.higher_term':
        return this.onHigherTerm(message.body);
      case 'node.elected':
        if (this.isOfThisSession(message.body)) this.election.onElected(message.body);
        return;
      case 'feed.committed':
        return this.onCommitted(message.body);
      case 'node.confirmed':
        if (this.isOfThisSession(message.body)) this.rounds.onConfirmed(message.body);
        return;
      case 'node.in_force':
        if (this.isOfThisSession(message.body)) this.rounds.onInForce(message.body);
        return;
      case 'node.read_index':
        return this.readDoor.onReadIndex(message.body);
      case 'node.read_index_answer':
        return this.readDoor.own.onAnswer(message.body);
      case 'node.disk':
        if (this.isOfThisSession(message.body)) this.readOnly.onDisk(message.body);
        return;
      case 'node.progress':
        if (state.role !== 'leader') return context.drop('progress_stale');
        return this.onProgress(message.body);
      case 'node.ballots':
        return this.leadership.onBallots(message.body);
      case 'node.entries':
        return this.applier.onEntries(message.body);
      case 'node.snapshot_chunk':
        if (this.restore.isAnsweredBy(message.body)) return this.restore.onChunk(message.body);
        return this.backup.onChunk(message.body);
      case 'node.install_snapshot':
        return this.onInstallSnapshot(message.body);
      case 'node.change_announced':
        return this.change.onAnnounced(message.body);
      case 'node.identify':
        return this.bootstrap.onIdentify(message.body);
      case 'node.identity':
        return this.bootstrap.onIdentity(message.body);
      default:
        message satisfies never;
    }
  }

  private onAck(body: Body<'node.ack'>): void {
    if (!this.own.onAck(body)) return this.opening.beginAnew('the log-store has restarted');
    if (body.actor !== 'log-store') return;
    this.snapshots.onSynced();
    this.install.onSynced();
  }

  private isOfThisSession(body: { readonly store_id: string; readonly session: number }): boolean {
    if (body.store_id === this.state.storeId && body.session === this.state.session) return true;
    this.context.drop('of_other_session');
    return false;
  }

  private onTimer(timer: NodeTimer): void {
    switch (timer) {
      case 'tick':
        return this.onTick();
      case 'election':
        return this.election.onElectionTimer();
      case 'apply':
        return this.applier.onApplyTimer();
      case 'reads':
        return this.readDoor.serve();
      case 'snapshot':
        return this.snapshots.onTimer();
      case 'watch':
        return this.watches.onTimer();
      case 'throttle':
        // What was held back is appended when the mailbox has run dry.
        return;
      case 'change':
        if (this.state.role === 'leader') this.change.onDeadline();
        return;
      case 'transfer':
        return this.transfer.onDeadline();
      default:
        timer satisfies never;
    }
  }

  private onTick(): void {
    const { state, context, own } = this;
    if (state.role === 'fenced') return;
    context.setTimer('tick', this.options.heartbeatIntervalMs);
    this.hold.onTick();
    if (state.role === 'opening') return this.opening.sayHello();
    if (state.role === 'leader') {
      const reason = this.leadership.reasonToStepDown();
      if (reason !== undefined) this.becomeFollower(reason);
      else if (state.cannotLead !== '') this.leaveOffice(state.cannotLead);
    }
    own.resendDue();
    own.countTick();
    own.reportSilent();
    this.rounds.tick();
    this.election.onTick();
    this.bootstrap.onTick();
    this.restore.onTick();
    this.backup.onTick();
    this.applier.onTick();
    this.snapshots.onTick();
    this.readDoor.own.onTick();
    this.stuckWatch.onTick();
    if (state.role !== 'follower' || state.leaderId === '') this.leaderFeed.hear('');
    this.watches.onTick();
    this.comparison.onTick();
    this.outside.update();
    if (!this.isLeader()) return;
    this.otherHistory.onTick();
    this.leadership.endFarewells();
    this.proposals.throttle.onTick(context.nowMs);
    this.levelRaise.onTick();
    if (state.readOnlyReason !== '' && this.change.isFlushed && !this.change.isBusy) this.transfer.handOverReadOnly();
    this.change.onTick();
  }

  /** This leader cannot read what it has to apply: another one is to lead, or nobody until one can. */
  private leaveOffice(reason: string): void {
    if (!this.transfer.handOverUnfit()) this.becomeFollower(reason);
  }

  private isLeader(): boolean {
    return this.state.role === 'leader';
  }

  private onIdle(): void {
    this.readDoor.own.flush();
    if (!this.isLeader()) return;
    // The target of a transfer has to have all entries: what comes now waits until it is known who leads.
    if (!this.transfer.holdsWrites) this.appendProposals();
    this.rounds.onIdle();
    this.watches.serve();
    this.keepHouse();
  }

  private appendProposals(): void {
    const { reason, outcome } = this.otherHistory;
    if (reason !== undefined) return this.proposals.refuseWaiting('EHISTORY', reason, outcome);
    const against = this.state.readOnlyReason === '' ? undefined : this.leadership.reasonAgainstWrites();
    if (against === undefined) this.proposals.flush();
    // It came while another was to take over, who may have heard it as well.
    else this.proposals.refuseWaiting('EREADONLY', against, 'unknown');
  }

  /** Proposes what the state machine wants done, about once a second. */
  private keepHouse(): void {
    const { context } = this;
    // It knows nothing yet.
    if (this.restore.isGoingOn) return;
    if (context.nowMs - this.housekeptMs < housekeepingMs) return;
    this.housekeptMs = context.nowMs;
    if (this.otherHistory.seen !== null || this.leadership.reasonAgainstWrites() !== undefined) return;
    const payload = this.stateMachine.housekeeping?.(context.nowMs, this.state.term, this.state.level);
    if (payload !== undefined) this.proposals.propose(undefined, payload, undefined);
  }

  // ---- clients -----------------------------------------------------------------------------------

  private onRequest(request: NodeRequest): void {
    const { context, hold } = this;
    if (this.state.role === 'fenced') return hold.refuse(request, 'EFENCED', 'another node has opened the log-store');
    if ('door' in request && request.door === 'peer') return this.carryOut(request);
    if (!this.isLeader()) {
      context.drop('request_to_no_leader');
      hold.refuseLater(request);
    } else if (hold.isEmpty && this.mayAnswer()) this.carryOut(request);
    else hold.hold(request);
  }

  private carryOut(request: NodeRequest): void {
    switch (request.type) {
      case 'admin':
        return this.adminDoor.onCommand(request);
      case 'propose':
        return this.onPropose(request);
      case 'read':
        return this.readDoor.onRead(request);
      case 'watch':
        return this.onWatch(request);
      case 'unwatch':
        return this.onUnwatch(request);
    }
  }

  private onPropose({
    requestId,
    payload,
    command,
    version = 0,
    groupUid,
  }: Extract<NodeInput, { type: 'propose' }>): void {
    if (this.otherHistory.refuses(requestId, true)) return;
    if (this.context.refuseOtherHistory(requestId, groupUid, this.state.groupUid)) return;
    const outcome = this.outcomeOfRefusal();
    const against = this.leadership.reasonAgainstWrites(this.transfer.isGoingOn);
    if (against !== undefined) return this.context.refuse(requestId, 'EREADONLY', against, outcome);
    const notReading = this.leadership.notReading(version);
    if (notReading.length > 0) {
      const text = `commands of version ${version} are not read by ${notReading.join(', ')}: bring all members to a release that reads them`;
      return this.context.refuse(requestId, 'EUNSUPPORTED', text, outcome);
    }
    this.proposals.propose(requestId, payload, command, outcome);
  }

  /**
   * What a leader says of a request that it has not appended. Another leader may have received the same message, and append it,
   * where the leases of the voters did not keep the two apart: from when this leader has ordered a transfer until its term ends,
   * as the order may arrive late; and, at the peer that was ordered to lead, until its first entry is committed.
   */
  private outcomeOfRefusal(): Outcome {
    const { transfer, leadership, election, change } = this;
    const mayHaveSuccessor = transfer.holdsWrites || leadership.lease.hasEnded;
    const mayHavePredecessor = election.wasOrdered && !change.isFlushed;
    return mayHaveSuccessor || mayHavePredecessor ? 'unknown' : 'not_done';
  }

  private onWatch(input: Extract<NodeInput, { type: 'watch' }>): void {
    const { context } = this;
    const { requestId } = input;
    if (this.otherHistory.refuses(requestId, false)) return;
    if (context.refuseOtherHistory(requestId, input.groupUid, this.state.groupUid)) return;
    // Before that, "now" might be behind what others have been told, or in another history.
    const { appliedIndex, commitIndex } = this.state;
    const hasApplied = appliedIndex >= Math.min(commitIndex, this.leadership.firstIndex);
    if (!this.change.knowsCommitted || !hasApplied || this.restore.isGoingOn) {
      return context.refuse(requestId, 'EBUSY', 'the leader has not yet applied what earlier leaders have committed');
    }
    const beyond = this.reasonBeyond(input.from);
    if (beyond === undefined) return this.watches.ask(input);
    // A leader that has been deposed and has not heard of it does not know how far the group has come.
    if (this.readDoor.leaseHolds) return context.refuse(requestId, 'EINVAL', beyond);
    context.refuse(requestId, 'EBUSY', `${beyond}, as far as this leader knows, which does not hold its lease now`);
  }

  /** Returns why nothing can be watched from that revision: nothing has it yet. Undefined: it can. */
  private reasonBeyond(from: number | undefined): string | undefined {
    const revision = this.stateMachine.history?.revision;
    if (from === undefined || revision === undefined || from <= revision + 1) return undefined;
    return `from_revision ${from} is beyond the group's last revision, ${revision}`;
  }

  private onUnwatch(input: Extract<NodeInput, { type: 'unwatch' }>): void {
    const { context } = this;
    const { requestId } = input;
    if (!context.refuseOtherHistory(requestId, input.groupUid, this.state.groupUid)) this.watches.close(input);
  }

  /** Only a leader that its quorum has lately confirmed speaks for the group. */
  private mayAnswer(): boolean {
    return this.isLeader() && this.leadership.isConfirmed();
  }

  /** The outcome of a write on the group's subjects that this node refuses now without looking at it. */
  outcomeOfOverload(at: Instant): Outcome {
    this.context.begin(at);
    return this.mayAnswer() ? this.outcomeOfRefusal() : 'unknown';
  }

  // ---- between peers -----------------------------------------------------------------------------

  private onAppendEntries(body: Body<'node.append_entries'>): void {
    const before = this.state.leaderId;
    this.appendEntries.onAppendEntries(body);
    if (this.state.leaderId !== before) this.transfer.onLeader(body);
  }

  /** A leader that left the group is asked for no vote: from this it learns that another one leads, and what waits here goes there. */
  private onLedHistory(body: HistoryAnnouncement): void {
    const { state } = this;
    if (this.outside.onLed(body)) return;
    const isLater = body.group_uid === state.groupUid && body.term > state.term;
    if (this.isLeader() && isLater) this.becomeFollower(`${body.peer_id} leads term ${body.term}`);
    else this.otherHistory.onLed(body);
  }

  private onInstallSnapshot(body: Body<'node.install_snapshot'>): void {
    const before = this.state.leaderId;
    this.install.onInstallSnapshot(body);
    if (this.state.leaderId !== before) this.transfer.onLeader(body);
  }

  private onRequestVote(body: Body<'node.request_vote'>): void {
    const { state } = this;
    const configuration = state.log.configuration;
    const isStranger =
      configuration !== undefined && !isIn(configuration.configuration, body.candidate_id, body.candidate_store_id);
    if (state.role === 'leader' && isStranger && body.group_uid === state.groupUid && configuration !== undefined) {
      // It was removed and has not heard of it: replicate to it until it has.
      const stranger = { peer_id: body.candidate_id, store_id: body.candidate_store_id };
      this.leadership.bidFarewell([stranger], configuration.index);
    }
    this.election.onRequestVote(body);
  }

  private onHigherTerm(body: Body<'node.higher_term'>): void {
    const { state, context } = this;
    if (body.group_uid !== state.groupUid || body.term <= state.term) return context.drop('higher_term_stale');
    const configuration = state.log.configuration?.configuration;
    const isVoter = configuration !== undefined && isIn(configuration, body.peer_id, body.store_id);
    if (state.role !== 'leader' || isVoter) return this.raiseTerm(body.term, `${body.peer_id} has a higher term`);
    if (this.leadership.progress(body.peer_id)?.store_id !== body.store_id)
      return context.drop('higher_term_of_stranger');
    // Whoever does not vote cannot depose a leader; it goes above that term by itself, with its lease given up.
    context.log('info', 'stands again above the term of a peer that does not vote', {
      peer: body.peer_id,
      term: body.term,
    });
    this.becomeFollower(`${body.peer_id}, which does not vote, has a higher term`);
    this.election.standNow(body.term, true);
  }

  private onCommitted(body: Body<'feed.committed'>): void {
    if (!this.isOfThisSession(body)) return;
    if (!this.isLeader() || body.term !== this.state.term) return this.context.drop('committed_stale');
    this.commitTo(body.index);
  }

  private onProgress(body: Body<'node.progress'>): void {
    if (!this.leadership.onProgress(body)) return;
    this.change.onProgress();
    this.transfer.onProgress();
    if (!this.transfer.isGoingOn) this.healing.onProgress();
  }

  // ---- the hub: changes of role and term ---------------------------------------------------------

  raiseTerm(term: Term, reason: string): void {
    const { state } = this;
    if (state.role !== 'follower') this.becomeFollower(reason);
    state.enterTerm(term, '');
  }

  beginHistory(term: Term, reason: string): void {
    this.becomeFollower(reason);
    this.state.enterTerm(term, '');
    this.install.forget();
    this.state.acknowledged.clear();
    this.readDoor.own.refuseAll(reason, 'EHISTORY');
    // What a leader of the old history could count on is over with it.
    this.state.leaderContactMs = Number.NEGATIVE_INFINITY;
  }

  becomeFollower(reason: string): void {
    const { state, context } = this;
    const wasActive = state.role === 'leader' || state.role === 'candidate' || state.role === 'pre_candidate';
    if (state.role === 'leader') this.stepDown(reason);
    state.role = 'follower';
    state.leaderId = '';
    if (wasActive) this.stopActors();
    this.election.onBecameFollower();
    context.log('debug', 'follows', { reason });
  }

  private stepDown(reason: string): void {
    const { context } = this;
    context.event('leader_stepped_down', { reason });
    this.peerReset.onSteppedDown();
    context.log('info', 'steps down', { reason });
    context.emit({ type: 'serve', group: false });
    this.proposals.refuseAll(reason, this.outcomeOfRefusal());
    this.hold.onSteppedDown();
    this.readDoor.reads.refuseAll(reason, '');
    this.watches.endAll(reason);
    this.comparison.abandon(reason);
    this.change.abandon(reason, '');
    this.bootstrap.abandon(reason);
  }

  becomeLeader(): void {
    const { state, context } = this;
    const configuration = state.log.configuration?.configuration;
    invariant(state.role === 'candidate' && configuration !== undefined, 'a candidate with a configuration is elected');
    state.role = 'leader';
    state.leaderId = state.peerId;
    this.election.onBecameLeader();
    this.transfer.onLeader({ leader_id: state.peerId });
    this.leadership.begin();
    this.levelRaise.begin();
    // Before the event, upon which clients send at once: NATS takes both in this order.
    context.emit({ type: 'serve', group: true });
    context.event('leader_elected', {
      peers: peerIds(configuration.peers),
      old_peers: peerIds(configuration.old_peers),
    });
    context.log('info', 'leads', { term: state.term });
    this.change.flush();
    this.rounds.begin();
    this.otherHistory.begin();
  }

  commitTo(index: LogIndex): void {
    const { state, context } = this;
    if (index <= state.commitIndex) return;
    invariant(index <= state.log.lastIndex, `entry ${index} is committed and not in the log`);
    const before = state.commitIndex;
    state.commitIndex = index;
    for (const entry of state.log.configurations) {
      if (entry.index <= before || entry.index > index || !state.newConfigurations.delete(entry.index)) continue;
      context.event('configuration_committed', {
        peers: peerIds(entry.configuration.peers),
        old_peers: peerIds(entry.configuration.old_peers),
        index: entry.index,
      });
      const level = levelOf(entry.configuration);
      const replaced = state.log.configurationAt(asLogIndex(entry.index - 1))?.configuration;
      if (replaced !== undefined && level > levelOf(replaced)) {
        context.event('level_raised', { level, index: entry.index });
      }
    }
    this.removal.note();
    if (this.isLeader()) this.change.onCommitted(index);
    if (this.isLeader()) this.applier.run();
    else this.applier.runSoon();
  }

  /** A stable configuration is committed, of a change or of this leader's flush. */
  private onStable(kind: 'flush' | 'change'): void {
    const configuration = this.state.log.configuration?.configuration;
    invariant(configuration !== undefined, 'a leader has a configuration');
    if (!isIn(configuration, this.state.peerId, this.state.storeId)) return this.transfer.leave();
    if (kind === 'flush') this.bootstrap.onFlushed();
  }
}
