/**
 * The open calls by their deadlines. Calls with the same time-out have their deadlines in the order in which they
 * came, so that a list for each time-out needs no sorting. The lists go through the calls themselves: a set of those that
 * are open would grow and shrink with every answer, which cost more than all else that is done here.
 */
export interface Timed<T> {
  readonly timeoutMs: number;
  readonly deadlineMs: number;
  /** Its neighbours in the list; only `Deadlines` touches them. */
  earlier: T | undefined;
  later: T | undefined;
}

interface List<T> {
  first: T | undefined;
  last: T | undefined;
}

/** Lists without a call are kept up to so many, as most clients use few different time-outs. */
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

  /** The next deadline; infinite where nothing is open. */
  earliestMs(): number {
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const { first } of this.lists.values()) soonestMs = Math.min(soonestMs, first?.deadlineMs ?? soonestMs);
    return soonestMs;
  }

  /** Those whose deadline has come. */
  due(nowMs: number): T[] {
    return this.gather(({ deadlineMs }) => deadlineMs <= nowMs);
  }

  all(): T[] {
    return this.gather(() => true);
  }

  /** Of each list those from its front. */
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
