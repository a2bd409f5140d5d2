/**
 * The port to the storage of a log-store, for all groups of its process. Each implementation guarantees what follows, which
 * `test/log-storage-conformance.ts` tests:
 *
 * 1. A `write` is atomic, also across a crash; once its promise has resolved, it is durable.
 * 2. Writes happen in the order in which they were requested.
 * 3. A read sees all of a write or nothing of it.
 * 4. A purge is not a write: it is not synced, and deleted rows may be back after a crash. It deletes nothing else,
 *    whatever is written meanwhile.
 * 5. A stored row comes back unchanged or not at all; its reader verifies its checksum.
 */
import type { GroupId, LogIndex } from '@conclave/protocol';
import type { BatchRange, DurabilityNote, Garbage, PlainOperation, Row, StoredRows } from './core/index.js';

export interface LogStorage {
  /** Whether synced data may be missing, as there is no record of the last write. */
  isUnverified?(groupId: GroupId): boolean;
  /** Records that a leader has verified the group's log, or that the group is new. */
  onVerified?(groupId: GroupId): Promise<void>;
  /**
   * Opens the store, or creates it.
   * @throws ConclaveError ECORRUPT if synced data are missing or damaged; EBUSY if another process has the store open
   */
  open(): Promise<void>;
  /** Loads all rows of a group except entries and chunks, and the last batch of the entries. */
  load(groupId: GroupId): Promise<StoredRows>;
  /** Writes and syncs. `notes`: the state of each group after the write, for the side file. */
  write(operations: readonly PlainOperation[], notes: readonly DurabilityNote[]): Promise<void>;
  /**
   * Batches in order, from the one that holds (or would hold) `fromIndex`: the last that begins at or below it, else the
   * first one after it.
   */
  readBatches(groupId: GroupId, range: BatchRange): Promise<readonly Row[]>;
  /** The keys of the batches that begin at or after `from`, in order. */
  batchKeysFrom(groupId: GroupId, from: LogIndex): Promise<readonly string[]>;
  /** One row; undefined: there is none. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** The first keys of a group, of whatever kind. */
  keysOf(groupId: GroupId, maxCount: number): Promise<readonly string[]>;
  /** Deletes garbage. */
  purge(groupId: GroupId, garbage: Garbage): Promise<void>;
  /** Finishes the requested writes and closes the storage. */
  close(): Promise<void>;
}
