/**
 * The port through which a log-store keeps things, for all groups of its process. Whatever keeps them, this holds,
 * and `test/log-storage-conformance.ts` shows it:
 *
 * 1. A `write` is all or nothing, also over a crash; once its promise is settled well, it is there for good.
 * 2. Writes happen in the order in which they were asked for.
 * 3. A read sees one moment: all of a write or nothing of it.
 * 4. Clearing is no write: it is not synced, and what it deletes may be back after a crash. It deletes nothing else,
 *    whatever is written meanwhile.
 * 5. What was stored comes back as it was or not at all; who reads checks its checksum.
 */
import type { GroupId, LogIndex } from '@conclave/protocol';
import type { BatchRange, Leftovers, PlainOperation, Row, StoredRows, WriteNote } from './core/index.js';

export interface LogStorage {
  /** Whether something that was synced may be missing, as nothing was noted of the last write. */
  isUnverified?(groupId: GroupId): boolean;
  /** A leader has verified the group's log, or the group is new: that is kept. */
  onVerified?(groupId: GroupId): Promise<void>;
  /**
   * Opens what is there, or makes it.
   * @throws ConclaveError ECORRUPT where something that was synced is missing or damaged; EBUSY where another process
   * has it open.
   */
  open(): Promise<void>;
  /** All that is stored of a group but its entries and chunks, and the last batch of the entries. */
  load(groupId: GroupId): Promise<StoredRows>;
  /** Writes and syncs. `notes`: what the write brings each group to. */
  write(operations: readonly PlainOperation[], notes: readonly WriteNote[]): Promise<void>;
  /**
   * Batches in order, beginning with the one that holds (or would hold) `fromIndex`: the last that begins at or below
   * it, else the first one behind it.
   */
  readBatches(groupId: GroupId, range: BatchRange): Promise<readonly Row[]>;
  /** The keys of the batches that begin at `from` or behind it, in order. */
  batchKeysFrom(groupId: GroupId, from: LogIndex): Promise<readonly string[]>;
  /** One row; undefined where there is none. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** The first keys, whatever they are for, of a group. */
  keysOf(groupId: GroupId, most: number): Promise<readonly string[]>;
  /** Deletes what is of no more use. */
  clear(groupId: GroupId, leftovers: Leftovers): Promise<void>;
  /** Ends writing in order; what was asked for before is done. */
  close(): Promise<void>;
}
