/**
 * Values by the ids of their calls, which grow. Most are stored for a moment, some for minutes.
 *
 * They are stored in pages, each of which is dropped when it is empty: a `Map` would be rebuilt several times with each wave of replies,
 * and V8 keeps the old tables linked to the new ones, so that everything that was ever in them stays until a full collection.
 */

/** The ids per page. */
const pageIds = 256;

interface Page<T> {
  readonly number: number;
  readonly slots: (T | undefined)[];
  left: number;
}

export class PendingCalls<T> {
  private readonly pages = new Map<number, Page<T>>();
  /** The last page that was looked up. */
  private last: Page<T> | undefined;

  /** @param callId has no value yet */
  add(callId: number, thing: T): void {
    const number = Math.floor(callId / pageIds);
    const page = this.pageAt(number) ?? this.begin(number);
    page.slots[callId % pageIds] = thing;
    page.left += 1;
  }

  /** Removes and returns the value. */
  take(callId: number): T | undefined {
    const page = this.pageAt(Math.floor(callId / pageIds));
    const thing = page?.slots[callId % pageIds];
    if (page === undefined || thing === undefined) return undefined;
    page.slots[callId % pageIds] = undefined;
    page.left -= 1;
    if (page.left === 0) this.pages.delete(page.number);
    return thing;
  }

  /** Removes and returns all values. */
  takeAll(): T[] {
    const all = [...this.pages.values()].flatMap(({ slots }) => slots.filter((thing) => thing !== undefined));
    this.pages.clear();
    this.last = undefined;
    return all;
  }

  /** How many pages are kept, for tests. */
  get pageCount(): number {
    return this.pages.size;
  }

  private pageAt(number: number): Page<T> | undefined {
    if (this.last?.number === number && this.last.left > 0) return this.last;
    this.last = this.pages.get(number);
    return this.last;
  }

  private begin(number: number): Page<T> {
    const page: Page<T> = { number, slots: new Array<T | undefined>(pageIds).fill(undefined), left: 0 };
    this.pages.set(number, page);
    this.last = page;
    return page;
  }
}
