/**
 * A node: role, term, timers, proposals, the consistency check of AppendEntries, the stages of a membership
 * change, and applying. It accesses no disk (its log-store does) and counts no quorum (its ballot-box does). It
 * publishes new entries once, on its feed; its replicators send entries to the peers that lack them.
 *
 * This file passes each input to the part that owns it. The parts and their wiring: `node-parts.ts`; messages:
 * `message-dispatcher.ts`; changes of role: `role-changes.ts`; requests: `requests/request-router.ts`.
 *
 * Invariants:
 * 1. The node sends no message that shows a new term or vote before its log-store has synced it.
 * 2. `term`, `commitIndex` and `appliedIndex` never fall.
 * 3. A peer without a configuration never campaigns.
 * 4. A node whose session has ended (fenced) does nothing any more.
 */
import type { Core, Instant, StateCounts } from '@conclave/actor/core';
import type {
  Configuration,
  HistoryAnnouncement,
  Outcome,
  Progress,
  ReadOnlyReason,
  StatusReply,
} from '@conclave/protocol';
import type { NodeHealth, NodeSummary, RestartAdvice } from './admin/index.js';
import type { NodeDependencies, NodeEffect, NodeInput, NodeOptions, NodeTimer } from './inputs-and-effects.js';
import { MessageDispatcher } from './message-dispatcher.js';
import type { NodeMeasures } from './node-measures.js';
import { NodeParts } from './node-parts.js';
import type { NodeState } from './state/index.js';
import type { StepContext } from './step-context.js';

/** How often a leader asks its state machine for housekeeping, such as an entry that ends leases whose time has passed. */
const housekeepingMs = 1000;

/** The values from which the metrics of a node are computed. */
export interface NodeMeasurements {
  readonly status: StatusReply;
  /** Counters and times that the node's steps record. */
  readonly measures: NodeMeasures;
  /** How much the state contains, as far as the state machine reports it. */
  readonly counts: StateCounts;
  /** The watches that this node serves. */
  readonly watches: number;
}

export class NodeCore implements Core<NodeInput, NodeEffect> {
  private readonly parts: NodeParts;
  private readonly messages: MessageDispatcher;
  private readonly context: StepContext;
  private readonly state: NodeState;
  private lastHousekeepingMs = 0;

  constructor(
    private readonly options: NodeOptions,
    dependencies: NodeDependencies,
  ) {
    this.parts = new NodeParts(options, dependencies);
    this.messages = new MessageDispatcher(this.parts);
    this.context = this.parts.context;
    this.state = this.parts.state;
  }

  step(input: NodeInput, at: Instant): readonly NodeEffect[] {
    const { parts } = this;
    this.context.begin(at);
    switch (input.type) {
      case 'start':
        parts.opening.start();
        break;
      case 'message':
        this.messages.onMessage(input.message);
        break;
      case 'timer':
        this.onTimer(input.timer);
        break;
      case 'idle':
        this.onIdle(input.otherAppends ?? 0);
        break;
      case 'admin':
      case 'propose':
      case 'read':
      case 'watch':
      case 'unwatch':
        parts.requests.onRequest(input);
        break;
      case 'watch_without_subscribers':
        parts.watches.onNoSubscribers(input.watchId);
        break;
      case 'led_history':
        this.onLedHistory(input.body);
        break;
      case 'feed_subscribed':
        parts.feed.onSubscribed(input.peerId);
        break;
      case 'group_unserved':
        this.onGroupUnserved(input.probeId);
        break;
      case 'group_answered':
        parts.bootstrap.onGroupAnswered(input);
        break;
      default:
        input satisfies never;
    }
    parts.requests.onStepped();
    this.context.measures.onLeader(this.state.leaderId);
    return this.context.take();
  }

  /** How many appends of this leader are uncommitted. */
  get uncommittedAppends(): number {
    return this.parts.proposals.uncommitted;
  }

  /** Returns the reply to `status`. */
  status(at: Instant): StatusReply {
    this.context.begin(at);
    return this.parts.status.reply();
  }

  /** Returns the values from which the metrics of this node are computed. */
  measurements(at: Instant): NodeMeasurements {
    const { parts, context } = this;
    const status = this.status(at);
    const counts = parts.stateMachine.counts?.() ?? {};
    return { status, measures: context.measures, counts, watches: parts.watches.size };
  }

  /**
   * Returns a leader's advice on restarts, and the configuration that the advice is based on; undefined: this node does not
   * lead.
   */
  restartAdvice(at: Instant): RestartAdvice | undefined {
    this.context.begin(at);
    return this.parts.status.restartAdvice();
  }

  /** Returns whether this node does its work; if not, why. */
  health(): NodeHealth {
    return this.parts.status.health();
  }

  /** How many inputs were dropped, by reason. */
  get dropped(): Readonly<Record<string, number>> {
    return this.context.dropped;
  }

  /** The effective configuration, as far as this node knows; undefined: none. */
  get configuration(): Configuration | undefined {
    return this.state.log.configuration?.configuration;
  }

  /** What the replicators of a leader have reported; empty: this node does not lead. */
  get progress(): readonly Progress[] {
    return this.isLeader() ? this.parts.leadership.allProgress : [];
  }

  /** Why this node is read-only, that is, stores no new entries; empty: it is not. */
  get readOnlyReason(): ReadOnlyReason {
    return this.state.readOnlyReason;
  }

  /** Returns the node in short, for service discovery. */
  summary(): NodeSummary {
    return this.parts.status.summary();
  }

  /** Returns the outcome that this node must report if it refuses a write on the group's subjects now, without parsing it. */
  outcomeOfOverload(at: Instant): Outcome {
    this.context.begin(at);
    return this.parts.requests.outcomeOfUnappended();
  }

