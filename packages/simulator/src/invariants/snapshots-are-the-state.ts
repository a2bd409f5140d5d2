/**
 * A snapshot of an entry, wherever one comes to count, is the state that a fresh state machine has once it has applied the
 * committed log up to that entry; and so is what is restored from it (Raft thesis, section 5.1).
 */
import { decodeSnapshotChunk, type PeerId, SnapshotJoiner } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';
import { restoredState } from './record/reference-states.js';
import { entryText } from './words.js';

export class SnapshotsAreTheState extends Rule implements Invariant {
  readonly name = 'snapshots-are-the-state';

  onWritten(peerId: PeerId): void {
    if (!this.record.isNewSnapshot) return;
    const counts = this.record.snapshots.of(peerId);
    const entry = counts === undefined ? undefined : this.record.commits.at(counts.head.index);
    // That it is of a committed entry, `compacted-is-covered` sees to.
    if (counts === undefined || entry === undefined) return;
    const joiner = new SnapshotJoiner(counts.head.index);
    let pieces: Uint8Array[] = [];
    try {
      const chunks = this.record.snapshots.chunks(peerId, counts.slot);
      pieces = [...chunks].flatMap((chunk) => joiner.add(chunk ?? new Uint8Array(0)));
    } catch (error) {
      this.check(false, () => `the snapshot of ${peerId} does not hold together: ${(error as Error).message}`);
    }
    const state = restoredState(pieces);
    if (state === 'spoiled') return;
    this.check(
      state?.equals(this.record.states.of(entry)) === true,
      () => `the snapshot of ${peerId} at ${entryText(entry)} is not the state there`,
    );
  }

  onRestored(_life: object, pieces: () => readonly Uint8Array[]): void {
    const { message, actor } = this.record.step ?? {};
    if (message?.name !== 'node.snapshot_chunk') return;
    const entry = this.record.commits.at(decodeSnapshotChunk(message.body.chunk).index);
    this.check(entry !== undefined, () => `${actor?.name} restores what is not committed`);
    const state = restoredState(pieces());
    if (state === 'spoiled') return;
    this.check(
      state?.equals(this.record.states.of(entry)) === true,
      () => `what ${actor?.name} has restored is not the state at ${entryText(entry)}`,
    );
  }
}
