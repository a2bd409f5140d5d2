/**
 * One disk per peer, which keeps what was synced, as rows like LevelDB's. It owns what is stored, and decides nothing.
 *
 * A flipped bit is stored beside its row: actors read the damaged bytes, the checks of a run read the true ones.
 */
import {
  type BatchRange,
  chunkKey,
  type Garbage,
  indexedKey,
  indexOfKey,
  isBatchKey,
  metaKey,
  type Row,
  type StorageOperation,
  type StoredRows,
  slotKey,
  slotsToPurge,
  snapshotKey,
  truncationOperations,
} from '@conclave/log-store';
import {
  asLogIndex,
  type BatchKind,
  batchHeader,
  batchPayloads,
  type ConfigurationEntry,
  type GroupId,
  type LogIndex,
  type PeerId,
  removeChecksum,
} from '@conclave/protocol';
import { SortedRows } from './sorted-rows.js';

/** An entry on a disk. The same object at every peer that stored the same batch. */
export interface DiskEntry {
  readonly index: number;
  readonly term: number;
  readonly kind: BatchKind;
  readonly payload: Uint8Array;
}

const parts = { entry: 'e', term: 't', configuration: 'c', chunk: 's' } as const;
export type IndexedDiskPart = keyof typeof parts;
type IndexedPart = (typeof parts)[IndexedDiskPart];

class VirtualDisk {
  meta: Uint8Array | undefined;
  /** The record of the current snapshot. */
  snapshot: Uint8Array | undefined;
  readonly rows = { e: new SortedRows(), t: new SortedRows(), c: new SortedRows(), s: new SortedRows() };
  /** A snapshot covers all entries up to this one. */
  baseIndex: LogIndex = asLogIndex(0);
  /** All entries after that. */
  readonly entries: DiskEntry[] = [];
  /** By key: the bytes with a flipped bit. */
  readonly damaged = new Map<string, Uint8Array>();
}

export class VirtualDisks {
  private readonly disks = new Map<PeerId, VirtualDisk>();
  private readonly kept = new Map<
    PeerId,
    { readonly operations: readonly StorageOperation[]; readonly baseIndex: LogIndex }
  >();
  /** How often entries were replaced. */
  truncations = 0;
  private readonly decoded = new WeakMap<Uint8Array, readonly DiskEntry[]>();

  /** Called with what became durable, and when a disk is lost. */
  onWritten: (peerId: PeerId, operations: readonly StorageOperation[]) => void = () => {};
  onWiped: (peerId: PeerId) => void = () => {};

  constructor(private readonly groupId: GroupId) {}

  wipe(peerId: PeerId): void {
    this.disks.delete(peerId);
    this.onWiped(peerId);
  }

  /** Copies a disk as it is now. */
  copyDisk(peerId: PeerId): void {
    const disk = this.disk(peerId);
    this.kept.set(peerId, { operations: putsOf(this.groupId, disk), baseIndex: disk.baseIndex });
  }

  /** Replaces the disk by its copy. */
  restoreDisk(peerId: PeerId): void {
    const kept = this.kept.get(peerId);
    if (kept === undefined) return;
    this.wipe(peerId);
    this.disk(peerId).baseIndex = kept.baseIndex;
    this.write(peerId, kept.operations);
  }

  // ---- for the log-store -------------------------------------------------------------------------

  load(peerId: PeerId): StoredRows {
    const disk = this.disk(peerId);
    const all = (part: 't' | 'c'): Row[] => disk.rows[part].all().map((row) => this.asRead(disk, row));
    const last = disk.rows.e.last();
    return {
      meta: disk.damaged.get(this.metaKey) ?? disk.meta,
      termRuns: all('t'),
      configurations: all('c'),
      lastBatch: last === undefined ? undefined : this.asRead(disk, last),
      snapshot: disk.damaged.get(snapshotKey(this.groupId)) ?? disk.snapshot,
    };
  }

