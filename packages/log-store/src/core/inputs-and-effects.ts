/** The inputs and effects of a log-store's core. */
import type { IdleInput, Log, MessageInput, Send } from '@conclave/actor/core';
import type { GroupId, Levels, LogStoreMessage, PeerId } from '@conclave/protocol';
import type { BatchRange, Garbage, RecordedGroup, Row, StorageOperation, StoredRows } from './storage-operations.js';

export interface LogStoreOptions {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  /** The id of this run of the log-store. */
  readonly incarnation: string;
  /** With less free space than this, the disk counts as full. */
  readonly diskReserveBytes: number;
  /** Synced data may be missing. */
  readonly isUnverified?: boolean | undefined;
  /** The feature levels that this process supports; the default is those of this build. */
  readonly levels?: Levels | undefined;
}

/**
 * `ECORRUPT`: stored data are damaged. `EINVAL`: they are of another peer, or of an unknown version. `EIO`: the storage cannot
 * write; what it holds is unknown.
 */
export type FailureCode = 'ECORRUPT' | 'EINVAL' | 'EIO';

export type LogStoreInput =
  /** Once, as the first input. */
  | { readonly type: 'start' }
  | MessageInput<LogStoreMessage>
  | IdleInput
  /** Reply to `load`. */
  | { readonly type: 'loaded'; readonly rows: StoredRows }
  /** The write is synced. */
  | { readonly type: 'written' }
  /** The write failed: it may or may not be stored. */
  | { readonly type: 'write_failed'; readonly code: FailureCode; readonly message: string }
  /** Reply to `read`. */
  | { readonly type: 'read_done'; readonly token: number; readonly rows: readonly Row[] }
  /** Reply to `read_chunk`; undefined: the chunk does not exist. */
  | { readonly type: 'chunk_read'; readonly token: number; readonly chunk: Uint8Array | undefined }
  /** The free space of the disk. From time to time. */
  | {
      readonly type: 'disk';
      /** Undefined: it cannot be measured now. */
      readonly freeBytes: number | undefined;
      /** What keeps the storage from working now, and may end; undefined: nothing. */
      readonly problem?: string | undefined;
      /** Whether nothing can be stored meanwhile. */
      readonly stopsWrites?: boolean;
    }
  /** The storage could not load or read. */
  | { readonly type: 'storage_failed'; readonly code: FailureCode; readonly message: string };

export type LogStoreEffect =
  | Send
  | Log
  /** Load all rows of the group except entries. */
  | { readonly type: 'load' }
  /** Write and sync, atomically. At most one is outstanding. */
  | { readonly type: 'write'; readonly operations: readonly StorageOperation[]; readonly group: RecordedGroup }
  /** Read batches. */
  | { readonly type: 'read'; readonly token: number; readonly range: BatchRange }
  /** Read a chunk of a snapshot. */
  | { readonly type: 'read_chunk'; readonly token: number; readonly slot: number; readonly number: number }
  /** Delete garbage: at any time, in any part, or not at all, as it is requested again after a restart. */
  | { readonly type: 'purge'; readonly garbage: Garbage }
  /** A leader has verified the log, or it is new: no synced data can be missing any more. */
  | { readonly type: 'verified' }
  /** The log-store of this group has failed: it sends nothing any more. */
  | { readonly type: 'fail'; readonly code: FailureCode; readonly message: string };
