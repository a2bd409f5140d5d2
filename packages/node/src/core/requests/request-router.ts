/**
 * Routes each request to the part that carries it out, or refuses it. A leader carries out requests on the group's subjects only
 * while no other peer can have been elected. While another peer may have been elected, the leader holds the requests.
 *
 * Owns: the held requests (`RequestHold`). Does not own the requests that it has passed to another part.
 */
import type { StateMachine } from '@conclave/actor/core';
import type { Outcome } from '@conclave/protocol';
import type { AdminRouter } from '../admin/index.js';
import type { Election } from '../follower/index.js';
import type { NodeInput } from '../inputs-and-effects.js';
import type { LeaderState, LeadershipTransfer, OtherHistory, Proposals } from '../leader/index.js';
import type { ReadRouter, Watches } from '../reads/index.js';
import type { SnapshotRestore } from '../snapshot/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import { type NodeRequest, RequestHold } from './request-hold.js';

export type { NodeRequest } from './request-hold.js';

type Of<T extends NodeRequest['type']> = Extract<NodeInput, { type: T }>;

interface RequestParts {
  readonly admin: AdminRouter;
  readonly election: Election;
  readonly leadership: LeaderState;
  readonly otherHistory: OtherHistory;
  readonly proposals: Proposals;
  readonly reads: ReadRouter;
  readonly restore: SnapshotRestore;
  readonly transfer: LeadershipTransfer;
  readonly watches: Watches;
}

export class RequestRouter {
  private readonly hold: RequestHold;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly stateMachine: StateMachine,
    private readonly parts: RequestParts,
  ) {
    this.hold = new RequestHold(context, (request) => this.carryOut(request));
  }

  onRequest(request: NodeRequest): void {
    const { context, hold, state } = this;
    if (state.role === 'fenced') return hold.refuse(request, 'EFENCED', 'another node has opened the log-store');
    if ('addressee' in request && request.addressee === 'peer') return this.carryOut(request);
    if (state.role !== 'leader') {
      context.drop('request_to_no_leader');
      hold.refuseLater(request);
    } else if (hold.isEmpty && this.mayAnswer()) this.carryOut(request);
    else hold.hold(request);
  }

  /** A step ends: carries out the held requests if this leader may answer now. */
  onStepped(): void {
    this.parts.admin.release();
    if (!this.hold.isEmpty && this.mayAnswer()) this.hold.release();
  }

  onTick(): void {
    this.hold.onTick();
  }

  /** The leadership has ended. */
  onSteppedDown(): void {
    this.hold.onSteppedDown();
  }

  onFenced(reason: string): void {
    this.hold.refuseAll(reason);
  }

  /**
   * The outcome of a write on the group's subjects that this node refuses now, without having parsed it or while it is queued. If this
   * leader cannot exclude a successor now, the successor may have executed the write.
   */
  outcomeOfUnappended(): Outcome {
    return this.mayAnswer() ? this.outcomeOfRefusal() : 'unknown';
  }

  /**
   * The outcome of a request that this leader has not appended. Two leaders can receive the same message if the first one
   * ordered a transfer, because the voters then elect the second one without waiting for an election timeout. Then the outcome is
   * unknown: at the first leader from the order until its term ends, because the order may arrive late; at the second leader until
   * its first entry is committed.
   */
  outcomeOfRefusal(): Outcome {
    const { transfer, leadership, election } = this.parts;
    const mayHaveSuccessor = transfer.holdsWrites || leadership.confirmation.lease.hasEnded;
    const mayHavePredecessor = election.wasOrdered && !leadership.committedOwnTerm;
    return mayHaveSuccessor || mayHavePredecessor ? 'unknown' : 'not_done';
  }

  /** Whether this node answers for the group: it leads, and no other peer can have been elected. */
  private mayAnswer(): boolean {
    return this.state.role === 'leader' && this.parts.leadership.confirmation.isOnlyLeader();
  }

  private carryOut(request: NodeRequest): void {
    switch (request.type) {
      case 'admin':
        return this.parts.admin.onCommand(request);
      case 'propose':
        return this.onPropose(request);
      case 'read':
        return this.parts.reads.onRead(request);
      case 'watch':
        return this.onWatch(request);
      case 'unwatch':
        return this.onUnwatch(request);
    }
  }

  private onPropose({ requestId, payload, command, version = 0, groupUid, trace }: Of<'propose'>): void {
    const { leadership, otherHistory, proposals, transfer } = this.parts;
    const { context } = this;
    if (otherHistory.refuses(requestId, true)) return;
    if (context.refuseOtherHistory(requestId, groupUid, this.state.groupUid)) return;
    const outcome = this.outcomeOfRefusal();
    const rejection = leadership.reasonAgainstWrites(transfer.isInProgress);
    if (rejection !== undefined) return context.refuse(requestId, 'EREADONLY', rejection, outcome);
    const unable = leadership.membersUnableToRead(version);
    if (unable.length > 0) {
      const text = `${unable.join(', ')} cannot read commands of version ${version}: upgrade all members to a release that can`;
      return context.refuse(requestId, 'EUNSUPPORTED', text, outcome);
    }
    proposals.propose(requestId, payload, command, outcome, trace);
  }

  private onWatch(input: Of<'watch'>): void {
    const { context, state } = this;
    const { leadership, otherHistory, reads, restore, watches } = this.parts;
    const { requestId } = input;
    if (otherHistory.refuses(requestId, false)) return;
    if (context.refuseOtherHistory(requestId, input.groupUid, state.groupUid)) return;
    // Before this leader has applied the entries that earlier leaders committed, the watch could begin at a revision that other
    // clients have passed already, or in another history.
    const hasApplied = state.appliedIndex >= Math.min(state.commitIndex, leadership.firstIndex);
    if (!leadership.knowsCommitted || !hasApplied || restore.isInProgress) {
      return context.refuse(requestId, 'EBUSY', 'the leader has not yet applied what earlier leaders have committed');
    }
    const beyond = this.reasonAgainstStart(input.from);
    if (beyond === undefined) return watches.startOrRenew(input);
    // A leader that was replaced and has not noticed it yet does not know the group's last revision.
    if (reads.useLease()) return context.refuse(requestId, 'EINVAL', beyond);
    context.refuse(
      requestId,
      'EBUSY',
      `${beyond}; this leader holds no lease now, so the group may have later revisions`,
    );
  }

  /** Returns why no watch can start at that revision: it is not written yet. Undefined: a watch can start there. */
  private reasonAgainstStart(from: number | undefined): string | undefined {
    const revision = this.stateMachine.history?.revision;
    if (from === undefined || revision === undefined || from <= revision + 1) return undefined;
    return `from_revision ${from} is beyond the group's last revision, ${revision}`;
  }

  private onUnwatch(input: Of<'unwatch'>): void {
    const { requestId, groupUid } = input;
    if (!this.context.refuseOtherHistory(requestId, groupUid, this.state.groupUid)) this.parts.watches.close(input);
  }
}
