/**
 * The last committed entry that each store is known to have acknowledged. Such an entry is never truncated, so a store that lacks
 * it holds an older copy of its data.
 * Owns: the highest such position of each store, as leaders have reported. All peers that follow keep them, in memory alone.
 * Invariants:
 * 1. A position never falls.
 * 2. All positions are of one history.
 */
import { type Acknowledged, type LogIndex, limits, type StoreId } from '@conclave/protocol';

export class AcknowledgedPositions {
  private readonly positions = new Map<StoreId, LogIndex>();

  of(storeId: StoreId): LogIndex {
    return this.positions.get(storeId) ?? (0 as LogIndex);
  }

  record(acknowledged: Acknowledged | undefined): void {
    for (const { store_id, index } of acknowledged ?? []) {
      if (index <= this.of(store_id)) continue;
      // The positions that were recorded last are of the configuration; the others are not needed.
      this.positions.delete(store_id);
      this.positions.set(store_id, index);
      const [oldest] = this.positions.keys();
      if (this.positions.size > limits.acknowledgedStores && oldest !== undefined) this.positions.delete(oldest);
    }
  }

  /** Returns the field of a message, if there is any position. */
  list(): { acknowledged?: Acknowledged } {
    if (this.positions.size === 0) return {};
    return { acknowledged: [...this.positions].map(([store_id, index]) => ({ store_id, index })) };
  }

  /** Another history begins. */
  clear(): void {
    this.positions.clear();
  }
}
