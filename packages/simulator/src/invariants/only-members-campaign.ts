/**
 * A peer campaigns, also for pre-votes, only if it has a configuration, and only if it is in one of those of its log
 * from the last one that it knows to be committed on (Raft thesis, section 4.2.2).
 */
import type { Body } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';
import { entryText, isInFrom } from './record/log-tree.js';
import { summaryOf } from './record/nodes.js';

export class OnlyMembersCampaign extends Rule implements Invariant {
  readonly name = 'only-members-campaign';

  readonly sent = {
    'ballot-box.elect': (body: Body<'ballot-box.elect'>, from: Actor) => this.onElect(body, from),
  };

  private onElect(body: Body<'ballot-box.elect'>, from: Actor): void {
    if (!this.record.isNewElection) return;
    const { peer_id, store_id } = body;
    const last = this.record.accepted.of(body)?.last;
    this.check(last?.effective !== undefined, () => `${peer_id} campaigns without a configuration`);
    this.check(
      isInFrom(last, summaryOf(from).commit_index, peer_id, store_id),
      () => `${peer_id} (${store_id}) campaigns, in no configuration of its log up to ${entryText(last)}`,
    );
  }
}
