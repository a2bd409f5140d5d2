/**
 * Stores everything in memory, and distinguishes synced writes from unsynced ones: `crash` drops the unsynced ones. With `holdSyncs` a
 * write waits until `sync` is called, so that a test or the simulator decides when it is synced.
 */
import type { GroupId, LogIndex } from '@conclave/protocol';
import {
  type BatchRange,
  batchKey,
  endOfPart,
  type Garbage,
  indexedKey,
  indexOfKey,
  metaKey,
  type PlainOperation,
  type Row,
  recordKeys,
  type StoredRows,
  slotKey,
  slotsToPurge,
  snapshotKey,
} from './core/index.js';
import type { LogStorage } from './log-storage.js';

interface Unsynced {
  readonly operations: readonly PlainOperation[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class MemoryLogStorage implements LogStorage {
  /** The synced rows. A test may damage them. */
  readonly rows = new Map<string, Uint8Array>();
  private unsynced: Unsynced[] = [];

  constructor(private readonly options: { readonly holdSyncs: boolean } = { holdSyncs: false }) {}

  async open(): Promise<void> {}

  async load(groupId: GroupId): Promise<StoredRows> {
    return this.loadNow(groupId);
  }

  write(operations: readonly PlainOperation[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.unsynced.push({ operations, resolve, reject });
      if (!this.options.holdSyncs) this.sync();
    });
  }

  async readBatches(groupId: GroupId, range: BatchRange): Promise<readonly Row[]> {
    return this.readNow(groupId, range);
  }

  async batchKeysFrom(groupId: GroupId, from: LogIndex): Promise<readonly string[]> {
    return this.keysNow(batchKey(groupId, from), endOfPart(groupId, 'e'));
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.rows.get(key);
  }

  async keysOf(groupId: GroupId, maxCount: number): Promise<readonly string[]> {
    const { gte, lt } = recordKeys(groupId);
    const batches = this.keysNow(batchKey(groupId, 0), endOfPart(groupId, 'e'));
    return [...this.keysNow(gte, lt), ...batches].slice(0, maxCount);
  }

  async purge(groupId: GroupId, garbage: Garbage): Promise<void> {
    this.purgeNow(groupId, garbage);
  }

  async close(): Promise<void> {
    this.sync();
  }

  /** Syncs all writes so far. */
  sync(): void {
    for (const { operations, resolve } of this.unsynced.splice(0)) {
      this.apply(operations);
      resolve();
    }
  }

  /** Drops the writes that are not synced; their promises reject. */
  crash(): void {
    for (const { reject } of this.unsynced.splice(0)) reject(new Error('the storage has crashed'));
  }

  // The same methods without promises, for the simulator.

  apply(operations: readonly PlainOperation[]): void {
    for (const operation of operations) {
      if (operation.type === 'put') this.rows.set(operation.key, operation.value.slice());
      else this.rows.delete(operation.key);
    }
  }

  loadNow(groupId: GroupId): StoredRows {
    const last = this.keysNow(batchKey(groupId, 0), endOfPart(groupId, 'e')).at(-1);
    return {
      meta: this.rows.get(metaKey(groupId)),
      termRuns: this.rowsNow(this.keysNow(indexedKey(groupId, 't', 0), endOfPart(groupId, 't'))),
      configurations: this.rowsNow(this.keysNow(indexedKey(groupId, 'c', 0), endOfPart(groupId, 'c'))),
      lastBatch: last === undefined ? undefined : this.rowsNow([last])[0],
      snapshot: this.rows.get(snapshotKey(groupId)),
    };
  }

  readNow(groupId: GroupId, range: BatchRange): Row[] {
    const keys = this.keysNow(batchKey(groupId, 0), endOfPart(groupId, 'e'));
    const holding = keys.findLastIndex((key) => indexOfKey(key) <= range.fromIndex);
    const found = this.rowsNow(keys.slice(Math.max(holding, 0))).filter(
      ({ key }) => indexOfKey(key) <= range.lastIndex,
    );
    return withinBounds(found, range);
  }

  purgeNow(groupId: GroupId, garbage: Garbage): void {
    const holding = this.keysNow(batchKey(groupId, 0), batchKey(groupId, garbage.upTo + 2)).at(-1);
    const batches = holding === undefined ? [] : this.keysNow(batchKey(groupId, 0), holding);
    const chunks = slotsToPurge(garbage).flatMap(({ from, before }) =>
      this.keysNow(slotKey(groupId, from), slotKey(groupId, before)),
    );
    for (const key of [...batches, ...chunks]) this.rows.delete(key);
  }

  keysNow(from: string, end: string): string[] {
    return [...this.rows.keys()].filter((key) => key >= from && key < end).sort();
  }

  private rowsNow(keys: readonly string[]): Row[] {
    return keys.flatMap((key) => {
      const value = this.rows.get(key);
      return value === undefined ? [] : [{ key, value }];
    });
  }
}

/** Returns the first rows that together stay within the bounds, at least one. */
export function withinBounds(rows: readonly Row[], { maxBytes, maxBatches }: BatchRange): Row[] {
  let bytes = 0;
  const fitting = rows.findIndex(({ value }, at) => {
    bytes += value.length;
    return at > 0 && (bytes > maxBytes || at >= maxBatches);
  });
  return fitting === -1 ? [...rows] : rows.slice(0, fitting);
}
