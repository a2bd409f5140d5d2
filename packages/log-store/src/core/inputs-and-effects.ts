/** What a log-store's core hears and what it asks for. */
import type { IdleInput, Log, MessageInput, Send } from '@conclave/actor/core';
import type { GroupId, LogStoreMessage, PeerId } from '@conclave/protocol';
import type { BatchRange, Row, StorageOperation, StoredRows, WriteNote } from './operations.js';

export interface LogStoreOptions {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  /** Drawn for this run of the log-store. */
  readonly incarnation: string;
}

/** `ECORRUPT`: what is stored is damaged. `EIO`: the storage cannot write; what it holds is not known. */
export type FailureCode = 'ECORRUPT' | 'EIO';

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
  /** The log-store of this group is over: it has said nothing more, and will not. */
  | { readonly type: 'fail'; readonly code: FailureCode; readonly message: string };
