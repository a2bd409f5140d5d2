/**
 * Timers of one interval fire together, at the multiples of the interval on the process's clock, independent of when they were set.
 * So the ticks of all groups of a process fall into one turn of the event loop, and their messages can be joined.
 */

/** A pending timer. */
interface Pending {
  cancel(): void;
}

interface Slot {
  readonly callbacks: Set<() => void>;
  readonly handle: NodeJS.Timeout;
}

export class AlignedTimers {
  private readonly slots = new Map<string, Slot>();

  /** Calls back at the multiple of `intervalMs` nearest to one interval from now: after half to one and a half of it. */
  set(intervalMs: number, callback: () => void): Pending {
    const now = performance.now();
    const dueMs = Math.round(now / intervalMs + 1) * intervalMs;
    const key = `${intervalMs}@${dueMs}`;
    const slot = this.slots.get(key) ?? this.begin(key, dueMs - now);
    slot.callbacks.add(callback);
    return {
      cancel: () => {
        slot.callbacks.delete(callback);
        if (slot.callbacks.size > 0 || this.slots.get(key) !== slot) return;
        clearTimeout(slot.handle);
        this.slots.delete(key);
      },
    };
  }

  private begin(key: string, afterMs: number): Slot {
    const callbacks = new Set<() => void>();
    const handle = setTimeout(() => {
      this.slots.delete(key);
      for (const callback of callbacks) callback();
    }, Math.ceil(afterMs));
    const slot = { callbacks, handle };
    this.slots.set(key, slot);
    return slot;
  }
}

/** The aligned timers of this process. */
export const processTimers: AlignedTimers = new AlignedTimers();
