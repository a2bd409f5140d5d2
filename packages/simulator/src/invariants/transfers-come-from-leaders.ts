/**
 * A candidate whose requests contain `transfer`, so that voters need not wait for an election timeout, was ordered to campaign by the
 * leader of the term before its own (`timeout_now`), or was that leader. A late `timeout_now` of an older term makes no peer campaign.
 * A replicator sends `timeout_now` only to a target that has synced all entries that the leader had when it ordered the transfer
 * (Raft thesis, section 3.10).
 */
import type { Body, PeerId } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';

export class TransfersComeFromLeaders extends Rule implements Invariant {
  readonly name = 'transfers-come-from-leaders';
  /** By term and peer: a `timeout_now` was sent. */
  private readonly sentBy = new Map<string, true>();

  /** By term and target: the index that the target must have synced. */
  private readonly ordered = new Map<string, number>();

  readonly sent = {
    'replicator.transfer': ({ term, peer_id, last_index }: Body<'replicator.transfer'>) => {
      if (!this.ordered.has(`${term} ${peer_id}`)) this.ordered.set(`${term} ${peer_id}`, last_index);
    },
    'node.timeout_now': ({ term, target_store_id }: Body<'node.timeout_now'>, from: Actor, to: PeerId) => {
      this.sentBy.set(`${term} ${to}`, true);
      const minIndex = this.ordered.get(`${term} ${to}`);
      if (from.kind !== 'replicator' || minIndex === undefined) return;
      const stored = this.record.stored.of(target_store_id);
      const last = Math.max(stored?.last?.index ?? 0, stored?.meta.base_index ?? 0);
      this.check(last >= minIndex, () => `${to} is ordered to campaign, and has synced up to ${last} of ${minIndex}`);
    },
    'node.request_vote': ({ kind, transfer, term, candidate_id }: Body<'node.request_vote'>) => {
      if (kind !== 'vote' || !transfer || this.sentBy.has(`${term - 1} ${candidate_id}`)) return;
      const hasLed = [...this.record.leaders.values()].some((led) => led.peerId === candidate_id && led.term < term);
      this.check(
        hasLed,
        () =>
          `${candidate_id} campaigns in term ${term} as ordered by a leader, but no leader of term ${term - 1} ordered it`,
      );
    },
  };
}
