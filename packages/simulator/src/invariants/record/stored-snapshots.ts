/**
 * The snapshots on each disk, read from the very writes: the chunks in their slots, and which one counts.
 *
 * Owns what was synced, by peer. What is cleared away later counts for nothing by then.
 */
import { isBatchKey, type KeptSnapshot, type StorageOperation } from '@conclave/log-store';
import { type PeerId, unseal } from '@conclave/protocol';

export class StoredSnapshots {
  private readonly slots = new Map<PeerId, Map<number, Uint8Array[]>>();
  private readonly counting = new Map<PeerId, KeptSnapshot>();

  /** The snapshot that counts on a peer's disk. */
  of(peerId: PeerId): KeptSnapshot | undefined {
    return this.counting.get(peerId);
  }

  /** The chunks of a slot, by their numbers; there may be gaps. */
  chunks(peerId: PeerId, slot: number): readonly (Uint8Array | undefined)[] {
    return this.slots.get(peerId)?.get(slot) ?? [];
  }

  onWiped(peerId: PeerId): void {
    this.slots.delete(peerId);
    this.counting.delete(peerId);
  }

  /** Answers whether another one counts from now on. */
  onWritten(peerId: PeerId, operations: readonly StorageOperation[]): boolean {
    let isNew = false;
    for (const operation of operations) {
      if (operation.type !== 'put' || isBatchKey(operation.key)) continue;
      const [, part, slot, number] = operation.key.split('/');
      if (part === 's') this.slot(peerId, Number(slot))[Number(number)] = operation.value;
      if (part !== 'h') continue;
      const counts = unseal(operation.value) as KeptSnapshot;
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
