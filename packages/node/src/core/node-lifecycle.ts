/**
 * What the parts of a node do when its log-store is opened, when another node opens it, when one of its own actors restarts, and
 * when its state is found to be wrong.
 *
 * Owns nothing.
 */
import type { StateMachine } from '@conclave/actor/core';
import { asLogIndex, type Body } from '@conclave/protocol';
import type { WriteProtection } from './admin/index.js';
import type { Election, FeedSubscription, NonMember, RemovedPeer } from './follower/index.js';
import type { Quarantine, StateComparison } from './integrity/index.js';
import type { LeaderState, LeadershipTransfer } from './leader/index.js';
import type { LocalActors, LogStoreListener, SessionCheck } from './local/index.js';
import type { Applier } from './log/index.js';
import type { Bootstrap, PeerReset } from './membership/index.js';
import type { ReadRouter, Watches } from './reads/index.js';
import type { RequestRouter } from './requests/index.js';
import type { RoleControl } from './role-control.js';
import type { Backup, SnapshotReceiver, SnapshotRestore, SnapshotTaker } from './snapshot/index.js';
import type { NodeState } from './state/index.js';
import type { StepContext } from './step-context.js';

interface LifecycleParts {
  readonly applier: Applier;
  readonly backup: Backup;
  readonly bootstrap: Bootstrap;
  readonly comparison: StateComparison;
  readonly election: Election;
  readonly feed: FeedSubscription;
  readonly install: SnapshotReceiver;
  readonly leadership: LeaderState;
  readonly nonMember: NonMember;
  readonly actors: LocalActors;
  readonly peerReset: PeerReset;
  readonly quarantine: Quarantine;
  readonly readOnly: WriteProtection;
  readonly reads: ReadRouter;
  readonly removal: RemovedPeer;
  readonly requests: RequestRouter;
  readonly restore: SnapshotRestore;
  readonly roles: RoleControl;
  readonly session: SessionCheck;
  readonly snapshots: SnapshotTaker;
  readonly transfer: LeadershipTransfer;
  readonly watches: Watches;
}

export class NodeLifecycle implements LogStoreListener {
  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly stateMachine: StateMachine,
    private readonly parts: LifecycleParts,
  ) {}

  onOpened(body: Body<'node.opened'>): void {
    const { parts } = this;
    const { snapshot, installing } = body;
    parts.readOnly.onOpened(body);
    // A state that cannot be compared would never be repaired.
    parts.quarantine.onOpened(
      this.stateMachine.digest === undefined ? asLogIndex(0) : (body.diverged_at ?? asLogIndex(0)),
    );
    parts.session.ask();
    parts.removal.onCommitted();
    parts.nonMember.update();
    parts.actors.stopTerm();
    parts.election.onBecameFollower();
    parts.snapshots.onOpened(snapshot);
    parts.install.onOpened(installing);
    parts.restore.begin(snapshot);
    parts.applier.run();
  }

  onFenced(reason: string): void {
    const { parts } = this;
    parts.transfer.abandon(reason);
    parts.bootstrap.onFenced(reason);
    parts.requests.onFenced(reason);
    parts.watches.endAll(reason);
    parts.snapshots.abandon(reason);
    parts.backup.onFenced(reason);
    parts.reads.followerReads.refuseAll(reason);
    parts.peerReset.onFenced(reason);
    parts.feed.unsubscribe();
    parts.comparison.abandon(reason);
    this.context.emit({ type: 'leave_subjects' });
  }

  /** This peer's state is wrong: it answers no request from it any more, and does not lead. */
  onDiverged(reason: string): void {
    const { parts, state } = this;
    parts.snapshots.giveUp(reason);
    parts.reads.followerReads.refuseAll(reason);
    if (state.role !== 'leader') return;
    parts.transfer.transferNow(parts.comparison.agreeing(parts.transfer.others()), reason);
    if (this.isLeader()) parts.roles.becomeFollower(`${state.peerId}: ${reason}`);
  }

  /** Returns why no snapshot can be taken now; undefined: one can. */
  reasonAgainstSnapshots(): string | undefined {
    if (this.parts.restore.isInProgress) return 'the state is being restored from a snapshot';
    if (this.state.divergence !== undefined) return 'the state of this peer differs from the majority’s';
    return this.parts.install.isInProgress ? 'the leader installs a snapshot here' : undefined;
  }

  /** Sends an actor that has restarted, and has forgotten its link, all that it needs. */
  resync(kind: 'replicator' | 'ballot-box'): void {
    const { parts } = this;
    this.context.log('info', `the ${kind} has restarted`);
    if (this.isLeader()) {
      if (kind === 'ballot-box') return parts.leadership.sendBallotBoxState();
      parts.leadership.targets.sendLead();
      return parts.transfer.sendOrder();
    }
    parts.actors.stopTermOf(kind);
    if (kind === 'ballot-box') parts.election.openCount();
  }

  private isLeader(): boolean {
    return this.state.role === 'leader';
  }
}
