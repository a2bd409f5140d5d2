/**
 * Entries are deleted from a disk only if a snapshot covers them that is complete on that disk and is of a committed
 * entry. The log continues after the last deleted entry, which is committed as well, and the snapshot has the
 * configuration that was effective there (Raft thesis, section 5.1).
 */
import { type PeerId, snapshotChecksum } from '@conclave/protocol';
import { configurationText, sameConfiguration } from './configurations.js';
import { type Invariant, Rule } from './invariant.js';
import { entryText } from './record/log-tree.js';

export class CompactedIsCovered extends Rule implements Invariant {
  readonly name = 'compacted-is-covered';

  onWritten(peerId: PeerId): void {
    const { change, isNewSnapshot } = this.record;
    if (change === undefined) return;
    const { before, store } = change;
    if (!isNewSnapshot && before.meta.base_index === store.meta.base_index) return;
    const { base_index, base_term, last_index, group_uid } = store.meta;
    const counts = this.record.snapshots.of(peerId);
    this.check(
      base_index >= before.meta.base_index,
      () => `the log of ${peerId} began after entry ${before.meta.base_index}, and now after ${base_index}`,
    );
    this.check(
      counts !== undefined && counts.head.index >= base_index,
      () =>
        `${peerId} deletes entries up to ${base_index}, and has a snapshot up to ${counts?.head.index ?? 'nothing'}`,
    );
    this.checkWhole(peerId);
    this.check(
      last_index === (store.last?.index ?? base_index),
      () => `the log of ${peerId} is recorded to end at ${last_index}, and ends with ${entryText(store.last)}`,
    );
    // An abandoned history is not checked any more.
    if (!this.record.commits.groupUids.has(group_uid)) return;
    const { index, term, configurations } = counts.head;
    const [end, base] = [this.record.commits.at(index), this.record.commits.at(base_index)];
    this.check(
      end?.term === term,
      () => `the snapshot of ${peerId} is of entry ${index} of term ${term}, and ${entryText(end)} is committed there`,
    );
    this.check(
      base_index === 0 || base?.term === base_term,
      () =>
        `the log of ${peerId} begins after entry ${base_index} of term ${base_term}, and that is ${entryText(base)}`,
    );
    const known = configurations.at(-1);
    const effective = end.effective;
    this.check(
      known !== undefined &&
        effective?.entry.index === known.index &&
        sameConfiguration(known.configuration, effective.configuration),
      () =>
        `the snapshot of ${peerId} uses ${known === undefined ? 'none' : configurationText(known.configuration)}, and ${
          effective === undefined ? 'none' : configurationText(effective.configuration)
        } is effective`,
    );
  }

  private checkWhole(peerId: PeerId): void {
    const counts = this.record.snapshots.of(peerId);
    if (counts === undefined) return;
    const { chunks, bytes, checksum } = counts.head;
    let [sum, size, number] = [0, 0, 0];
    for (const chunk of this.record.snapshots.chunks(peerId, counts.slot)) {
      if (chunk === undefined) break;
      sum = snapshotChecksum(chunk, sum);
      size += chunk.length;
      number += 1;
    }
    this.check(
      number === chunks && size === bytes && sum === checksum,
      () => `${peerId} has ${number} of the ${chunks} chunks of the current snapshot, ${size} of ${bytes} bytes`,
    );
  }
}