  /** @throws ConclaveError ECORRUPT if a batch to be cut is damaged */
  write(peerId: PeerId, operations: readonly StorageOperation[]): void {
    const disk = this.disk(peerId);
    this.change(disk, operations);
    if (operations.some((operation) => operation.type === 'put' && operation.key === snapshotKey(this.groupId))) {
      this.compact(disk);
    }
    this.onWritten(peerId, operations);
  }

  private change(disk: VirtualDisk, operations: readonly StorageOperation[]): void {
    for (const operation of operations) {
      if (operation.type === 'put') this.put(disk, operation.key, operation.value);
      else if (operation.type === 'delete') this.delete(disk, operation.key);
      else this.truncate(disk, operation.from);
    }
  }

  private truncate(disk: VirtualDisk, from: number): void {
    this.truncations += 1;
    const { e } = disk.rows;
    const keys = e.keysFrom(this.key('e', from));
    const holding = e.lastBefore(this.key('e', from));
    const plain = truncationOperations(
      this.groupId,
      asLogIndex(from),
      keys,
      holding === undefined ? undefined : this.asRead(disk, holding),
    );
    this.change(disk, plain);
  }

  read(peerId: PeerId, { fromIndex, lastIndex, maxBatches }: Omit<BatchRange, 'maxBytes'>): Row[] {
    const disk = this.disk(peerId);
    return disk.rows.e
      .from(this.key('e', fromIndex), maxBatches)
      .filter(({ key }) => indexOfKey(key) <= lastIndex)
      .map((row) => this.asRead(disk, row));
  }

  readChunk(peerId: PeerId, slot: number, number: number): Uint8Array | undefined {
    const disk = this.disk(peerId);
    const row = disk.rows.s.at(chunkKey(this.groupId, slot, number));
    return row === undefined ? undefined : this.asRead(disk, row).value;
  }

  clear(peerId: PeerId, garbage: Garbage): void {
    const { damaged, rows } = this.disk(peerId);
    const { e, s } = rows;
    const holding = e.lastBefore(this.key('e', garbage.upTo + 2));
    if (holding !== undefined) e.deleteRange(this.key('e', 0), holding.key);
    for (const { from, before } of slotsToPurge(garbage)) {
      s.deleteRange(slotKey(this.groupId, from), slotKey(this.groupId, before));
    }
    for (const key of damaged.keys()) {
      const part = this.partOf(key);
      if (part !== undefined && rows[part].at(key) === undefined) damaged.delete(key);
    }
  }

  // ---- for faults --------------------------------------------------------------------------------

