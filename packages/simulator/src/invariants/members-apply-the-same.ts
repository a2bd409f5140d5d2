/**
 * All state machines that have applied an entry have the same state, by its digest: after every entry, and after each
 * restore from a snapshot (Raft thesis, figure 3.2: State Machine Safety).
 */
import { decodeSnapshotChunk, type LogIndex } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';
import { type Entry, entryText } from './record/log-tree.js';

export class MembersApplyTheSame extends Rule implements Invariant {
  readonly name = 'members-apply-the-same';
  /** By entry: the digest of the first state machine that applied it. */
  private readonly digests = new WeakMap<Entry, { readonly digest: string; readonly peer: string }>();

  onDigest(index: LogIndex | undefined, digest: string): void {
    const { message, actor } = this.record.step ?? {};
    const restored =
      message?.name === 'node.snapshot_chunk' ? decodeSnapshotChunk(message.body.chunk).index : undefined;
    const entry = this.record.commits.at(index ?? restored ?? 0);
    // Other invariants check that it is committed.
    if (entry === undefined) return;
    const first = this.digests.get(entry);
    if (first === undefined) {
      this.digests.set(entry, { digest, peer: actor?.name ?? '' });
      return;
    }
    this.check(
      first.digest === digest,
      () => `after ${entryText(entry)} the state of ${actor?.name} differs from the one of ${first.peer}`,
    );
  }
}
