/**
 * If a snapshot is installed into a log that has the snapshot's last entry, all entries after that one stay: they may
 * have been acknowledged (Raft thesis, section 5.3). What is deleted otherwise is not committed: see
 * `committed-is-immutable`.
 */
import type { PeerId } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';
import { entryAt, entryText } from './record/log-tree.js';

export class InstallsKeepWhatMatches extends Rule implements Invariant {
  readonly name = 'installs-keep-what-matches';

  onWritten(peerId: PeerId): void {
    const { change, isNewSnapshot } = this.record;
    if (!isNewSnapshot || change?.deleted === undefined) return;
    const { store, before, deleted } = change;
    const { base_index, base_term } = store.meta;
    const matched = entryAt(before.last, base_index)?.term === base_term;
    // Entries that the same write replaced are not deleted by the snapshot.
    const isReplaced = entryAt(store.last, deleted.index) !== undefined;
    this.check(
      !matched || isReplaced,
      () => `${peerId} deletes ${entryText(deleted)} with a snapshot up to entry ${base_index}, which it had`,
    );
  }
}
