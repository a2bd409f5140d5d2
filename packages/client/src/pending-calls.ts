/**
 * Things by the ids of their calls, which grow. Most are there for a moment, some for minutes.
 *
 * They lie in pages, each of which is let go when nothing on it is left: a `Map` of all of them would be made anew
 * several times with each wave of answers, and what V8 leaves behind of it refers to the next one, so that all of them, and
 * all that was ever in them, stay until the whole heap is collected.
 */

/** Of a page, in ids. */
const pageIds = 256;

interface Page<T> {
  readonly number: number;
  readonly slots: (T | undefined)[];
  left: number;
}

export class PendingCalls<T> {
  private readonly pages = new Map<number, Page<T>>();
  /** The one that was looked for last. */
  private last: Page<T> | undefined;

  /** @param callId has nothing yet */
  add(callId: number, thing: T): void {
    const number = Math.floor(callId / pageIds);
    const page = this.pageAt(number) ?? this.begin(number);
    page.slots[callId % pageIds] = thing;
    page.left += 1;
  }

  /** Gives what is there, once. */
  take(callId: number): T | undefined {
    const page = this.pageAt(Math.floor(callId / pageIds));
    const thing = page?.slots[callId % pageIds];
    if (page === undefined || thing === undefined) return undefined;
    page.slots[callId % pageIds] = undefined;
    page.left -= 1;
    if (page.left === 0) this.pages.delete(page.number);
    return thing;
  }

  /** All that are there; none is any more. */
  takeAll(): T[] {
    const all = [...this.pages.values()].flatMap(({ slots }) => slots.filter((thing) => thing !== undefined));
    this.pages.clear();
    this.last = undefined;
    return all;
  }

  /** How many pages are kept, for who looks on. */
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
