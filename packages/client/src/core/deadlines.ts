/**
 * The open calls by their deadlines. Calls with the same time-out have their deadlines in the order of their start, so that a list for
 * each time-out needs no sorting. The lists are linked through the calls themselves: a set of open calls would grow and shrink with
 * every reply, which cost more than everything else here.
 */
export interface Timed<T> {
  readonly timeoutMs: number;
  readonly deadlineMs: number;
  /** Its neighbours in the list; only `Deadlines` uses them. */
  earlier: T | undefined;
  later: T | undefined;
}

interface List<T> {
  first: T | undefined;
  last: T | undefined;
}

/** How many empty lists are kept, as most clients use few different time-outs. */
const keptLists = 16;

export class Deadlines<T extends Timed<T>> {
  private readonly lists = new Map<number, List<T>>();

  /** @param timed is in no list */
  add(timed: T): void {
    const list = this.lists.get(timed.timeoutMs) ?? this.begin(timed.timeoutMs);
    const { last } = list;
    timed.earlier = last;
    if (last === undefined) list.first = timed;
    else last.later = timed;
    list.last = timed;
  }

  /** @param timed is in its list */
  delete(timed: T): void {
    const list = this.lists.get(timed.timeoutMs);
    if (list === undefined) return;
    const { earlier, later } = timed;
    if (earlier === undefined) list.first = later;
    else earlier.later = later;
    if (later === undefined) list.last = earlier;
    else later.earlier = earlier;
    timed.earlier = undefined;
    timed.later = undefined;
    if (list.first === undefined && this.lists.size > keptLists) this.lists.delete(timed.timeoutMs);
  }

  /** The next deadline; infinite: no call is open. */
  earliestMs(): number {
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const { first } of this.lists.values()) soonestMs = Math.min(soonestMs, first?.deadlineMs ?? soonestMs);
    return soonestMs;
  }

  /** The calls whose deadline has passed. */
  due(nowMs: number): T[] {
    return this.gather(({ deadlineMs }) => deadlineMs <= nowMs);
  }

  all(): T[] {
    return this.gather(() => true);
  }

  /** Collects from the front of each list. */
  private gather(belongs: (timed: T) => boolean): T[] {
    const gathered: T[] = [];
    for (const { first } of this.lists.values()) {
      for (let timed = first; timed !== undefined && belongs(timed); timed = timed.later) gathered.push(timed);
    }
    return gathered;
  }

  private begin(timeoutMs: number): List<T> {
    const list: List<T> = { first: undefined, last: undefined };
    this.lists.set(timeoutMs, list);
    return list;
  }
}
