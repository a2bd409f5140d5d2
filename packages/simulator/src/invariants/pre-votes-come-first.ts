/**
 * A candidate that campaigns in a new term has won a pre-vote for it, with a majority of each set of the configuration
 * in its log (Raft thesis, section 9.6): a candidate that cannot win raises no term. Exempt are the target of a
 * leadership transfer, a leader that campaigns above the term of a peer without a vote, and the founder of a group,
 * which is alone.
 */
import type { Body, PeerId } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { configurationText, hasQuorum } from './configurations.js';
import { type Invariant, Rule } from './invariant.js';

export class PreVotesComeFirst extends Rule implements Invariant {
  readonly name = 'pre-votes-come-first';
  /** By candidate and term: the stores that granted a pre-vote. */
  private readonly helpers = new Map<string, Set<string>>();

  readonly sent = {
    'ballot-box.vote_response': (body: Body<'ballot-box.vote_response'>, _from: Actor, to: PeerId) => {
      if (body.kind === 'pre_vote' && body.granted) this.helpersOf(to, body.term).add(body.store_id);
    },
    'log-store.vote': (body: Body<'log-store.vote'>, from: Actor) => {
      if (this.record.isNewVote && body.voted_for === from.peerId) this.onCampaign(body);
    },
  };

  private helpersOf(candidate: PeerId, term: number): Set<string> {
    const key = `${candidate} ${term}`;
    const helpers = this.helpers.get(key) ?? new Set();
    this.helpers.set(key, helpers);
    return helpers;
  }

  private onCampaign(body: Body<'log-store.vote'>): void {
    const last = this.record.accepted.of(body)?.last;
    const received = this.record.step?.message?.name;
    const isFounding = last === undefined || last.index === 1;
    if (isFounding || received === 'node.timeout_now' || received === 'node.higher_term') return;
    const configuration = last.effective?.configuration;
    const helpers = this.helpersOf(body.voted_for as PeerId, body.term);
    this.check(
      configuration !== undefined &&
        hasQuorum(configuration, ({ store_id }) => store_id === body.store_id || helpers.has(store_id)),
      () =>
        `${body.voted_for} campaigns in term ${body.term}, and ${[...helpers].join(', ') || 'nobody'} granted it a pre-vote, of ${
          configuration === undefined ? 'none' : configurationText(configuration)
        }`,
    );
  }
}
