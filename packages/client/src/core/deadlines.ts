/**
 * The open calls by their deadlines. Calls with the same time-out have their deadlines in the order in which they
 * came, so that a list for each time-out needs no sorting.
 */
export interface Timed {
  readonly timeoutMs: number;
  readonly deadlineMs: number;
}

/** Lists without a call are kept up to so many, as most clients use few different time-outs. */
const keptLists = 16;

export class Deadlines<T extends Timed> {
  private readonly lists = new Map<number, Set<T>>();

  add(timed: T): void {
    let list = this.lists.get(timed.timeoutMs);
    if (list === undefined) {
      list = new Set();
      this.lists.set(timed.timeoutMs, list);
    }
    list.add(timed);
  }

  delete(timed: T): void {
    const list = this.lists.get(timed.timeoutMs);
    if (list === undefined) return;
    list.delete(timed);
    if (list.size === 0 && this.lists.size > keptLists) this.lists.delete(timed.timeoutMs);
  }

  /** The next deadline; infinite where nothing is open. */
  soonestMs(): number {
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const list of this.lists.values()) {
      for (const { deadlineMs } of list) {
        soonestMs = Math.min(soonestMs, deadlineMs);
        break;
      }
    }
    return soonestMs;
  }

  /** Those whose deadline has come. */
  due(nowMs: number): T[] {
    const due: T[] = [];
    for (const list of this.lists.values()) {
      for (const timed of list) {
        if (timed.deadlineMs > nowMs) break;
        due.push(timed);
      }
    }
    return due;
  }

  all(): T[] {
    return [...this.lists.values()].flatMap((list) => [...list]);
  }
}
