/**
 * Up to where stores are known to have acknowledged entries that are committed. Such an entry is never truncated, so a store that
 * has less has gone back: an older copy of its data took their place.
 *
 * Owns: the highest such position of each store, as leaders have said. It is kept in memory alone, at all peers that follow.
 * Invariants: 1. A position never falls. 2. All are of one history.
 */
import { type Acknowledged, type LogIndex, limits, type StoreId } from '@conclave/protocol';

export class AcknowledgedPositions {
  private readonly positions = new Map<StoreId, LogIndex>();

  of(storeId: StoreId): LogIndex {
    return this.positions.get(storeId) ?? (0 as LogIndex);
  }

  note(acknowledged: Acknowledged | undefined): void {
    for (const { store_id, index } of acknowledged ?? []) {
      if (index <= this.of(store_id)) continue;
      // Those that were noted last are in the configuration; of others nobody asks.
      this.positions.delete(store_id);
      this.positions.set(store_id, index);
      const [oldest] = this.positions.keys();
      if (this.positions.size > limits.acknowledgedStores && oldest !== undefined) this.positions.delete(oldest);
    }
  }

  /** For a message, where there is any. */
  list(): { acknowledged?: Acknowledged } {
    if (this.positions.size === 0) return {};
    return { acknowledged: [...this.positions].map(([store_id, index]) => ({ store_id, index })) };
  }

  /** Another history begins. */
  clear(): void {
    this.positions.clear();
  }
}
