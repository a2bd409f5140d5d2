/**
 * The snapshots on each disk, read from the writes themselves: the chunks in their slots, and which one is current.
 *
 * Owns what was synced, by peer. What is purged later is not current by then.
 */
import { isBatchKey, type KeptSnapshot, type StorageOperation } from '@conclave/log-store';
import { type PeerId, removeChecksum } from '@conclave/protocol';

export class StoredSnapshots {
  private readonly slots = new Map<PeerId, Map<number, Uint8Array[]>>();
  private readonly counting = new Map<PeerId, KeptSnapshot>();

  /** Returns the current snapshot on a peer's disk. */
  of(peerId: PeerId): KeptSnapshot | undefined {
    return this.counting.get(peerId);
  }

  /** Returns the chunks of a slot, by number; there may be gaps. */
  chunks(peerId: PeerId, slot: number): readonly (Uint8Array | undefined)[] {
    return this.slots.get(peerId)?.get(slot) ?? [];
  }

  onWiped(peerId: PeerId): void {
    this.slots.delete(peerId);
    this.counting.delete(peerId);
  }

  /** Returns whether another snapshot became current. */
  onWritten(peerId: PeerId, operations: readonly StorageOperation[]): boolean {
    let isNew = false;
    for (const operation of operations) {
      if (operation.type !== 'put' || isBatchKey(operation.key)) continue;
      const [, part, slot, number] = operation.key.split('/');
      if (part === 's') this.slot(peerId, Number(slot))[Number(number)] = operation.value;
      if (part !== 'h') continue;
      const counts = removeChecksum(operation.value) as KeptSnapshot;
      isNew = counts.snapshot_id !== this.counting.get(peerId)?.snapshot_id;
      this.counting.set(peerId, counts);
    }
    return isNew;
  }

  private slot(peerId: PeerId, slot: number): Uint8Array[] {
    const slots = this.slots.get(peerId) ?? new Map<number, Uint8Array[]>();
    this.slots.set(peerId, slots);
    const chunks = slots.get(slot) ?? [];
    slots.set(slot, chunks);
    return chunks;
  }
}
