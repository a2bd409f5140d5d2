/**
 * The count of one election, pre-vote or vote (Raft thesis, sections 3.4 and 9.6).
 *
 * Owns who has granted. Does not own who may stand, nor what a candidate does when it has won.
 *
 * Invariants:
 * 1. A vote counts once, and only from a member of the election's configuration with the store it is bound to.
 * 2. A joint configuration needs a majority of both its sets.
 * 3. Won once is won.
 */
import { type Body, type Configuration, hasQuorum, isIn, type PeerId, type StoreId } from '@conclave/protocol';
import { Tally } from './tally.js';

type Elect = Pick<
  Body<'ballot-box.elect'>,
  'peer_id' | 'store_id' | 'group_uid' | 'term' | 'kind' | 'election_id' | 'configuration'
>;
type VoteResponse = Body<'ballot-box.vote_response'>;

export class ElectionCount {
  private readonly grants = new Tally();
  private readonly configuration: Configuration;

  /** The candidate's own vote is in from the start; it counts where the configuration has the candidate. */
  constructor(private readonly election: Elect) {
    this.configuration = election.configuration;
    this.grants.note(election.peer_id, election.store_id, 1);
  }

  get isWon(): boolean {
    return hasQuorum(this.configuration, (member) => this.grants.of(member) === 1);
  }

  /** Why a response does not count, or `counted`; `known`: that vote is in. */
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
    // Under this peer's name another store may stand, too.
    if (response.candidate_store_id !== election.store_id) return 'other_election';
    if (!response.granted) return 'refused';
    if (!this.isVoter(response.peer_id, response.store_id)) return 'not_a_voter';
    return this.grants.note(response.peer_id, response.store_id, 1) === 'raised' ? 'counted' : 'known';
  }

  /** What the node is told once it is won. */
  get result(): Pick<Elect, 'term' | 'kind' | 'election_id'> {
    const { term, kind, election_id } = this.election;
    return { term, kind, election_id };
  }

  private isVoter(peerId: PeerId, storeId: StoreId): boolean {
    return isIn(this.configuration, peerId, storeId);
  }
}
