/**
 * The parts of a node, and how they are wired: which of them knows which, and which events each passes on. Nothing happens here.
 */
import type { StateMachine } from '@conclave/actor/core';
import { AdminRouter, NodeStatus, StallDetector, WriteProtection } from './admin/index.js';
import {
  AppendEntriesHandler,
  Election,
  FeedSubscription,
  Identity,
  LeaderProbe,
  NonMember,
  RemovedPeer,
  StoreBinding,
} from './follower/index.js';
import type { NodeDependencies, NodeOptions } from './inputs-and-effects.js';
import { Quarantine, StateComparison } from './integrity/index.js';
import { LeaderState, LeadershipTransfer, OtherHistory, Proposals } from './leader/index.js';
import { LocalActors, LogStoreOpener, SessionCheck } from './local/index.js';
import { Applier, LogAppender } from './log/index.js';
import { Bootstrap, ConfigurationChange, LevelRaise, PeerReset, StoreReplacement } from './membership/index.js';
import { NodeLifecycle } from './node-lifecycle.js';
import { HeartbeatRounds, ReadRouter, Watches } from './reads/index.js';
import { RequestRouter } from './requests/index.js';
import { RoleChanges } from './role-changes.js';
import { Backup, SnapshotReceiver, SnapshotRestore, SnapshotTaker } from './snapshot/index.js';
import { NodeState } from './state/index.js';
import { StepContext } from './step-context.js';

export class NodeParts {
  readonly context: StepContext;
  readonly state: NodeState;
  readonly stateMachine: StateMachine;
  readonly roles: RoleChanges;
  readonly lifecycle: NodeLifecycle;
  // Every node.
  readonly actors: LocalActors;
  readonly opening: LogStoreOpener;
  readonly session: SessionCheck;
  readonly binding: StoreBinding;
  readonly feed: FeedSubscription;
  readonly probe: LeaderProbe;
  readonly appendEntries: AppendEntriesHandler;
  readonly election: Election;
  readonly identity: Identity;
  readonly removal: RemovedPeer;
  readonly nonMember: NonMember;
  readonly applier: Applier;
  readonly restore: SnapshotRestore;
  readonly snapshots: SnapshotTaker;
  readonly install: SnapshotReceiver;
  readonly backup: Backup;
  readonly bootstrap: Bootstrap;
  readonly peerReset: PeerReset;
  readonly readOnly: WriteProtection;
  readonly stalls: StallDetector;
  readonly quarantine: Quarantine;
  readonly comparison: StateComparison;
  // A leader.
  readonly leadership: LeaderState;
  readonly otherHistory: OtherHistory;
  readonly appender: LogAppender;
  readonly proposals: Proposals;
  readonly transfer: LeadershipTransfer;
  readonly change: ConfigurationChange;
  readonly replacement: StoreReplacement;
  readonly levelRaise: LevelRaise;
  readonly rounds: HeartbeatRounds;
  readonly watches: Watches;
  // Requests.
  readonly reads: ReadRouter;
  readonly admin: AdminRouter;
  readonly requests: RequestRouter;
  readonly status: NodeStatus;

