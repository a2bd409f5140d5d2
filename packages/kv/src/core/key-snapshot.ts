/**
 * The keys as of one moment, read in their order while writes continue: copy on write.
 *
 * Owns: the earlier values of keys that were written since and are not read yet. Does not change the keys.
 *
 * Invariants:
 * 1. A key up to `readUpTo` has been read, or did not exist at that moment; it is never looked at again.
 * 2. A key after `readUpTo` that is not in `before` is unchanged.
 * 3. `deleted` holds the keys of `before` that existed at that moment and have been deleted since; some may exist again.
 */
import { compareKeys } from './key-order.js';
import { SortedKeys } from './sorted-keys.js';
import { inOnePiece, type Stored } from './stored-value.js';

interface Before {
  /** Undefined: the key did not exist. */
  readonly stored: Stored | undefined;
  isDeleted: boolean;
}

export class KeySnapshot {
  private readonly before = new Map<string, Before>();
  private readonly deleted = new SortedKeys();
  private readUpTo = '';
  /** How many keys there were. */
  readonly size: number;

  constructor(
    private readonly stored: ReadonlyMap<string, Readonly<Stored>>,
    private readonly order: SortedKeys,
  ) {
    this.size = stored.size;
  }

  /** Call it before a key is written, with its stored value; undefined: there is none. */
  beforeWrite(key: string, stored: Readonly<Stored> | undefined): void {
    if (this.before.has(key) || compareKeys(key, this.readUpTo) <= 0) return;
    const copy = stored === undefined ? undefined : { ...stored };
    this.before.set(copy?.key ?? inOnePiece(key), { stored: copy, isDeleted: false });
  }

  /** Call it before a key is deleted. */
  beforeDelete(key: string, stored: Readonly<Stored>): void {
    this.beforeWrite(key, stored);
    const before = this.before.get(key);
    if (before?.stored === undefined || before.isDeleted) return;
    before.isDeleted = true;
    this.deleted.add(stored.key);
  }

  /**
   * Passes the next keys to `take`, until that returns false or there are no more. Keys that were added since are skipped, however
   * many: so what each call reads depends on the moment of the snapshot alone.
   * @returns whether there may be more
   */
  read(take: (key: string, stored: Readonly<Stored>) => boolean): boolean {
    const there = this.order.from(this.readUpTo, false);
    const gone = this.deleted.from(this.readUpTo, false);
    let nextPresent = nextOf(there);
    let nextDeleted = nextOf(gone);
    for (;;) {
      const key = firstOf(nextPresent, nextDeleted);
      if (key === undefined) return false;
      if (nextPresent === key) nextPresent = nextOf(there);
      if (nextDeleted === key) nextDeleted = nextOf(gone);
      this.readUpTo = key;
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
