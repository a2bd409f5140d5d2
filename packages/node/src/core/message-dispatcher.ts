/**
 * Passes each message of another actor to the part of the node that handles it, and drops those that the node cannot handle now:
 * before its log-store is open, after another node has opened it, and messages for another session.
 *
 * Owns: which part handles which message, and what a message means to more than one part. Does not own the other inputs
 * (`node-core.ts`).
 */
import { type Body, isIn, type NodeMessage } from '@conclave/protocol';
import type { NodeParts } from './node-parts.js';
import type { NodeState } from './state/index.js';
import type { StepContext } from './step-context.js';

export class MessageDispatcher {
  private readonly context: StepContext;
  private readonly state: NodeState;

  constructor(private readonly parts: NodeParts) {
    this.context = parts.context;
    this.state = parts.state;
  }

  onMessage(message: NodeMessage): void {
    const { state, context, parts } = this;
    if (message.name === 'node.welcome') return parts.opening.onWelcome(message.body);
    if (message.name === 'node.opened') return parts.opening.onOpened(message.body);
    if (state.role === 'opening') return context.drop('not_open');
    if (state.role === 'fenced') return context.drop('fenced');
    switch (message.name) {
      case 'node.fenced':
        return parts.opening.onFenced(message.body);
      case 'node.ack':
        return this.onAck(message.body);
      case 'node.append_entries':
        return this.onAppendEntries(message.body);
      case 'feed.append':
        return parts.appendEntries.onFeedAppend(message.body);
      case 'node.request_vote':
        return this.onRequestVote(message.body);
      case 'node.timeout_now':
        return parts.election.onTimeoutNow(message.body);
      case 'node.compare_state':
        return parts.comparison.onCompareState(message.body);
      case 'node.state_digest':
        return parts.comparison.onReported(message.body);
      case 'node.state_compared':
        return parts.comparison.onVerdict(message.body);
      case 'node.higher_term':
        return this.onHigherTerm(message.body);
      case 'node.elected':
        if (this.isOfThisSession(message.body)) parts.election.onElected(message.body);
        return;
      case 'feed.committed':
        return this.onCommitted(message.body);
      case 'node.confirmed':
        if (this.isOfThisSession(message.body)) parts.rounds.onConfirmed(message.body);
        return;
      case 'node.in_force':
        if (this.isOfThisSession(message.body)) parts.rounds.onInForce(message.body);
        return;
      case 'node.read_tick':
        return parts.appendEntries.onReadTick(message.body);
      case 'node.read_index':
        return parts.reads.onReadIndex(message.body);
      case 'node.read_index_answer':
        return parts.reads.followerReads.onReadIndex(message.body);
      case 'node.disk':
        if (this.isOfThisSession(message.body)) parts.readOnly.onDisk(message.body);
        return;
      case 'node.progress':
        if (state.role !== 'leader') return context.drop('progress_stale');
        return this.onProgress(message.body);
      case 'node.ballots':
        return parts.leadership.onBallots(message.body);
      case 'node.entries':
        return parts.applier.onEntries(message.body);
      case 'node.snapshot_chunk':
        if (parts.restore.expects(message.body)) return parts.restore.onChunk(message.body);
        return parts.backup.onChunk(message.body);
      case 'node.install_snapshot':
        return this.onInstallSnapshot(message.body);
      case 'node.change_announced':
        return parts.change.onAnnounced(message.body);
      case 'node.identify':
        return parts.identity.onIdentify(message.body);
      case 'node.identity':
        return parts.bootstrap.onIdentity(message.body);
      default:
        message satisfies never;
    }
  }

  private onAck(body: Body<'node.ack'>): void {
    const { actors, opening, snapshots, install } = this.parts;
    if (!actors.onAck(body)) return opening.restart('the log-store has restarted');
    if (body.actor !== 'log-store') return;
    snapshots.onSynced();
    install.onSynced();
  }

  private isOfThisSession(body: { readonly store_id: string; readonly session: number }): boolean {
    if (body.store_id === this.state.storeId && body.session === this.state.session) return true;
    this.context.drop('of_other_session');
    return false;
  }

  private onAppendEntries(body: Body<'node.append_entries'>): void {
    const before = this.state.leaderId;
    this.parts.appendEntries.onAppendEntries(body);
    if (this.state.leaderId !== before) this.parts.transfer.onLeader(body);
  }

  private onInstallSnapshot(body: Body<'node.install_snapshot'>): void {
    const before = this.state.leaderId;
    this.parts.install.onInstallSnapshot(body);
    if (this.state.leaderId !== before) this.parts.transfer.onLeader(body);
  }

  private onRequestVote(body: Body<'node.request_vote'>): void {
    const { state } = this;
    const configuration = state.log.configuration;
    const isStranger =
      configuration !== undefined && !isIn(configuration.configuration, body.candidate_id, body.candidate_store_id);
    if (state.role === 'leader' && isStranger && body.group_uid === state.groupUid && configuration !== undefined) {
      // The candidate was removed and does not know it: this leader replicates to the candidate until it does.
      const stranger = { peer_id: body.candidate_id, store_id: body.candidate_store_id };
      this.parts.leadership.targets.notifyRemoved([stranger], configuration.index);
    }
    this.parts.election.onRequestVote(body);
  }

  private onHigherTerm(body: Body<'node.higher_term'>): void {
    const { state, context } = this;
    if (body.group_uid !== state.groupUid || body.term <= state.term) return context.drop('higher_term_stale');
    const configuration = state.log.configuration?.configuration;
    const isVoter = configuration !== undefined && isIn(configuration, body.peer_id, body.store_id);
    if (state.role !== 'leader' || isVoter)
      return this.parts.roles.raiseTerm(body.term, `${body.peer_id} has a higher term`);
    if (this.parts.leadership.progress(body.peer_id)?.store_id !== body.store_id)
      return context.drop('higher_term_of_stranger');
    // A peer that does not vote cannot depose a leader. The leader ends its lease and campaigns in a term above the peer's.
    context.log('info', 'campaigns above the term of a peer that does not vote', {
      peer: body.peer_id,
      term: body.term,
    });
    this.parts.roles.becomeFollower(`${body.peer_id}, which does not vote, has a higher term`);
    this.parts.election.campaignNow(body.term, true);
  }

  private onCommitted(body: Body<'feed.committed'>): void {
    if (!this.isOfThisSession(body)) return;
    if (this.state.role !== 'leader' || body.term !== this.state.term) return this.context.drop('committed_stale');
    this.parts.roles.commitTo(body.index);
  }

  private onProgress(body: Body<'node.progress'>): void {
    if (!this.parts.leadership.onProgress(body)) return;
    this.parts.change.onProgress();
    this.parts.transfer.onProgress();
    if (!this.parts.transfer.isInProgress) this.parts.replacement.onProgress();
  }
}