  constructor(options: NodeOptions, { stateMachine, divergence }: NodeDependencies) {
    const context = new StepContext(options);
    const state = new NodeState(options.peerId, options.levels, stateMachine.commandVersion, divergence);
    this.context = context;
    this.state = state;
    this.stateMachine = stateMachine;
    // These three look the parts up when they are called.
    const roles = new RoleChanges(context, state, this);
    const lifecycle = new NodeLifecycle(context, state, stateMachine, this);
    const status = new NodeStatus(context, state, this);
    this.roles = roles;
    this.lifecycle = lifecycle;
    this.status = status;
    const restart = (reason: string): void => this.opening.restart(reason);

    const actors = new LocalActors(context, state, (kind) => lifecycle.resync(kind));
    this.actors = actors;
    this.opening = new LogStoreOpener(context, state, actors, roles, lifecycle);
    this.session = new SessionCheck(context, state, actors);
    this.binding = new StoreBinding(context, state);
    this.feed = new FeedSubscription(context);
    this.probe = new LeaderProbe(context, state);
    this.removal = new RemovedPeer(context, state);
    this.nonMember = new NonMember(context, state);
    this.appendEntries = new AppendEntriesHandler(
      context,
      state,
      actors,
      roles,
      this.feed,
      this.binding,
      this.session,
      this.probe,
    );
    this.election = new Election(context, state, actors, this.binding, roles, this.probe);

    const leadership = new LeaderState(context, state, actors);
    this.leadership = leadership;
    this.otherHistory = new OtherHistory(context, state, leadership);
    this.appender = new LogAppender(context, state, actors, {
      needsPayload: () => leadership.targets.needsPayload,
      onConfiguration: () => leadership.confirmation.onConfiguration(),
    });
    this.proposals = new Proposals(context, state, actors, this.appender);
    this.transfer = new LeadershipTransfer(context, state, actors, leadership, roles);
    this.watches = new Watches(context, stateMachine);

    this.applier = new Applier(context, state, actors, stateMachine, {
      onApplied: (index, result) => this.proposals.onApplied(index, result),
      onAllApplied: () => this.reads.serve(),
      onCompareIndex: () => this.comparison.onApplied(),
    });
    this.restore = new SnapshotRestore(context, state, actors, this.applier, stateMachine, restart);
    this.snapshots = new SnapshotTaker(context, state, actors, this.applier, leadership, stateMachine, {
      obstacle: () => lifecycle.reasonAgainstSnapshots(),
      onBegun: () => this.install.forget(),
    });
    this.install = new SnapshotReceiver(context, state, actors, this.appendEntries, {
      onBegun: () => this.snapshots.giveUp('the leader installs a snapshot'),
      onInstalled: () => {
        this.quarantine.onInstalled();
        restart('a snapshot is installed');
      },
    });
    this.backup = new Backup(context, state, actors);

    this.change = new ConfigurationChange(context, state, leadership, this.proposals, this.appender, {
      onStable: (kind) => roles.onStable(kind),
      onReplacementFailed: (peerId, reason) => this.replacement.onFailed(peerId, reason),
    });
    this.replacement = new StoreReplacement(context, state, leadership, this.change);
    this.levelRaise = new LevelRaise(context, state, leadership, this.change, () => this.transfer.isInProgress);
    this.bootstrap = new Bootstrap(
      context,
      state,
      actors,
      leadership,
      this.election,
      this.change,
      this.backup,
      restart,
    );
    this.identity = new Identity(context, state, this.bootstrap);
    this.peerReset = new PeerReset(context, state, actors, roles, () => this.quarantine.onReset());

    this.readOnly = new WriteProtection(context, state, actors);
    this.stalls = new StallDetector(context, state);
    this.quarantine = new Quarantine(context, state, {
      onBegun: (reason) => lifecycle.onDiverged(reason),
      onChanged: () => this.readOnly.store(),
      onRestart: restart,
    });
    this.comparison = new StateComparison(context, state, stateMachine, {
      onCompared: (...compared) => this.quarantine.onCompared(...compared),
      onSnapshotWanted: (index) => this.snapshots.ensure(index),
      snapshotWanted: () => this.quarantine.snapshotWanted,
    });

    this.reads = new ReadRouter(
      context,
      state,
      stateMachine,
      leadership,
      roles,
      () => this.restore.isInProgress,
      this.otherHistory,
      this.nonMember,
    );
    this.rounds = new HeartbeatRounds(context, state, actors, leadership, this.reads.leaderReads, this.session);
    this.admin = new AdminRouter(context, state, this, () => status.reply());
    this.requests = new RequestRouter(context, state, stateMachine, this);
  }
}
