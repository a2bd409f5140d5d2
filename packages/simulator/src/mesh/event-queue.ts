/** Future events ordered by time: a binary heap. Of two events at one time, the one that was added first comes first. */
interface QueuedEvent {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

export class EventQueue {
  private readonly heap: QueuedEvent[] = [];
  private order = 0;

  get length(): number {
    return this.heap.length;
  }

  push(atMs: number, run: () => void): void {
    this.order += 1;
    const { heap } = this;
    const happening = { atMs, order: this.order, run };
    let place = heap.length;
    heap.push(happening);
    while (place > 0) {
      const parent = (place - 1) >> 1;
      const above = heap[parent] as QueuedEvent;
      if (!isBefore(happening, above)) break;
      heap[place] = above;
      place = parent;
    }
    heap[place] = happening;
  }

  /** The time of the next event; undefined: there is none. */
  get nextMs(): number | undefined {
    return this.heap[0]?.atMs;
  }

  /** Removes the next event and returns it. */
  pop(): (() => void) | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || first === last) return first?.run;
    let place = 0;
    for (;;) {
      const left = 2 * place + 1;
      let below = heap[left];
      if (below === undefined) break;
      const right = heap[left + 1];
      const at = right !== undefined && isBefore(right, below) ? left + 1 : left;
      below = heap[at] as QueuedEvent;
      if (!isBefore(below, last)) break;
      heap[place] = below;
      place = at;
    }
    heap[place] = last;
    return first.run;
  }
}

function isBefore(one: QueuedEvent, other: QueuedEvent): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}
