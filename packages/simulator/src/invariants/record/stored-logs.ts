/**
 * What is on each disk, read from the writes themselves: log, term, vote and session. A lost store is kept as it was: what it had
 * acknowledged was true.
 *
 * Owns what was synced, by store. Does not ask the log-store's core, which may be wrong.
 */
import { type IncomingSnapshot, indexOfKey, isBatchKey, type StorageOperation } from '@conclave/log-store';
import { type PeerId, removeChecksum } from '@conclave/protocol';
import { type Entry, entryAt, type LogTree } from './log-tree.js';

/** The single record of a store; zero or empty before its first write. */
export interface StoredMeta {
  readonly store_id: string;
  readonly group_uid: string;
  readonly term: number;
  readonly voted_for: string;
  readonly session: number;
  /** The entry before the log's first one. */
  readonly base_index: number;
  readonly base_term: number;
  /** The last entry, as recorded. */
  readonly last_index: number;
  /** A snapshot that is being received or taken. */
  readonly incoming?: IncomingSnapshot | null;
}

export interface StoredLog {
  readonly peerId: PeerId;
  meta: StoredMeta;
  last: Entry | undefined;
  /** The base of the log that ends with `last`. */
  begun: number;
  /** All votes that were synced, by term. */
  readonly votes: Map<number, string>;
}

/** The changes of one write. */
export interface Change {
  readonly store: StoredLog;
  readonly before: { readonly meta: StoredMeta; readonly last: Entry | undefined };
  /** The first entry that was deleted. */
  readonly deleted: Entry | undefined;
}

const nothing: StoredMeta = {
  store_id: '',
  group_uid: '',
  term: 0,
  voted_for: '',
  session: 0,
  base_index: 0,
  base_term: 0,
  last_index: 0,
};

export class StoredLogs {
  private readonly byPeer = new Map<PeerId, StoredLog>();
  private readonly byStore = new Map<string, StoredLog>();

  constructor(private readonly tree: LogTree) {}

  /** Returns a store by its id, also a lost one. */
  of(storeId: string): StoredLog | undefined {
    return this.byStore.get(storeId);
  }

  ofPeer(peerId: PeerId): StoredLog | undefined {
    return this.byPeer.get(peerId);
  }

  onWiped(peerId: PeerId): void {
    this.byPeer.delete(peerId);
  }

  onWritten(peerId: PeerId, operations: readonly StorageOperation[]): Change {
    const store = this.byPeer.get(peerId) ?? { peerId, meta: nothing, last: undefined, begun: 0, votes: new Map() };
    const before = { meta: store.meta, last: store.last };
    const meta = metaIn(operations);
    const history = store.meta.group_uid;
    if (meta !== undefined) this.takeMeta(store, meta);
    if (history !== '' && store.meta.group_uid !== history)
      store.last = this.tree.continueHistory(store.meta.group_uid, store.last);
    let deleted: Entry | undefined;
    const begin = (): void => {
      deleted = this.begin(store) ?? deleted;
    };
    for (const operation of operations) {
      if (operation.type === 'put' && isBatchKey(operation.key) && indexOfKey(operation.key) > store.meta.base_index) {
        begin();
      }
      // A batch that replaces others deletes them as well.
      const from = startOf(operation);
      if (from !== undefined && from <= (store.last?.index ?? 0)) {
        deleted ??= entryAt(store.last, from);
        store.last = entryAt(store.last, from - 1);
      }
      if (operation.type === 'put' && isBatchKey(operation.key)) {
        store.last = this.tree.follow(store.meta.group_uid, store.last, operation.value).at(-1);
      }
    }
    begin();
    this.byPeer.set(peerId, store);
    return { store, before, deleted };
  }

  /**
   * A log begins after its base: after the installation of a snapshot that is an entry which some node has accepted,
   * with all before it. Returns the first entry that was deleted for it.
   */
  private begin(store: StoredLog): Entry | undefined {
    const { group_uid, base_index, base_term } = store.meta;
    if (base_index === 0 || store.begun === base_index) return undefined;
    store.begun = base_index;
    if (entryAt(store.last, base_index)?.term === base_term) return undefined;
    const { last } = store;
    store.last = this.tree.find(group_uid, base_index, base_term);
    let gone: Entry | undefined;
    for (let entry = last; entry !== undefined && entryAt(store.last, entry.index) !== entry; entry = entry.prev) {
      gone = entry;
    }
    return gone;
  }

  private takeMeta(store: StoredLog, meta: StoredMeta): void {
    store.meta = meta;
    this.byStore.set(meta.store_id, store);
    // The first vote is kept: an invariant finds a vote that changes.
    if (meta.voted_for !== '' && !store.votes.has(meta.term)) store.votes.set(meta.term, meta.voted_for);
  }
}

function startOf(operation: StorageOperation): number | undefined {
  if (operation.type === 'truncate') return operation.from;
  return operation.type === 'put' && isBatchKey(operation.key) ? indexOfKey(operation.key) : undefined;
}

function metaIn(operations: readonly StorageOperation[]): StoredMeta | undefined {
  for (let at = operations.length - 1; at >= 0; at--) {
    const operation = operations[at];
    if (operation?.type === 'put' && operation.key.endsWith('/m')) return removeChecksum(operation.value) as StoredMeta;
  }
  return undefined;
}
