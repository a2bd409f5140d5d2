/**
 * The port to the storage of a log-store, for all groups of its process. Each implementation guarantees what follows, which
 * `test/log-storage-conformance.ts` tests:
 *
 * 1. A `write` is atomic, also across a crash; once its promise has resolved, it is durable.
 * 2. Writes happen in the order in which they were requested.
 * 3. A read sees all of a write or nothing of it.
 * 4. A purge is not a write: it is not synced, and deleted rows may exist again after a crash. It deletes only garbage, even if
 *    rows are written meanwhile.
 * 5. A row is read as it was stored, or not found, or damaged in a way that its checksum shows; its reader verifies the checksum.
 */
import type { GroupId, LogIndex } from '@conclave/protocol';
import type { BatchRange, Garbage, PlainOperation, RecordedGroup, Row, StoredRows } from './core/index.js';

export interface LogStorage {
  /** Whether synced data of the group may be missing unnoticed: the side file was missing or damaged, and no leader has verified the log since. */
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
  /** Writes and syncs. `groups`: the state of each written group after the write, for the side file. */
  write(operations: readonly PlainOperation[], groups: readonly RecordedGroup[]): Promise<void>;
  /** Returns batches in order. The first one is the last batch that begins at or below `fromIndex`; if there is none, the first one after it. */
  readBatches(groupId: GroupId, range: BatchRange): Promise<readonly Row[]>;
  /** The keys of the batches that begin at or after `from`, in order. */
  batchKeysFrom(groupId: GroupId, from: LogIndex): Promise<readonly string[]>;
  /** One row; undefined: there is none. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** Returns the first keys of a group, of all kinds of rows, at most `maxCount`. */
  keysOf(groupId: GroupId, maxCount: number): Promise<readonly string[]>;
  /** Deletes garbage. */
  purge(groupId: GroupId, garbage: Garbage): Promise<void>;
  /** Finishes the requested writes and closes the storage. */
  close(): Promise<void>;
}