  // ---- what the shell reports of other peers -----------------------------------------------------

  /**
   * Another peer has announced that it leads. A leader that is no longer a member receives no vote requests. The announcement
   * makes it step down at once, and not only when a peer rejects its heartbeats. Then its clients find the other leader.
   */
  private onLedHistory(body: HistoryAnnouncement): void {
    const { state } = this;
    if (this.parts.nonMember.onLed(body)) return;
    const isLater = body.group_uid === state.groupUid && body.term > state.term;
    if (this.isLeader() && isLater) this.parts.roles.becomeFollower(`${body.peer_id} leads term ${body.term}`, true);
    else this.parts.otherHistory.onLed(body);
  }

  private onGroupUnserved(probeId: number): void {
    const { parts, state, context } = this;
    if (state.role === 'opening' || state.role === 'fenced' || !parts.probe.onUnserved(probeId)) {
      return context.drop('group_unserved_stale');
    }
    parts.election.onLeaderGone();
  }

  // ---- timers ------------------------------------------------------------------------------------

  private onTimer(timer: NodeTimer): void {
    const { parts } = this;
    switch (timer) {
      case 'tick':
        return this.onTick();
      case 'election':
        return parts.election.onElectionTimer();
      case 'apply':
        return parts.applier.onApplyTimer();
      case 'reads':
        parts.reads.onTurn();
        return parts.reads.serve();
      case 'snapshot':
        return parts.snapshots.onTimer();
      case 'watch':
        return parts.watches.onTimer();
      case 'throttle':
        // The writes that the throttle held back are appended at the end of this turn (`onIdle`).
        return;
      case 'change':
        if (this.state.role === 'leader') parts.change.onDeadline();
        return;
      case 'transfer':
        return parts.transfer.onDeadline();
      default:
        timer satisfies never;
    }
  }

  private onTick(): void {
    const { state, context, parts } = this;
    const { actors } = parts;
    if (state.role === 'fenced') return;
    context.setTimer('tick', this.options.heartbeatIntervalMs);
    parts.requests.onTick();
    if (state.role === 'opening') return parts.opening.sendHello();
    if (state.role === 'leader') {
      const reason = parts.leadership.confirmation.reasonToStepDown();
      if (reason !== undefined) parts.roles.becomeFollower(reason);
      else if (state.cannotLead !== '') this.transferOrStepDown(state.cannotLead);
    }
    actors.resendDue();
    actors.beginInterval();
    actors.reportSilent();
    parts.rounds.tick();
    parts.election.onTick();
    parts.probe.probe();
    parts.bootstrap.onTick();
    parts.restore.onTick();
    parts.backup.onTick();
    parts.applier.onTick();
    parts.snapshots.onTick();
    parts.reads.onTick();
    parts.stalls.onTick();
    if (state.role !== 'follower' || state.leaderId === '') parts.feed.unsubscribe();
    parts.watches.onTick();
    parts.comparison.onTick();
    parts.nonMember.update();
    if (!this.isLeader()) return;
    parts.otherHistory.onTick();
    parts.leadership.onTick();
    parts.proposals.throttle.onTick(context.nowMs);
    parts.levelRaise.onTick();
    if (state.readOnlyReason !== '' && parts.leadership.committedOwnTerm && !parts.change.isBusy)
      parts.transfer.transferAsReadOnly();
    parts.change.onTick();
  }

  /**
   * This peer must not lead (`cannotLead`). It transfers its leadership to a peer that can lead, or steps down if there is
   * none.
   */
  private transferOrStepDown(reason: string): void {
    if (!this.parts.transfer.transferAsUnfit()) this.parts.roles.becomeFollower(reason);
  }

  private onIdle(otherAppends: number): void {
    this.parts.reads.onTurn();
    this.parts.reads.followerReads.requestReadIndexes();
    if (!this.isLeader()) return;
    // The target of a transfer must have all entries: writes wait until it is known which peer leads.
    if (!this.parts.transfer.holdsWrites) this.appendProposals(otherAppends);
    this.parts.rounds.onIdle();
    this.parts.watches.serve();
    this.proposeHousekeeping();
  }

  private appendProposals(otherAppends: number): void {
    const { reason, outcome } = this.parts.otherHistory;
    if (reason !== undefined) return this.parts.proposals.refuseWaiting('EHISTORY', reason, outcome);
    const rejection = this.state.readOnlyReason === '' ? undefined : this.parts.leadership.reasonAgainstWrites();
    if (rejection === undefined) return this.parts.proposals.appendQueued(otherAppends);
    // A read-only leader rejects writes on arrival unless it transfers its leadership. So the queued writes were held during a
    // transfer, or arrived before this leader became read-only. In the first case the target may have become leader and received
    // them, too. The queue does not show which case applies: the outcome is unknown.
    this.parts.proposals.refuseWaiting('EREADONLY', rejection, 'unknown');
  }

  /** Proposes the state machine's housekeeping, if there is any, about once a second. */
  private proposeHousekeeping(): void {
    const { context } = this;
    // The state machine is being restored from a snapshot.
    if (this.parts.restore.isInProgress) return;
    if (context.nowMs - this.lastHousekeepingMs < housekeepingMs) return;
    this.lastHousekeepingMs = context.nowMs;
    if (this.parts.otherHistory.seen !== null || this.parts.leadership.reasonAgainstWrites() !== undefined) return;
    const payload = this.parts.stateMachine.housekeeping?.(context.nowMs, this.state.term, this.state.level);
    if (payload !== undefined) this.parts.proposals.propose(undefined, payload, undefined);
  }

  private isLeader(): boolean {
    return this.state.role === 'leader';
  }
}
