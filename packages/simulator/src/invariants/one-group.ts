/** Under one name there is one history: nothing is committed in a second one, and no store goes over to another. */
import type { PeerId } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';

export class OneGroup extends Rule implements Invariant {
  readonly name = 'one-group';

  readonly sent = {
    'feed.committed': () => {
      const { groupUids } = this.record.commits;
      this.check(groupUids.size <= 1, () => `something is committed in the histories ${[...groupUids].join(' and ')}`);
    },
  };

  onWritten(peerId: PeerId): void {
    const { change } = this.record;
    if (change === undefined) return;
    const [before, after] = [change.before.meta.group_uid, change.store.meta.group_uid];
    this.check(before === '' || before === after, () => `the store of ${peerId} held ${before}, and now ${after}`);
  }
}
