/**
 * The contents of the next write, and the acknowledgements to send once it is synced. It owns no state of the log.
 *
 * Invariants:
 * 1. Its batches are without gaps, and follow what is stored below `truncateFrom`.
 * 2. It acknowledges only what is synced with it or before it.
 */
import {
  asLogIndex,
  type BatchHeader,
  batchUpTo,
  type Frame,
  type GroupId,
  type GroupUid,
  type LogIndex,
  type PeerId,
  type Session,
  type Term,
} from '@conclave/protocol';
import { batchKey } from './keys.js';
import type { LogState } from './log-state.js';
import { metaDiffers, putMeta, recordChanges } from './records.js';
import type { PlainOperation, StorageOperation } from './storage-operations.js';

/** An acknowledgement to a leader: this peer's log matches the leader's up to `matchIndex`. */
export interface Acknowledgement {
  readonly leaderId: PeerId;
  readonly leaderTerm: Term;
  readonly groupUid: GroupUid;
  readonly session: Session;
  readonly seq: number;
  readonly matchIndex: LogIndex;
}

interface PendingBatch {
  readonly header: BatchHeader;
  readonly bytes: Uint8Array;
}

export class WriteBatch {
  /** Whether the storage must write something. */
  isNeeded = false;
  /** The nonce of the session that this write opens; undefined: it opens none. */
  opening: string | undefined;
  /** The last message of the node's link that this write, or an earlier one, makes durable. */
  acceptedFrame: { readonly session: Session; readonly frame: Frame } | undefined;
  /**
   * Whether the messages of the node's link are acknowledged as soon as this write is synced, because the node may wait for that. If a
   * write only adds entries, the node does not wait, and the link is acknowledged after several writes.
   */
  isUrgent = false;
  private batches: PendingBatch[] = [];
  private readonly chunks: PlainOperation[] = [];
  private from: LogIndex | undefined;
  private readonly byLeader = new Map<string, Acknowledgement>();

  append(header: BatchHeader, bytes: Uint8Array): void {
    this.batches.push({ header, bytes });
    this.isNeeded = true;
  }

  /** Adds a chunk of a snapshot, under its key. */
  putChunk(key: string, value: Uint8Array): void {
    this.chunks.push({ type: 'put', key, value });
    this.isNeeded = true;
  }

  /** Drops the batches of this write from `from` on; stored entries from there to `storedLast` are deleted, too. */
  truncate(from: LogIndex, storedLast: LogIndex): void {
    this.isNeeded = true;
    if (from <= storedLast) this.from = asLogIndex(Math.min(from, this.from ?? from));
    while ((this.batches.at(-1)?.header.first ?? 0) >= from) this.batches.pop();
    const last = this.batches.pop();
    if (last === undefined) return;
    const { header, bytes } = last;
    if (header.last < from) this.batches.push(last);
    else
      this.batches.push({
        header: { ...header, last: asLogIndex(from - 1) },
        bytes: batchUpTo(bytes, asLogIndex(from - 1)),
      });
  }

  /** Whether stored entries are deleted. */
  get truncates(): boolean {
    return this.from !== undefined;
  }

  /** Acknowledgements of one leader in one term are merged into one, of the highest index. */
  acknowledge(acknowledgement: Acknowledgement): void {
    const key = `${acknowledgement.leaderTerm} ${acknowledgement.leaderId}`;
    const matchIndex = Math.max(acknowledgement.matchIndex, this.byLeader.get(key)?.matchIndex ?? 0);
    this.byLeader.set(key, { ...acknowledgement, matchIndex: asLogIndex(matchIndex) });
  }

  /** Drops the acknowledgements of entries that a truncation deletes. @returns how many */
  dropAcknowledgementsFrom(index: LogIndex): number {
    let dropped = 0;
    for (const [key, { matchIndex }] of this.byLeader) {
      if (matchIndex < index) continue;
      this.byLeader.delete(key);
      dropped += 1;
    }
    return dropped;
  }

  get acknowledgements(): Iterable<Acknowledgement> {
    return this.byLeader.values();
  }

  /**
   * The operations that change the stored state from `before` to `after`: one put per batch, and one for the group unless only
   * entries are added. So the keys of most writes rise, and LevelDB moves its tables down unchanged; a record that is put each
   * time would make it merge all of them again and again.
   */
  operations(groupId: GroupId, before: LogState, after: LogState): StorageOperation[] {
    const operations: StorageOperation[] = [];
    if (this.from !== undefined) operations.push({ type: 'truncate', groupId, from: this.from });
    for (const { header, bytes } of this.batches) {
      operations.push({ type: 'put', key: batchKey(groupId, header.first), value: bytes });
    }
    operations.push(...this.chunks);
    const changes = recordChanges(groupId, before, after);
    const addsEntriesAlone = this.from === undefined && changes.length === 0 && !metaDiffers(before, after);
    if (!addsEntriesAlone) this.isUrgent = true;
    return addsEntriesAlone ? operations : [...operations, ...changes, putMeta(groupId, after)];
  }
}
