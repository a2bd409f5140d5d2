/** What a core asks of the storage, and what it gets. Plain data, so that a run can be repeated. */
import type { GroupId, LogIndex, PeerId, Session, Term } from '@conclave/protocol';

/** A write in plain terms. */
export type PlainOperation =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'delete'; readonly key: string };

/** What is written. */
export type StorageOperation =
  | PlainOperation
  /** Deletes all entries from an index on, also within a batch; stands before what is put in the same write. */
  | { readonly type: 'truncate'; readonly groupId: GroupId; readonly from: LogIndex };

/** What is noted of a write beside the store, to notice a store that came back with less. */
export interface WriteNote {
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

/** All that is stored of a group but its entries and chunks; of the entries the last batch. */
export interface StoredRows {
  readonly meta: Uint8Array | undefined;
  readonly termRuns: readonly Row[];
  readonly configurations: readonly Row[];
  readonly lastBatch: Row | undefined;
  /** The record of the snapshot that counts. */
  readonly snapshot: Uint8Array | undefined;
}

/** What is of no more use: batches that end below the base, and the chunks of snapshots that do not count. */
export interface Leftovers {
  /** Batches that have no entry above this index; the last of these may stay. */
  readonly upTo: LogIndex;
  /** All slots up to this one, but for those that are kept. */
  readonly lastSlot: number;
  readonly keptSlots: readonly number[];
}

/** Batches in order, beginning with the one that holds `fromIndex`. */
export interface BatchRange {
  readonly fromIndex: LogIndex;
  /** No batch that begins behind this index. */
  readonly lastIndex: LogIndex;
  /** As many as fit; one at least. */
  readonly maxBytes: number;
  readonly maxBatches: number;
}
