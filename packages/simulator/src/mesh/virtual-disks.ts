/**
 * A disk per peer that keeps what was synced, as rows like LevelDB's. It owns what is stored, and decides nothing.
 *
 * A bit that has flipped is kept beside the row: actors read the damaged bytes, whoever judges the run the true ones.
 */
import {
  type BatchRange,
  indexedKey,
  indexOfKey,
  metaKey,
  type Row,
  type StorageOperation,
  type StoredRows,
  truncationOperations,
} from '@conclave/log-store';
import { asLogIndex, batchHeader, batchPayloads, type GroupId, type PeerId } from '@conclave/protocol';
import { SortedRows } from './sorted-rows.js';

/** An entry as it stands on a disk. The same object at every peer that stored the same batch. */
export interface DiskEntry {
  readonly index: number;
  readonly term: number;
  readonly kind: 'commands' | 'configuration';
  readonly payload: Uint8Array;
}

const parts = { entry: 'e', term: 't', configuration: 'c' } as const;
export type IndexedDiskPart = keyof typeof parts;

class VirtualDisk {
  meta: Uint8Array | undefined;
  readonly rows = { e: new SortedRows(), t: new SortedRows(), c: new SortedRows() };
  /** All entries, from index 1 on. */
  readonly entries: DiskEntry[] = [];
  /** The bytes that stand under a key since a bit of them has flipped. */
  readonly damaged = new Map<string, Uint8Array>();
}

export class VirtualDisks {
  private readonly disks = new Map<PeerId, VirtualDisk>();
  /** How often entries were replaced. */
  truncations = 0;
  private readonly decoded = new WeakMap<Uint8Array, readonly DiskEntry[]>();

  /** Hear of what has become durable, and of what is lost. */
  onWritten: (peerId: PeerId, operations: readonly StorageOperation[]) => void = () => {};
  onWiped: (peerId: PeerId) => void = () => {};

  constructor(private readonly groupId: GroupId) {}

  wipe(peerId: PeerId): void {
    this.disks.delete(peerId);
    this.onWiped(peerId);
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
    };
  }

  /** @throws ConclaveError ECORRUPT where a batch that is to be cut is damaged */
  write(peerId: PeerId, operations: readonly StorageOperation[]): void {
    this.change(this.disk(peerId), operations);
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

  // ---- for faults --------------------------------------------------------------------------------

  /** Flips one bit of the record that holds the index, or of the last one before it. False: there is none. */
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

  // ---- for who judges ----------------------------------------------------------------------------

  /** All entries, in order: index 1 stands at 0. The same array over the life of a disk, which changes with it. */
  entries(peerId: PeerId): readonly DiskEntry[] {
    return this.disk(peerId).entries;
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
      disk.meta = value;
      return;
    }
    disk.rows[part].put(key, value);
    if (part !== 'e') return;
    disk.entries.length = indexOfKey(key) - 1;
    disk.entries.push(...this.entriesOf(value));
  }

  private delete(disk: VirtualDisk, key: string): void {
    disk.damaged.delete(key);
    const part = this.partOf(key);
    if (part === undefined) {
      disk.meta = undefined;
      return;
    }
    disk.rows[part].delete(key);
    if (part === 'e') disk.entries.length = Math.min(disk.entries.length, indexOfKey(key) - 1);
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

  private rowAt(disk: VirtualDisk, part: 'e' | 't' | 'c', index: number): Row | undefined {
    return disk.rows[part].lastBefore(this.key(part, index + 1));
  }

  private get metaKey(): string {
    return metaKey(this.groupId);
  }

  private key(part: 'e' | 't' | 'c', index: number): string {
    return indexedKey(this.groupId, part, index);
  }

  private partOf(key: string): 'e' | 't' | 'c' | undefined {
    const part = key.charAt(this.groupId.length + 1);
    return part === 'e' || part === 't' || part === 'c' ? part : undefined;
  }
}
