/**
 * Elections: when this peer stands, what it asks, and how it votes. The votes are counted by the ballot-box.
 *
 * Invariants:
 * 1. One vote a term; it is synced before it is spoken, the own one too.
 * 2. A vote compares the accepted log, and the comparison and the vote are one step.
 * 3. A pre-vote changes nothing at whom it asks (Raft thesis, section 9.6).
 * 4. A voter that hears a leader helps nobody else, unless the leader itself sent them (thesis, section 4.2.3); one
 *    that has just started helps nobody at all.
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
import type { NodeContext } from './context.js';
import type { NodeHub } from './hub.js';
import type { OwnActors } from './own-actors.js';
import type { NodeState } from './state.js';
import type { StoreBinding } from './store-binding.js';

type RequestVote = Body<'node.request_vote'>;

/**
 * A follower that hears nothing stands after one election timeout, as no voter helps it sooner, and up to this share of one: so
 * that a dead leader is replaced within one and a half. Who has not won waits for up to twice as long, as in the paper.
 */
const firstWaitShare = 0.4;

interface Candidacy {
  readonly kind: VoteKind;
  /** The term that is asked for; a pre-vote asks for one above the own. */
  readonly term: Term;
  readonly electionId: number;
  readonly configuration: Configuration;
  readonly transfer: boolean;
  /** A vote is asked for once the own one is synced. */
  asking: boolean;
  readonly sinceMs: number;
  timeoutMs: number;
}

