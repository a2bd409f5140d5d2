/**
 * The count of one election, pre-vote or vote (Raft thesis, sections 3.4 and 9.6).
 *
 * Owns: the granted votes. Does not decide which peer may campaign, nor what a candidate does when it has won.
 *
 * Invariants:
 * 1. A vote counts once, and only if the election's configuration names its voter, with this store, as a member.
 * 2. A joint configuration needs a majority of each of its two sets.
 * 3. Once an election is won, it stays won.
 */
import { type Body, type Configuration, hasQuorum, isIn, type PeerId, type StoreId } from '@conclave/protocol';
import { MemberValues } from './member-values.js';

type Elect = Pick<
  Body<'ballot-box.elect'>,
  'peer_id' | 'store_id' | 'group_uid' | 'term' | 'kind' | 'election_id' | 'configuration'
>;
type VoteResponse = Body<'ballot-box.vote_response'>;

export class ElectionCount {
  private readonly grants = new MemberValues();
  private readonly configuration: Configuration;

  /** The candidate's own vote is granted from the start. It counts only if the configuration names the candidate, with its store. */
  constructor(private readonly election: Elect) {
    this.configuration = election.configuration;
    this.grants.record(election.peer_id, election.store_id, 1);
  }

  get isWon(): boolean {
    return hasQuorum(this.configuration, (member) => this.grants.of(member) === 1);
  }

  /** @returns `counted`; `known`: the same vote was counted before; otherwise, why the response does not count */
  onResponse(
    response: VoteResponse,
  ): 'counted' | 'known' | 'foreign_group' | 'other_election' | 'not_a_voter' | 'refused' {
    const { election } = this;
    if (response.group_uid !== election.group_uid) return 'foreign_group';
    if (
      response.term !== election.term ||
      response.kind !== election.kind ||
      response.election_id !== election.election_id
    ) {
      return 'other_election';
    }
    // Another store may campaign under this peer's name, too: the response may be for that one.
    if (response.candidate_store_id !== election.store_id) return 'other_election';
    if (!response.granted) return 'refused';
    if (!this.isVoter(response.peer_id, response.store_id)) return 'not_a_voter';
    return this.grants.record(response.peer_id, response.store_id, 1) === 'raised' ? 'counted' : 'known';
  }

  /** The fields that identify the election when the node is notified that it is won. */
  get result(): Pick<Elect, 'term' | 'kind' | 'election_id'> {
    const { term, kind, election_id } = this.election;
    return { term, kind, election_id };
  }

  private isVoter(peerId: PeerId, storeId: StoreId): boolean {
    return isIn(this.configuration, peerId, storeId);
  }
}
