/**
 * A candidate that the voters' leases do not hold up was sent by the leader of the term before its own (`timeout_now`), or has
 * led itself: a `timeout_now` of an older term, late, sends nobody (Raft thesis, section 3.10).
 */
import type { Body, PeerId } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';

export class TransfersComeFromLeaders extends Rule implements Invariant {
  readonly name = 'transfers-come-from-leaders';
  /** Who was sent, by term. */
  private readonly sentBy = new Map<string, true>();

  readonly sent = {
    'node.timeout_now': ({ term }: Body<'node.timeout_now'>, _from: unknown, to: PeerId) => {
      this.sentBy.set(`${term} ${to}`, true);
    },
    'node.request_vote': ({ kind, transfer, term, candidate_id }: Body<'node.request_vote'>) => {
      if (kind !== 'vote' || !transfer || this.sentBy.has(`${term - 1} ${candidate_id}`)) return;
      const hasLed = [...this.record.leaders.values()].some((led) => led.peerId === candidate_id && led.term < term);
      this.check(
        hasLed,
        () =>
          `${candidate_id} stands in term ${term} in spite of leases, and no leader of term ${term - 1} has sent it`,
      );
    },
  };
}