export class Election {
  private candidacy: Candidacy | undefined;
  private lastElectionId = 0;
  private isSent = false;
  private timeoutMs: number;
  /** When this peer last left it to another one to stand. */
  private yieldedMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly own: OwnActors,
    private readonly binding: StoreBinding,
    private readonly hub: NodeHub,
  ) {
    this.timeoutMs = context.options.electionTimeoutMs;
  }

  /** Whether the election that this peer has won last was ordered by the leader before it: no voter waited for the end of its lease. */
  get wasOrdered(): boolean {
    return this.isSent;
  }

  /** Begins to wait for a leader. */
  onBecameFollower(): void {
    this.candidacy = undefined;
    this.state.electionBaseMs = this.context.nowMs;
    this.drawTimeout();
    this.context.setTimer('election', this.timeoutMs);
  }

  onBecameLeader(): void {
    this.candidacy = undefined;
    this.context.cancelTimer('election');
  }

  private drawTimeout(): void {
    this.timeoutMs = this.context.options.electionTimeoutMs * (1 + firstWaitShare * this.context.random);
  }

  /** The timer runs over contacts: it looks whether there has been one meanwhile. */
  onElectionTimer(): void {
    const { state, context } = this;
    if (state.role === 'leader' || state.role === 'opening' || state.role === 'fenced') return;
    const base = this.candidacy?.sinceMs ?? state.electionBaseMs;
    const timeoutMs = this.candidacy?.timeoutMs ?? this.timeoutMs;
    const leftMs = base + timeoutMs - context.nowMs;
    if (leftMs > 0) context.setTimer('election', leftMs);
    else this.standInTime();
  }

  /** Stands, and again after another timeout. */
  private standInTime(): void {
    const { state, context } = this;
    this.drawTimeout();
    state.electionBaseMs = context.nowMs;
    context.setTimer('election', this.timeoutMs);
    this.stand();
  }

  /** Asks for pre-votes, where this peer may stand. */
  private stand(): void {
    const { state, context, own, hub } = this;
    if (state.role !== 'follower') hub.becomeFollower('the election was not won in time');
    state.leaderId = '';
    const configuration = state.log.configuration?.configuration;
    if (configuration === undefined || !state.isElectable()) return;
    if (own.silent().length > 0) return context.drop('not_whole_does_not_stand');
    this.beginCandidacy('pre_vote', asTerm(state.term + 1), configuration, false);
    state.role = 'pre_candidate';
    this.ask();
  }

  /** Stands at once, in a new term, above `atLeast`. `transfer`: the leader has sent this peer, or is this peer. */
  standNow(atLeast: Term, transfer: boolean): void {
    const { state, context, own } = this;
    const configuration = state.log.configuration?.configuration;
    if (configuration === undefined || !state.isElectable()) return context.drop('not_electable');
    if (own.silent().length > 0) return context.drop('not_whole_does_not_stand');
    if (!own.hasRoom('log-store', true)) return context.drop('log_store_link_full');
    state.enterTerm(asTerm(Math.max(state.term, atLeast) + 1), state.peerId);
    state.role = 'candidate';
    this.beginCandidacy('vote', state.term, configuration, transfer);
    const candidacy = this.candidacy;
    invariant(candidacy !== undefined, 'a candidacy has begun');
    own.storeVote();
    own.afterSynced(() => {
      if (this.candidacy !== candidacy) return;
      candidacy.asking = true;
      this.ask();
    });
  }

  private beginCandidacy(kind: VoteKind, term: Term, configuration: Configuration, transfer: boolean): void {
    const { context } = this;
    this.lastElectionId += 1;
    this.candidacy = {
      kind,
      term,
      electionId: this.lastElectionId,
      configuration,
      transfer,
      asking: kind === 'pre_vote',
      sinceMs: context.nowMs,
      timeoutMs: context.options.electionTimeoutMs * (1 + context.random),
    };
    context.log('info', kind === 'pre_vote' ? 'asks for pre-votes' : 'stands for election', { term });
  }

  /** Opens the count, then asks all others. */
  private ask(): void {
    this.openCount();
    this.askVoters();
  }

  /** Tells the ballot-box what is counted; again after it has forgotten. */
  openCount(): void {
    const { candidacy, state, own } = this;
    if (candidacy === undefined || !candidacy.asking) return;
    own.sendFramed('ballot-box', (frame) => ({
      name: 'ballot-box.elect',
      body: {
        ...own.own,
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

  /** Asks again: requests and answers get lost. */
  onTick(): void {
    if (this.candidacy?.asking === true) this.askVoters();
  }

  onElected(body: Body<'node.elected'>): void {
    const { candidacy, context } = this;
    if (candidacy === undefined || body.election_id !== candidacy.electionId || body.term !== candidacy.term) {
      return context.drop('elected_of_other_election');
    }
    if (candidacy.kind === 'pre_vote') this.standNow(asTerm(candidacy.term - 1), false);
    else {
      this.isSent = candidacy.transfer;
      this.hub.becomeLeader();
    }
  }

  /** The leader hands over to this peer. */
  onTimeoutNow(body: Body<'node.timeout_now'>): void {
    const { state, context, hub } = this;
    const meant = body.group_uid === state.groupUid && body.target_store_id === state.storeId;
    if (!meant || body.term < state.term || state.role === 'leader' || body.group_uid === noGroupUid) {
      return context.drop('timeout_now_stale');
    }
    if (body.term > state.term) hub.raiseTerm(body.term, `${body.leader_id} hands over`);
    if (this.candidacy?.transfer === true) return context.drop('timeout_now_repeated');
    this.voidLease();
    this.standNow(state.term, true);
  }

  onRequestVote(body: RequestVote): void {
    const { state, context } = this;
    if (body.group_uid !== state.groupUid || state.groupUid === noGroupUid || body.candidate_id === state.peerId) {
      return context.drop('request_vote_of_other_history');
    }
    state.acknowledged.note(body.acknowledged);
    if (state.isUnverified) return context.drop('request_vote_unverified');
    if (this.binding.lacks(state.acknowledged.of(state.storeId), body.candidate_id))
      return context.drop('request_vote_to_older_copy');
    if (body.kind === 'pre_vote') this.onRequestPreVote(body);
    else this.onRequestRealVote(body);
  }

  private onRequestPreVote(body: RequestVote): void {
    if (body.term <= this.state.term) {
      this.own.tellHigherTerm(body.candidate_id, this.state.groupUid);
      return this.respond(body, false);
    }
    const isFree = !this.leaseHolds(body);
    const granted = isFree && this.isUpToDate(body);
    if (granted && this.mayYieldTo(body)) {
      this.yieldedMs = this.context.nowMs;
      this.hub.becomeFollower(`${body.candidate_id} asks for pre-votes, too`);
    }
    this.respond(body, granted);
    // That one cannot win, as this log has more: rather than wait for its own time this peer stands now.
    if (isFree && !granted && this.state.role === 'follower') this.standInTime();
  }

  /**
   * Of two peers that ask each other for pre-votes one goes on, so that they do not split the votes. The other one waits once,
   * and not again before it has heard a leader: the first one may be unable to win.
   */
  private mayYieldTo({ candidate_id: candidateId }: RequestVote): boolean {
    const { state } = this;
    const isFree = state.leaderContactMs >= this.yieldedMs;
    return state.role === 'pre_candidate' && candidateId < state.peerId && isFree;
  }

  private onRequestRealVote(body: RequestVote): void {
    const { state, context, own, hub } = this;
    if (body.term < state.term) {
      this.own.tellHigherTerm(body.candidate_id, this.state.groupUid);
      return this.respond(body, false);
    }
    if (this.leaseHolds(body)) return this.respond(body, false);
    this.noteRival(body);
    if (!own.hasRoom('log-store', true)) return context.drop('log_store_link_full');
    if (body.term > state.term) {
      if (body.transfer) this.voidLease();
      hub.raiseTerm(body.term, `${body.candidate_id} stands`);
    }
    // Given before this node has started, it is not given again: to which store it went is not known.
    const isSame = state.votedFor === body.candidate_id && state.votedStoreId === body.candidate_store_id;
    const free = state.votedFor === '' || isSame;
    // Who asks for pre-votes has promised nothing yet.
    const isIdle = state.role === 'follower' || state.role === 'pre_candidate';
    const granted = free && isIdle && state.leaderId === '' && this.isUpToDate(body);
    if (granted && state.role === 'pre_candidate') hub.becomeFollower(`${body.candidate_id} stands`);
    if (granted && state.votedFor === '') {
      state.votedFor = body.candidate_id;
      state.votedStoreId = body.candidate_store_id;
      state.electionBaseMs = context.nowMs;
      own.storeVote();
    }
    this.respond(body, granted);
  }

  /**
   * Another peer stands in the same term as this one, and the votes may be split. The one with more in its log, or of the lower name,
   * stands again soon, in a later term; the other one waits for as long as it drew.
   */
  private noteRival(body: RequestVote): void {
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

  /** Whether a leader may count on this voter: it was heard of, or may have been before this node started. */
  private leaseHolds(body: RequestVote): boolean {
    const { state, context } = this;
    const since = context.nowMs - context.options.electionTimeoutMs;
    // What the node before this one has heard, nobody knows; so not even the leader's word counts.
    if (state.openedMs > since) return true;
    return !body.transfer && (state.role === 'leader' || state.leaderContactMs > since);
  }

  /** The leader hands over: nobody has to wait until its lease has run out. */
  private voidLease(): void {
    this.state.leaderContactMs = Number.NEGATIVE_INFINITY;
  }

  private isUpToDate(body: RequestVote): boolean {
    const { log } = this.state;
    return body.last_term > log.lastTerm || (body.last_term === log.lastTerm && body.last_index >= log.lastIndex);
  }

  private respond(body: RequestVote, granted: boolean): void {
    const { state, context, own } = this;
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
    // A pre-vote promises nothing, so nothing of it needs to be stored.
    if (body.kind === 'pre_vote') send();
    else own.afterSynced(send);
  }
}
