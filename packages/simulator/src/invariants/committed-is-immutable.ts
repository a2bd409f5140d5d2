/**
 * A committed entry is never changed, and a disk that has it loses it only together with everything else (Raft thesis,
 * section 3.6.2).
 */
import type { PeerId } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';
import { entryText, hasEntry } from './record/log-tree.js';

export class CommittedIsImmutable extends Rule implements Invariant {
  readonly name = 'committed-is-immutable';

  readonly sent = {
    'feed.committed': () => {
      const { conflict } = this.record.commits;
      this.check(conflict === undefined, () => conflict ?? '');
    },
  };

  onWritten(peerId: PeerId): void {
    const deleted = this.record.change?.deleted;
    if (deleted === undefined) return;
    const isCommitted = this.record.commits.at(deleted.index) === deleted;
    this.check(!isCommitted, () => `${entryText(deleted)} is committed, and ${peerId} deletes it`);
  }

  onEnd(members: readonly PeerId[]): void {
    const { last } = this.record.commits;
    for (const peerId of members) {
      const stored = this.record.stored.ofPeer(peerId)?.last;
      this.check(
        last === undefined || hasEntry(stored, last),
        () => `${entryText(last)} is committed, and ${peerId} has a log up to ${entryText(stored)}`,
      );
    }
  }
}
