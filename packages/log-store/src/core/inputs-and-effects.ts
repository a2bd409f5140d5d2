/** What a log-store's core hears and what it asks for. */
import type { IdleInput, Log, MessageInput, Send } from '@conclave/actor/core';
import type { GroupId, Levels, LogStoreMessage, PeerId } from '@conclave/protocol';
import type { BatchRange, Leftovers, Row, StorageOperation, StoredRows, WriteNote } from './operations.js';

export interface LogStoreOptions {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  /** Drawn for this run of the log-store. */
  readonly incarnation: string;
  /** With less room than this the disk counts as full. */
  readonly diskReserveBytes: number;
  /** Something that was synced may be missing. */
  readonly isUnverified?: boolean | undefined;
  /** That this process speaks; those of this build where nothing is said. */
  readonly levels?: Levels | undefined;
}

/**
 * `ECORRUPT`: what is stored is damaged. `EINVAL`: it is not this peer's, or of a version that is not known. `EIO`: the
 * storage cannot write; what it holds is not known.
 */
export type FailureCode = 'ECORRUPT' | 'EINVAL' | 'EIO';

export type LogStoreInput =
  /** Once, first. */
  | { readonly type: 'start' }
  | MessageInput<LogStoreMessage>
  | IdleInput
  /** Answers `load`. */
  | { readonly type: 'loaded'; readonly rows: StoredRows }
  /** The write is synced. */
  | { readonly type: 'written' }
  /** The write failed: whether it is stored cannot be told. */
  | { readonly type: 'write_failed'; readonly code: FailureCode; readonly message: string }
  /** Answers `read`. */
  | { readonly type: 'read_done'; readonly token: number; readonly rows: readonly Row[] }
  /** Answers `read_chunk`; undefined: it is not there. */
  | { readonly type: 'chunk_read'; readonly token: number; readonly chunk: Uint8Array | undefined }
  /** So much room has the disk. From time to time. */
  | {
      readonly type: 'disk';
      readonly freeBytes: number;
      /** What keeps the storage from working now, and may end; undefined: nothing. */
      readonly trouble?: string | undefined;
      /** Whether nothing at all can be stored meanwhile. */
      readonly stopsWrites?: boolean;
    }
  /** The storage could not load or read. */
  | { readonly type: 'storage_failed'; readonly code: FailureCode; readonly message: string };

export type LogStoreEffect =
  | Send
  | Log
  /** Read all that is stored of the group, but for its entries. */
  | { readonly type: 'load' }
  /** Write and sync, all or nothing. At most one is outstanding. */
  | { readonly type: 'write'; readonly operations: readonly StorageOperation[]; readonly note: WriteNote }
  /** Read batches. */
  | { readonly type: 'read'; readonly token: number; readonly range: BatchRange }
  /** Read a chunk of a snapshot. */
  | { readonly type: 'read_chunk'; readonly token: number; readonly slot: number; readonly number: number }
  /** Delete what is of no more use: at any time, in any part, or not at all, as it is asked for again after a start. */
  | { readonly type: 'clear'; readonly leftovers: Leftovers }
  /** A leader has verified the log, or it is new: something that was synced cannot be missing any more. */
  | { readonly type: 'verified' }
  /** The log-store of this group is over: it has said nothing more, and will not. */
  | { readonly type: 'fail'; readonly code: FailureCode; readonly message: string };
