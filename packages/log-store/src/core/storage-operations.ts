/** The operations of the storage, and its results: plain data, so that the simulator can record and replay them. */
import type { GroupId, LogIndex, PeerId, Session, Term } from '@conclave/protocol';

/** A single put or delete. */
export type PlainOperation =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'delete'; readonly key: string };

/** An operation of a write. */
export type StorageOperation =
  | PlainOperation
  /** Deletes all entries from an index on, also within a batch; precedes the puts of the same write. */
  | { readonly type: 'truncate'; readonly groupId: GroupId; readonly from: LogIndex };

/** The state of a group after a write, as recorded in the side file. It helps to detect a LevelDB that has lost synced writes. */
export interface RecordedGroup {
  readonly group_id: GroupId;
  readonly last_index: LogIndex;
  readonly term: Term;
  readonly voted_for: PeerId | '';
  readonly session: Session;
}

export interface Row {
  readonly key: string;
  readonly value: Uint8Array;
}

/** All stored rows of a group except entries and chunks; of the entries the last batch. */
export interface StoredRows {
  readonly meta: Uint8Array | undefined;
  readonly termRuns: readonly Row[];
  readonly configurations: readonly Row[];
  readonly lastBatch: Row | undefined;
  /** The record of the current snapshot. */
  readonly snapshot: Uint8Array | undefined;
}

/** Rows that are no longer needed: batches that end below the base, and chunks of snapshots that are not current. */
export interface Garbage {
  /** Batches without an entry above this index; the last of these may remain. */
  readonly upTo: LogIndex;
  /** All slots up to this one, except those that are kept. */
  readonly lastSlot: number;
  readonly keptSlots: readonly number[];
}

/** Batches in order, from the one that holds `fromIndex`. */
export interface BatchRange {
  readonly fromIndex: LogIndex;
  /** No batch that begins after this index. */
  readonly lastIndex: LogIndex;
  /** As many as fit; at least one. */
  readonly maxBytes: number;
  readonly maxBatches: number;
}
