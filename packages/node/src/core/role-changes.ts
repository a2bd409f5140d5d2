/**
 * The changes of a node's role and term, and what every part does at each. The parts ask for a change by `RoleControl`.
 *
 * Owns: the role and the commit index. Does not decide which peer becomes the leader (`election.ts`).
 *
 * Invariants:
 * 1. `term` and `commitIndex` never fall.
 * 2. A leader that steps down answers or refuses every request that it accepted.
 */
import { asLogIndex, invariant, isIn, type LogIndex, levelOf, peerIds, type Term } from '@conclave/protocol';
import type { Election, RemovedPeer } from './follower/index.js';
import type { StateComparison } from './integrity/index.js';
import type { LeaderState, LeadershipTransfer, OtherHistory, Proposals } from './leader/index.js';
import type { LocalActors } from './local/index.js';
import type { Applier } from './log/index.js';
import type { Bootstrap, ConfigurationChange, LevelRaise, PeerReset } from './membership/index.js';
import type { HeartbeatRounds, ReadRouter, Watches } from './reads/index.js';
import type { RequestRouter } from './requests/index.js';
import type { RoleControl } from './role-control.js';
import type { SnapshotReceiver } from './snapshot/index.js';
import type { NodeState } from './state/index.js';
import type { StepContext } from './step-context.js';

interface RoleParts {
  readonly applier: Applier;
  readonly bootstrap: Bootstrap;
  readonly change: ConfigurationChange;
  readonly comparison: StateComparison;
  readonly election: Election;
  readonly install: SnapshotReceiver;
  readonly leadership: LeaderState;
  readonly levelRaise: LevelRaise;
  readonly otherHistory: OtherHistory;
  readonly actors: LocalActors;
  readonly peerReset: PeerReset;
  readonly proposals: Proposals;
  readonly reads: ReadRouter;
  readonly removal: RemovedPeer;
  readonly requests: RequestRouter;
  readonly rounds: HeartbeatRounds;
  readonly transfer: LeadershipTransfer;
  readonly watches: Watches;
}

export class RoleChanges implements RoleControl {
  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly parts: RoleParts,
  ) {}

  raiseTerm(term: Term, reason: string): void {
    const { state } = this;
    if (state.role !== 'follower') this.becomeFollower(reason, true);
    state.enterTerm(term, '');
  }

  beginHistory(term: Term, reason: string): void {
    this.becomeFollower(reason);
    this.state.enterTerm(term, '');
    this.parts.install.forget();
    this.state.acknowledged.clear();
    this.parts.reads.followerReads.refuseAll(reason, 'EHISTORY');
    // The heartbeats of a leader of the old history prevent no vote any more.
    this.state.recordContact(Number.NEGATIVE_INFINITY);
  }

  becomeFollower(reason: string, mayHaveSuccessor = false): void {
    const { state, context } = this;
    const wasActive = state.role === 'leader' || state.role === 'candidate' || state.role === 'pre_candidate';
    if (state.role === 'leader') this.stepDown(reason, mayHaveSuccessor);
    state.enterRole('follower');
    state.followLeader('');
    if (wasActive) this.parts.actors.stopTerm();
    this.parts.election.onBecameFollower();
    context.log('debug', 'follows', { reason });
  }

  private stepDown(reason: string, mayHaveSuccessor: boolean): void {
    const { context, parts } = this;
    context.event('leader_stepped_down', { reason });
    parts.peerReset.onSteppedDown();
    context.log('info', 'steps down', { reason });
    context.emit({ type: 'serve', group: false });
    // A successor may have received what is queued here, too.
    parts.proposals.refuseAll(reason, mayHaveSuccessor ? 'unknown' : parts.requests.outcomeOfUnappended());
    parts.requests.onSteppedDown();
    parts.reads.leaderReads.refuseAll(reason, '');
    parts.watches.endAll(reason);
    parts.comparison.abandon(reason);
    parts.change.abandon(reason, '');
    parts.bootstrap.abandon(reason);
  }

  becomeLeader(): void {
    const { state, context, parts } = this;
    const configuration = state.log.configuration?.configuration;
    invariant(state.role === 'candidate' && configuration !== undefined, 'a candidate with a configuration is elected');
    state.enterRole('leader');
    state.followLeader(state.peerId);
    parts.election.onBecameLeader();
    parts.transfer.onLeader({ leader_id: state.peerId });
    parts.leadership.begin();
    parts.levelRaise.begin();
    // Before the event, after which clients send at once: NATS receives both in this order.
    context.emit({ type: 'serve', group: true });
    context.event('leader_elected', {
      peers: peerIds(configuration.peers),
      old_peers: peerIds(configuration.old_peers),
    });
    context.log('info', 'leads', { term: state.term });
    parts.change.flush();
    parts.rounds.begin();
    parts.otherHistory.begin();
  }

  commitTo(index: LogIndex): void {
    const { state, parts } = this;
    if (index <= state.commitIndex) return;
    invariant(index <= state.log.lastIndex, `entry ${index} is committed and not in the log`);
    const before = state.commitIndex;
    state.commitTo(index);
    parts.proposals.onCommitted();
    this.publishCommitted(before);
    parts.removal.onCommitted();
    if (state.role === 'leader') parts.change.onCommitted(index);
    if (state.role === 'leader') parts.applier.run();
    else parts.applier.runSoon();
  }

  /** Publishes the commit of each configuration that was appended in this run. */
  private publishCommitted(before: LogIndex): void {
    const { state, context } = this;
    for (const entry of state.log.configurations) {
      const isCommittedNow = entry.index > before && entry.index <= state.commitIndex;
      if (!isCommittedNow || !state.newConfigurations.delete(entry.index)) continue;
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
  }

  /** A stable configuration is committed, of a change or of this leader's flush. */
  onStable(kind: 'flush' | 'change'): void {
    const { state, parts } = this;
    const configuration = state.log.configuration?.configuration;
    invariant(configuration !== undefined, 'a leader has a configuration');
    if (!isIn(configuration, state.peerId, state.storeId)) return parts.transfer.transferAsRemoved();
    if (kind === 'flush') parts.bootstrap.onFlushed();
  }
}
