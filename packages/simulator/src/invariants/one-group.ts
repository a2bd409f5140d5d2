/**
 * Under one name there is one history: once something is committed, nobody leads and nothing is committed in a second
 * one, and no store changes to another history, except by a reset (promise 15).
 */
import type { Body, PeerId } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';

export class OneGroup extends Rule implements Invariant {
  readonly name = 'one-group';

  readonly sent = {
    'ballot-box.lead': ({ group_uid, peer_id }: Body<'ballot-box.lead'>) => {
      const { groupUids } = this.record.commits;
      this.check(
        groupUids.size === 0 || groupUids.has(group_uid),
        () => `${peer_id} leads in the history ${group_uid}, and something is committed in ${[...groupUids].join()}`,
      );
    },
    'feed.committed': () => {
      const { groupUids } = this.record.commits;
      this.check(groupUids.size <= 1, () => `something is committed in the histories ${[...groupUids].join(' and ')}`);
    },
  };

  onWritten(peerId: PeerId): void {
    const { change } = this.record;
    if (change === undefined) return;
    const [before, after] = [change.before.meta.group_uid, change.store.meta.group_uid];
    const isReset = before !== after && this.record.resets.get(after) === before;
    this.check(
      before === '' || before === after || isReset,
      () => `the store of ${peerId} held ${before}, and now ${after}`,
    );
  }
}
