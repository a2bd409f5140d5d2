/**
 * The keys as they were at one moment, drawn in their order while writes go on: copy on write.
 *
 * Owns what the keys that are still to be drawn had at that moment, where they have been written since. Does not touch
 * the keys.
 *
 * Invariants:
 * 1. A key up to `drawn` has been drawn, or was not there at the moment; it is never looked at again.
 * 2. A key beyond `drawn` that is not in `before` is as it was.
 * 3. `gone` holds the keys of `before` that were there at the moment and have been deleted since; some may be there again.
 */
import { compareKeys } from './key-order.js';
import { SortedKeys } from './sorted-keys.js';
import { inOnePiece, type Stored } from './stored-value.js';

interface Before {
  /** Undefined: it was not there. */
  readonly stored: Stored | undefined;
  isGone: boolean;
}

export class KeyCut {
  private readonly before = new Map<string, Before>();
  private readonly gone = new SortedKeys();
  private drawn = '';
  /** How many keys there were. */
  readonly size: number;

  constructor(
    private readonly stored: ReadonlyMap<string, Readonly<Stored>>,
    private readonly order: SortedKeys,
  ) {
    this.size = stored.size;
  }

  /** A key is about to be written; what is stored there now, undefined where nothing is. */
  beforeWrite(key: string, stored: Readonly<Stored> | undefined): void {
    if (this.before.has(key) || compareKeys(key, this.drawn) <= 0) return;
    const copy = stored === undefined ? undefined : { ...stored };
    this.before.set(copy?.key ?? inOnePiece(key), { stored: copy, isGone: false });
  }

  /** A key is about to be deleted. */
  beforeDelete(key: string, stored: Readonly<Stored>): void {
    this.beforeWrite(key, stored);
    const before = this.before.get(key);
    if (before?.stored === undefined || before.isGone) return;
    before.isGone = true;
    this.gone.add(stored.key);
  }

  /**
   * Gives the next keys to `take`, until that answers false or there are no more. Answers whether there may be more. Keys that
   * came since are passed over, however many: what is drawn at each call so follows from the moment alone.
   */
  draw(take: (key: string, stored: Readonly<Stored>) => boolean): boolean {
    const there = this.order.from(this.drawn, false);
    const gone = this.gone.from(this.drawn, false);
    let nextThere = nextOf(there);
    let nextGone = nextOf(gone);
    for (;;) {
      const key = firstOf(nextThere, nextGone);
      if (key === undefined) return false;
      if (nextThere === key) nextThere = nextOf(there);
      if (nextGone === key) nextGone = nextOf(gone);
      this.drawn = key;
      const before = this.before.get(key);
      const stored = before === undefined ? this.stored.get(key) : before.stored;
      if (before !== undefined) this.before.delete(key);
      if (stored !== undefined && !take(key, stored)) return true;
    }
  }
}

function firstOf(one: string | undefined, other: string | undefined): string | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return compareKeys(one, other) <= 0 ? one : other;
}

function nextOf(keys: Generator<string, void>): string | undefined {
  const next = keys.next();
  return next.done === true ? undefined : next.value;
}