  /**
   * Flips one bit of the record that contains the index, or of the last one before it; for chunks, `index` is a number
   * among all that exist. Returns false if there is none.
   */
  flip(peerId: PeerId, part: 'meta' | IndexedDiskPart, index: number, chance: number): boolean {
    const disk = this.disk(peerId);
    const row = part === 'meta' ? this.metaRow(disk) : this.rowAt(disk, parts[part], index);
    if (row === undefined) return false;
    const bytes = new Uint8Array(this.asRead(disk, row).value);
    const bit = Math.floor(chance * bytes.length * 8);
    const at = bit >> 3;
    bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7));
    disk.damaged.set(row.key, bytes);
    return true;
  }

  isDamaged(peerId: PeerId): boolean {
    return (this.disks.get(peerId)?.damaged.size ?? 0) > 0;
  }

  // ---- for checks --------------------------------------------------------------------------------

  /** All entries after the base, in order. The same array for each disk; it changes with the disk. */
  entries(peerId: PeerId): readonly DiskEntry[] {
    return this.disk(peerId).entries;
  }

  /** The index of the last entry, also if a snapshot covers it; 0: there is none. */
  lastIndex(peerId: PeerId): number {
    const { entries, baseIndex } = this.disk(peerId);
    return entries.at(-1)?.index ?? baseIndex;
  }

  /** The stored configurations, also those before the base. */
  configurations(peerId: PeerId): ConfigurationEntry[] {
    const rows = this.disk(peerId).rows.c.all();
    return rows.map(({ value }) => {
      const { index, value: configuration } = removeChecksum(value) as {
        index: LogIndex;
        value: ConfigurationEntry['configuration'];
      };
      return { index, configuration };
    });
  }

  private disk(peerId: PeerId): VirtualDisk {
    const known = this.disks.get(peerId);
    if (known !== undefined) return known;
    const disk = new VirtualDisk();
    this.disks.set(peerId, disk);
    return disk;
  }

  private put(disk: VirtualDisk, key: string, value: Uint8Array): void {
    disk.damaged.delete(key);
    const part = this.partOf(key);
    if (part === undefined) {
      if (key === this.metaKey) disk.meta = value;
      else disk.snapshot = value;
      return;
    }
    disk.rows[part].put(key, value);
    if (part !== 'e') return;
    this.cut(disk, indexOfKey(key));
    disk.entries.push(...this.entriesOf(value));
  }

  /** Keeps the entries before an index; none if they do not reach it. */
  private cut({ entries }: VirtualDisk, from: number): void {
    const kept = from - (entries[0]?.index ?? from);
    entries.length = kept <= entries.length ? Math.max(kept, 0) : 0;
  }

  /** A snapshot became current: the log restarts after its base. */
  private compact(disk: VirtualDisk): void {
    const { base_index, last_index } = removeChecksum(disk.meta as Uint8Array) as {
      base_index: LogIndex;
      last_index: number;
    };
    disk.baseIndex = base_index;
    this.cut(disk, last_index + 1);
    const gone = disk.entries.findIndex(({ index }) => index > base_index);
    disk.entries.splice(0, gone === -1 ? disk.entries.length : gone);
  }

  private delete(disk: VirtualDisk, key: string): void {
    disk.damaged.delete(key);
    const part = this.partOf(key);
    if (part === undefined) throw new Error(`${key} is never deleted`);
    disk.rows[part].delete(key);
    if (part === 'e' && indexOfKey(key) <= (disk.entries.at(-1)?.index ?? 0)) this.cut(disk, indexOfKey(key));
  }

  private entriesOf(value: Uint8Array): readonly DiskEntry[] {
    const known = this.decoded.get(value);
    if (known !== undefined) return known;
    const { first, term, kind } = batchHeader(value);
    const entries = batchPayloads(value).map((payload, place) => ({ index: first + place, term, kind, payload }));
    this.decoded.set(value, entries);
    return entries;
  }

  private asRead(disk: VirtualDisk, row: Row): Row {
    const damaged = disk.damaged.get(row.key);
    return damaged === undefined ? row : { key: row.key, value: damaged };
  }

  private metaRow(disk: VirtualDisk): Row | undefined {
    return disk.meta === undefined ? undefined : { key: this.metaKey, value: disk.meta };
  }

  private rowAt(disk: VirtualDisk, part: IndexedPart, index: number): Row | undefined {
    if (part === 's') return disk.rows.s.all()[index % Math.max(disk.rows.s.all().length, 1)];
    return disk.rows[part].lastBefore(this.key(part, index + 1));
  }

  private get metaKey(): string {
    return metaKey(this.groupId);
  }

  private key(part: IndexedPart, index: number): string {
    return indexedKey(this.groupId, part, index);
  }

  private partOf(key: string): IndexedPart | undefined {
    if (isBatchKey(key)) return 'e';
    const part = key.charAt(this.groupId.length + 1);
    return part === 't' || part === 'c' || part === 's' ? part : undefined;
  }
}

/** Returns the operations that write all that is on a disk. */
function putsOf(groupId: GroupId, { meta, snapshot, rows }: VirtualDisk): StorageOperation[] {
  const all = [
    ...(meta === undefined ? [] : [{ key: metaKey(groupId), value: meta }]),
    ...(snapshot === undefined ? [] : [{ key: snapshotKey(groupId), value: snapshot }]),
    ...Object.values(rows).flatMap((part) => part.all()),
  ];
  return all.map(({ key, value }) => ({ type: 'put', key, value }));
}
