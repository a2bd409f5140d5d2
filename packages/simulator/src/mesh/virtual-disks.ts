/**
 * A disk per peer that keeps what was synced, as rows like LevelDB's. It owns what is stored, and decides nothing.
 */
import {
  indexOfKey,
  type Row,
  type StorageOperation,
  type StoredRows,
  truncationOperations,
} from '@conclave/log-store';
import { batchHeader, batchPayloads, type GroupId, type PeerId } from '@conclave/protocol';

/** An entry as it stands on a disk. */
export interface DiskEntry {
  readonly index: number;
  readonly term: number;
  readonly kind: 'commands' | 'configuration';
  readonly payload: Uint8Array;
}

export class VirtualDisks {
  private readonly disks = new Map<PeerId, Map<string, Uint8Array>>();

  /** Hear of what has become durable, and of what is lost. */
  onWritten: (peerId: PeerId, operations: readonly StorageOperation[]) => void = () => {};
  onWiped: (peerId: PeerId) => void = () => {};

  constructor(private readonly groupId: GroupId) {}

  wipe(peerId: PeerId): void {
    this.disks.delete(peerId);
    this.onWiped(peerId);
  }

  load(peerId: PeerId): StoredRows {
    return {
      meta: this.disk(peerId).get(`${this.groupId}/m`),
      termRuns: this.rows(peerId, 't'),
      configurations: this.rows(peerId, 'c'),
      lastBatch: this.rows(peerId, 'e').at(-1),
    };
  }

  write(peerId: PeerId, operations: readonly StorageOperation[]): void {
    this.change(peerId, operations);
    this.onWritten(peerId, operations);
  }

  private change(peerId: PeerId, operations: readonly StorageOperation[]): void {
    const disk = this.disk(peerId);
    for (const operation of operations) {
      if (operation.type === 'put') disk.set(operation.key, operation.value);
      else if (operation.type === 'delete') disk.delete(operation.key);
      else {
        const all = this.rows(peerId, 'e');
        const keys = all.map(({ key }) => key);
        const holding = all.findLast(({ key }) => indexOfKey(key) < operation.from);
        this.change(peerId, truncationOperations(this.groupId, operation.from, keys, holding));
      }
    }
  }

  read(peerId: PeerId, range: { fromIndex: number; lastIndex: number; maxBatches: number }): Row[] {
    const all = this.rows(peerId, 'e').filter(({ key }) => indexOfKey(key) <= range.lastIndex);
    const first = all.findLastIndex(({ key }) => indexOfKey(key) <= range.fromIndex);
    return all.slice(Math.max(first, 0)).slice(0, range.maxBatches);
  }

  /** All entries, in order. */
  entries(peerId: PeerId): DiskEntry[] {
    return this.rows(peerId, 'e').flatMap(({ value }) => {
      const { first, term, kind } = batchHeader(value);
      return batchPayloads(value).map((payload, place) => ({ index: first + place, term, kind, payload }));
    });
  }

  private disk(peerId: PeerId): Map<string, Uint8Array> {
    const disk = this.disks.get(peerId) ?? new Map<string, Uint8Array>();
    this.disks.set(peerId, disk);
    return disk;
  }

  private rows(peerId: PeerId, part: 'e' | 't' | 'c'): Row[] {
    return [...this.disk(peerId)]
      .filter(([key]) => key.startsWith(`${this.groupId}/${part}/`))
      .map(([key, value]) => ({ key, value }))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }
}
