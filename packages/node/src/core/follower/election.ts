/**
 * Elections: when this peer campaigns, which votes it requests, and how it votes. The ballot-box counts the votes.
 * Invariants:
 * 1. A peer grants at most one vote in a term. Only once its log-store has synced the vote does it send the vote, or, if it voted
 *    for itself, request votes.
 * 2. A voter compares the candidate's log with all entries that it has accepted, synced or not, and votes in the same step.
 * 3. A pre-vote changes neither the term nor the vote of the voter (Raft thesis, section 9.6).
 * 4. A voter that has received a leader's heartbeat within an election timeout grants no vote, unless that leader ordered the
 *    candidate to campaign (thesis, section 4.2.3), or is the candidate, or permits a vote earlier and NATS reports that it is gone
 *    (`LeaderProbe`). A voter that has opened its log-store within an election timeout grants no vote at all.
 */
import {
  allMembers,
  asTerm,
  type Body,
  type Configuration,
  invariant,
  noGroupUid,
  type Term,
  type VoteKind,
} from '@conclave/protocol';
import type { LocalActors } from '../local/index.js';
import type { RoleControl } from '../role-control.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { LeaderProbe } from './leader-probe.js';
import type { StoreBinding } from './store-binding.js';

type RequestVote = Body<'node.request_vote'>;

/**
 * A follower without a heartbeat waits for one election timeout, because no voter grants a vote sooner, and then for a random
 * time of up to this share of an election timeout. A dead leader is therefore replaced within about one and a half election
 * timeouts; much sooner, if NATS reports that its process is gone (`LeaderProbe`). A candidate that does not win waits for one to
 * two election timeouts, as in the paper.
 */
const firstWaitShare = 0.4;

interface Candidacy {
  readonly kind: VoteKind;
  /** The term for which votes are requested; for pre-votes it is the term after the current one. */
  readonly term: Term;
  readonly electionId: number;
  readonly configuration: Configuration;
  readonly transfer: boolean;
  /** Whether votes are requested now: pre-votes at once, votes only after this peer's own vote is synced. */
  requestsVotes: boolean;
  readonly sinceMs: number;
  timeoutMs: number;
}

