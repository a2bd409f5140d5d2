/**
 * A snapshot that becomes current equals the state of the key-value model after the committed log up to the snapshot's
 * entry; so does what is restored from it (Raft thesis, section 5.1). This covers keys, leases, locks, and sessions
 * with their results.
 */
import { decodeSnapshotChunk, type PeerId, SnapshotAssembler } from '@conclave/protocol';
import { differenceOf } from '../model/model-state.js';
import { type Invariant, Rule } from './invariant.js';
import { type Entry, entryText } from './record/log-tree.js';
import { restoredState } from './record/model-states.js';

export class SnapshotsAreTheState extends Rule implements Invariant {
  readonly name = 'snapshots-are-the-state';

  onWritten(peerId: PeerId): void {
    if (!this.record.isNewSnapshot) return;
    const counts = this.record.snapshots.of(peerId);
    const entry = counts === undefined ? undefined : this.record.commits.at(counts.head.index);
    // `compacted-is-covered` checks that it is of a committed entry.
    if (counts === undefined || entry === undefined) return;
    const assembler = new SnapshotAssembler(counts.head.index);
    let pieces: Uint8Array[] = [];
    try {
      const chunks = this.record.snapshots.chunks(peerId, counts.slot);
      pieces = [...chunks].flatMap((chunk) => assembler.add(chunk ?? new Uint8Array(0)));
    } catch (error) {
      this.check(false, () => `the snapshot of ${peerId} is inconsistent: ${(error as Error).message}`);
    }
    this.compare(pieces, entry, () => `the snapshot of ${peerId} at ${entryText(entry)} is not the state there`);
  }

  onRestored(_generation: object, pieces: () => readonly Uint8Array[]): void {
    const { message, actor } = this.record.step ?? {};
    if (message?.name !== 'node.snapshot_chunk') return;
    const entry = this.record.commits.at(decodeSnapshotChunk(message.body.chunk).index);
    this.check(entry !== undefined, () => `${actor?.name} restores what is not committed`);
    this.compare(pieces(), entry, () => `what ${actor?.name} has restored is not the state at ${entryText(entry)}`);
  }

  /** @throws InvariantViolation unless they give the state after the entry */
  compare(pieces: readonly Uint8Array[], entry: Entry, seen: () => string): void {
    const found = restoredState(pieces);
    if (found === 'corrupted') return;
    const expected = this.record.states.of(entry);
    const isSame = found?.length === expected.length && found.every((line, at) => line === expected[at]);
    this.check(isSame, () => `${seen()}: ${differenceOf(expected, found ?? [])}`);
  }
}
