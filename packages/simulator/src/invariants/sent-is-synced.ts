/** A term or a vote is synced before it is sent to another peer (Raft thesis, section 3.4; promise 16). */
import type { Body, PeerId } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';

export class SentIsSynced extends Rule implements Invariant {
  readonly name = 'sent-is-synced';

  readonly sent = {
    'ballot-box.vote_response': (body: Body<'ballot-box.vote_response'>, _from: Actor, to: PeerId) => {
      if (body.kind === 'vote' && body.granted) this.checkVote(body.store_id, body.term, to);
    },
    'node.request_vote': (body: Body<'node.request_vote'>) => {
      if (body.kind === 'vote') this.checkVote(body.candidate_store_id, body.term, body.candidate_id);
    },
    'feed.echo': (body: Body<'feed.echo'>) => this.checkTerm(body.store_id, body.leader_term),
    'node.higher_term': (body: Body<'node.higher_term'>) => this.checkTerm(body.store_id, body.term),
    'replicator.rejected': (body: Body<'replicator.rejected'>) => {
      // A peer with another store only repeats the term of the request.
      if (body.reason !== 'store') this.checkTerm(body.store_id, body.term);
    },
  };

  private checkTerm(storeId: string, term: number): void {
    const synced = this.record.stored.of(storeId)?.meta.term ?? 0;
    this.check(term <= synced, () => `term ${term} is sent by ${storeId}, where term ${synced} is synced`);
  }

  private checkVote(storeId: string, term: number, candidate: PeerId): void {
    this.checkTerm(storeId, term);
    this.check(
      this.record.hasVoted(storeId, term, candidate),
      () =>
        `${storeId} sends its vote of term ${term} for ${candidate}, and '${this.record.stored.of(storeId)?.votes.get(term) ?? ''}' is synced`,
    );
  }
}