export class Election {
  private candidacy: Candidacy | undefined;
  private lastElectionId = 0;
  private wasTransfer = false;
  private timeoutMs: number;
  /** When this peer last stopped requesting pre-votes in favor of another candidate. */
  private yieldedMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
    private readonly binding: StoreBinding,
    private readonly roles: RoleControl,
    private readonly probe: LeaderProbe,
  ) {
    this.timeoutMs = context.options.electionTimeoutMs;
  }

  /**
   * Whether voters could grant their votes in the last election that this peer won although they might just have received a heartbeat:
   * the previous leader ordered the election in a leadership transfer, or this peer was that leader and campaigned above a higher
   * term that it had seen, or this peer founded the group.
   */
  get wasOrdered(): boolean {
    return this.wasTransfer;
  }

  /** Waits for a leader, for one election timeout or longer. */
  onBecameFollower(): void {
    this.candidacy = undefined;
    this.state.recordElectionBase(this.context.nowMs);
    this.randomizeTimeout();
    this.context.setTimer('election', this.timeoutMs);
  }

  onBecameLeader(): void {
    this.candidacy = undefined;
    this.context.cancelTimer('election');
  }

  private randomizeTimeout(): void {
    this.timeoutMs = this.context.options.electionTimeoutMs * (1 + firstWaitShare * this.context.random);
  }

  /**
   * A heartbeat or a granted vote restarts the election timeout (`electionBaseMs`), but does not set the timer again. When the timer
   * fires, this checks how much of the timeout is left.
   */
  onElectionTimer(): void {
    const { state, context } = this;
    if (state.role === 'leader' || state.role === 'opening' || state.role === 'fenced') return;
    const base = this.candidacy?.sinceMs ?? state.electionBaseMs;
    const timeoutMs = this.candidacy?.timeoutMs ?? this.timeoutMs;
    const leftMs = Math.min(base + timeoutMs, this.earlyAttemptMs) - context.nowMs;
    if (leftMs > 0) context.setTimer('election', leftMs);
    else this.campaignOnTimeout();
  }

  /** NATS reports that nobody leads: this peer need not wait for the whole election timeout. */
  onLeaderGone(): void {
    if (this.earlyAttemptMs < Number.POSITIVE_INFINITY) this.onElectionTimer();
  }

  /**
   * The time at which a follower campaigns early; Infinity: it does not. After each tick of the leader it campaigns early at most once,
   * and not at all if it has granted a vote since that tick.
   */
  private get earlyAttemptMs(): number {
    const { state, probe } = this;
    const isWaiting = state.role === 'follower' && state.electionBaseMs <= state.leaderContactMs;
    return (isWaiting ? probe.attemptMs : undefined) ?? Number.POSITIVE_INFINITY;
  }

  /** Campaigns, and sets the timer for the next attempt. */
  private campaignOnTimeout(): void {
    const { state, context } = this;
    this.randomizeTimeout();
    state.recordElectionBase(context.nowMs);
    context.setTimer('election', this.timeoutMs);
    this.preCampaign();
  }

  /** Requests pre-votes, if this peer may campaign. */
  private preCampaign(): void {
    const { state, context, actors, roles } = this;
    if (state.role !== 'follower') roles.becomeFollower('the election was not won in time');
    state.followLeader('');
    const configuration = state.log.configuration?.configuration;
    if (configuration === undefined || !state.isElectable()) return;
    if (actors.silent().length > 0) return context.drop('campaign_without_actor');
    this.beginCandidacy('pre_vote', asTerm(state.term + 1), configuration, false);
    state.enterRole('pre_candidate');
    this.ask();
  }

  /**
   * Campaigns at once, in a new term above `aboveTerm`. `transfer`: a heartbeat of the leader does not prevent the voters from granting
   * their votes, because the leader ordered this election, or was this peer; or there is no leader, as this peer founds the group.
   */
  campaignNow(aboveTerm: Term, transfer: boolean): void {
    const { state, context, actors } = this;
    const configuration = state.log.configuration?.configuration;
    if (configuration === undefined || !state.isElectable()) return context.drop('not_electable');
    if (actors.silent().length > 0) return context.drop('campaign_without_actor');
    if (!actors.hasRoom('log-store', true)) return context.drop('log_store_link_full');
    state.enterTerm(asTerm(Math.max(state.term, aboveTerm) + 1), state.peerId);
    state.enterRole('candidate');
    this.beginCandidacy('vote', state.term, configuration, transfer);
    const candidacy = this.candidacy;
    invariant(candidacy !== undefined, 'a candidacy has begun');
    actors.storeVote();
    actors.afterSynced(() => {
      if (this.candidacy !== candidacy) return;
      candidacy.requestsVotes = true;
      this.ask();
    });
  }

  private beginCandidacy(kind: VoteKind, term: Term, configuration: Configuration, transfer: boolean): void {
    const { context } = this;
    context.measures.campaigns[kind] += 1;
    this.lastElectionId += 1;
    this.candidacy = {
      kind,
      term,
      electionId: this.lastElectionId,
      configuration,
      transfer,
      requestsVotes: kind === 'pre_vote',
      sinceMs: context.nowMs,
      timeoutMs: context.options.electionTimeoutMs * (1 + context.random),
    };
    context.log('info', kind === 'pre_vote' ? 'requests pre-votes' : 'campaigns', { term });
  }

  /** Opens the count in the ballot-box, then requests the votes of all others. */
  private ask(): void {
    this.openCount();
    this.askVoters();
  }

  /** Orders the ballot-box to count the votes of this election. Called again when the ballot-box has restarted. */
  openCount(): void {
    const { candidacy, state, actors } = this;
    if (candidacy === undefined || !candidacy.requestsVotes) return;
    actors.sendFramed('ballot-box', (frame) => ({
      name: 'ballot-box.elect',
      body: {
        ...actors.identity,
        ...frame,
        peer_id: state.peerId,
        group_uid: state.groupUid,
        term: candidacy.term,
        kind: candidacy.kind,
        election_id: candidacy.electionId,
        configuration: candidacy.configuration,
      },
    }));
  }

  private askVoters(): void {
    const { candidacy, state, context } = this;
    if (candidacy === undefined) return;
    const others = new Set(allMembers(candidacy.configuration).map(({ peer_id }) => peer_id));
    others.delete(state.peerId);
    for (const peerId of others) {
      context.send(peerId, {
        name: 'node.request_vote',
        body: {
          group_id: context.options.groupId,
          group_uid: state.groupUid,
          candidate_id: state.peerId,
          candidate_store_id: state.storeId,
          term: candidacy.term,
          kind: candidacy.kind,
          election_id: candidacy.electionId,
          last_index: state.log.lastIndex,
          last_term: state.log.lastTerm,
          transfer: candidacy.transfer,
          ...state.acknowledged.list(),
        },
      });
    }
  }

  /** Requests the votes again, because requests and responses may be lost. */
  onTick(): void {
    if (this.candidacy?.requestsVotes === true) this.askVoters();
  }

  onElected(body: Body<'node.elected'>): void {
    const { candidacy, context } = this;
    if (candidacy === undefined || body.election_id !== candidacy.electionId || body.term !== candidacy.term) {
      return context.drop('elected_of_other_election');
    }
    if (candidacy.kind === 'pre_vote') this.campaignNow(asTerm(candidacy.term - 1), false);
    else {
      this.wasTransfer = candidacy.transfer;
      this.roles.becomeLeader();
    }
  }

  /** The leader transfers its leadership to this peer. */
  onTimeoutNow(body: Body<'node.timeout_now'>): void {
    const { state, context, roles } = this;
    const isForThisStore = body.group_uid === state.groupUid && body.target_store_id === state.storeId;
    if (!isForThisStore || body.term < state.term || state.role === 'leader' || body.group_uid === noGroupUid) {
      return context.drop('timeout_now_stale');
    }
    if (body.term > state.term) roles.raiseTerm(body.term, `${body.leader_id} transfers its leadership`);
    if (this.candidacy?.transfer === true) return context.drop('timeout_now_repeated');
    this.forgetHeartbeat();
    this.campaignNow(state.term, true);
  }

  onRequestVote(body: RequestVote): void {
    const { state, context } = this;
    if (body.group_uid !== state.groupUid || state.groupUid === noGroupUid || body.candidate_id === state.peerId) {
      return context.drop('request_vote_of_other_history');
    }
    // The candidate reports which committed index each store has acknowledged. If this store has fewer entries than that, the data folder
    // is an older copy, and this peer must not vote (decision 0080).
    state.acknowledged.record(body.acknowledged);
    // The end of this log may be lost unnoticed until a leader has compared it with its own (decision 0082).
    if (state.isUnverified) return context.drop('request_vote_unverified');
    if (this.binding.lacks(state.acknowledged.of(state.storeId), body.candidate_id))
      return context.drop('request_vote_to_older_copy');
    if (body.kind === 'pre_vote') this.onRequestPreVote(body);
    else this.onRequestRealVote(body);
  }

  private onRequestPreVote(body: RequestVote): void {
    if (body.term <= this.state.term) {
      this.actors.sendHigherTerm(body.candidate_id, this.state.groupUid);
      return this.respond(body, false);
    }
    const mayGrant = !this.mustReject(body);
    const granted = mayGrant && this.isUpToDate(body);
    if (granted && this.mayYield(body)) {
      this.yieldedMs = this.context.nowMs;
      this.roles.becomeFollower(`${body.candidate_id} requests pre-votes, too`);
    }
    this.respond(body, granted);
    // This log is more up to date than the candidate's: this peer campaigns now instead of waiting for its own timeout.
    if (mayGrant && !granted && this.state.role === 'follower') this.campaignOnTimeout();
  }

  /**
   * If two peers request pre-votes of each other, the one with the higher name yields, so that they do not split the votes. It
   * does not yield again before it has received a heartbeat, because the other peer may be unable to win.
   */
  private mayYield({ candidate_id: candidateId }: RequestVote): boolean {
    const { state } = this;
    const hasNotYieldedSinceHeartbeat = state.leaderContactMs >= this.yieldedMs;
    return state.role === 'pre_candidate' && candidateId < state.peerId && hasNotYieldedSinceHeartbeat;
  }

  private onRequestRealVote(body: RequestVote): void {
    const { state, context, actors, roles } = this;
    if (body.term < state.term) {
      this.actors.sendHigherTerm(body.candidate_id, this.state.groupUid);
      return this.respond(body, false);
    }
    if (this.mustReject(body)) return this.respond(body, false);
    this.retryBeforeRival(body);
    if (!actors.hasRoom('log-store', true)) return context.drop('log_store_link_full');
    if (body.term > state.term) {
      if (body.transfer) this.forgetHeartbeat();
      roles.raiseTerm(body.term, `${body.candidate_id} campaigns`);
    }
    // A restarted node does not know which store of the candidate has its vote, so it does not grant that vote again.
    const isSame = state.votedFor === body.candidate_id && state.votedStoreId === body.candidate_store_id;
    const canVoteForCandidate = state.votedFor === '' || isSame;
    // A peer that requests pre-votes is not a candidate in its current term, so it may vote like a follower.
    const isIdle = state.role === 'follower' || state.role === 'pre_candidate';
    const granted = canVoteForCandidate && isIdle && state.leaderId === '' && this.isUpToDate(body);
    if (granted && state.role === 'pre_candidate') roles.becomeFollower(`${body.candidate_id} campaigns`);
    if (granted && state.votedFor === '') {
      state.grantVote(body.candidate_id, body.candidate_store_id);
      state.recordElectionBase(context.nowMs);
      actors.storeVote();
    }
    this.respond(body, granted);
  }

  /**
   * Another candidate of the same term may split the votes. The candidate with the more up-to-date log, or with the lower name
   * if both logs end with the same entry, campaigns again soon, in a later term. The other one waits for its randomized
   * timeout.
   */
  private retryBeforeRival(body: RequestVote): void {
    const { state, context, candidacy } = this;
    if (state.role !== 'candidate' || body.term !== state.term || candidacy?.kind !== 'vote') return;
    const { log } = state;
    const isEqual = body.last_term === log.lastTerm && body.last_index === log.lastIndex;
    if (isEqual ? state.peerId > body.candidate_id : this.isUpToDate(body)) return;
    const soonMs = context.options.heartbeatIntervalMs / 2;
    const timeoutMs = context.nowMs + soonMs - candidacy.sinceMs;
    if (timeoutMs >= candidacy.timeoutMs) return;
    candidacy.timeoutMs = timeoutMs;
    context.setTimer('election', soonMs);
  }

  /**
   * Whether this voter must reject the request, whatever the candidate's log contains: this node leads, or received a heartbeat
   * within the last election timeout and may not vote early (`LeaderProbe`). Both are no reason if the leader ordered this election or is the
   * candidate. In any case the request is rejected if the previous node of this peer may have received a heartbeat within that time.
   */
  private mustReject(body: RequestVote): boolean {
    const { state, context } = this;
    const since = context.nowMs - context.options.electionTimeoutMs;
    // Which heartbeats the peer's previous node received is unknown, so even a leader's order is not enough.
    if (state.openedMs > since) return true;
    if (body.transfer) return false;
    return state.role === 'leader' || (state.leaderContactMs > since && !this.probe.permitsVote);
  }

  /** The leader has ordered this election, or is the candidate: its last heartbeat prevents no vote of this peer any more. */
  private forgetHeartbeat(): void {
    this.state.recordContact(Number.NEGATIVE_INFINITY);
  }

  private isUpToDate(body: RequestVote): boolean {
    const { log } = this.state;
    return body.last_term > log.lastTerm || (body.last_term === log.lastTerm && body.last_index >= log.lastIndex);
  }

  private respond(body: RequestVote, granted: boolean): void {
    const { state, context, actors } = this;
    const message = {
      group_id: body.group_id,
      group_uid: state.groupUid,
      peer_id: state.peerId,
      store_id: state.storeId,
      term: body.term,
      kind: body.kind,
      election_id: body.election_id,
      candidate_store_id: body.candidate_store_id,
      granted,
    };
    const send = () => context.send(body.candidate_id, { name: 'ballot-box.vote_response', body: message });
    // A pre-vote promises nothing, so it need not be synced.
    if (body.kind === 'pre_vote') send();
    else actors.afterSynced(send);
  }
}
