/**
 * What goes into the next write, and whom to tell once it is synced. It owns no state of the log.
 *
 * Invariants:
 * 1. Its batches are without gaps, and follow what is stored below `truncateFrom`.
 * 2. It acknowledges only what is synced with it or was before.
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
import type { PlainOperation, StorageOperation } from './operations.js';
import { metaDiffers, putMeta, recordChanges } from './records.js';

/** What a leader is told: this peer's log is the leader's up to `matchIndex`. */
export interface Acknowledgement {
  readonly leaderId: PeerId;
  readonly leaderTerm: Term;
  readonly groupUid: GroupUid;
  readonly session: Session;
  readonly seq: number;
  readonly matchIndex: LogIndex;
}

interface GatheredBatch {
  readonly header: BatchHeader;
  readonly bytes: Uint8Array;
}

export class GatheredWrite {
  /** Whether there is anything to write. */
  isNeeded = false;
  /** The opening that this write makes durable. */
  opening: string | undefined;
  /** The last message of the node's link that this write, or an earlier one, makes durable. */
  taken: { readonly session: Session; readonly frame: Frame } | undefined;
  /** Whether the node may wait for its acknowledgement: not where entries alone are added. */
  isAwaited = false;
  private batches: GatheredBatch[] = [];
  private readonly chunks: PlainOperation[] = [];
  private from: LogIndex | undefined;
  private readonly byLeader = new Map<string, Acknowledgement>();

  append(header: BatchHeader, bytes: Uint8Array): void {
    this.batches.push({ header, bytes });
    this.isNeeded = true;
  }

  /** A chunk of a snapshot, under its key. */
  putChunk(key: string, value: Uint8Array): void {
    this.chunks.push({ type: 'put', key, value });
    this.isNeeded = true;
  }

  /** Deletes what was gathered from `from` on; what is stored from there on goes too, down to `storedLast`. */
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

  /** Acknowledgements of one leader in one term become one, of the highest index. */
  acknowledge(acknowledgement: Acknowledgement): void {
    const key = `${acknowledgement.leaderTerm} ${acknowledgement.leaderId}`;
    const matchIndex = Math.max(acknowledgement.matchIndex, this.byLeader.get(key)?.matchIndex ?? 0);
    this.byLeader.set(key, { ...acknowledgement, matchIndex: asLogIndex(matchIndex) });
  }

  /** Drops the acknowledgements of entries that a truncation deletes; answers how many. */
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
   * The write, which brings what is stored from `before` to `after`: one put a batch, and one for the group unless
   * entries alone are added. Then the keys of all writes rise, and LevelDB moves its tables down as they are; a record
   * that is put each time would make it merge all of them again and again.
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
    if (!addsEntriesAlone) this.isAwaited = true;
    return addsEntriesAlone ? operations : [...operations, ...changes, putMeta(groupId, after)];
  }
}
