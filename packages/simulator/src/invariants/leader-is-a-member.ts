/**
 * A leader is in at least one configuration of its own log, from the last one that it knows to be committed on (Raft
 * thesis, section 4.2.2).
 */
import type { Body } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';
import { entryText, isInFrom } from './record/log-tree.js';
import { summaryOf } from './record/nodes.js';

export class LeaderIsAMember extends Rule implements Invariant {
  readonly name = 'leader-is-a-member';
  private readonly checked = new Set<number>();

  readonly sent = {
    'ballot-box.lead': (body: Body<'ballot-box.lead'>, from: Actor) => this.onLead(body, from),
  };

  private onLead({ term, peer_id, store_id }: Body<'ballot-box.lead'>, from: Actor): void {
    if (this.checked.has(term)) return;
    this.checked.add(term);
    const last = this.record.leaders.get(term)?.elected;
    this.check(
      isInFrom(last, summaryOf(from).commit_index, peer_id, store_id),
      () => `${peer_id} (${store_id}) leads term ${term}, in no configuration of its log up to ${entryText(last)}`,
    );
  }
}
