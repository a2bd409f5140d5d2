/**
 * Items by prefix: finds all items whose prefix a key begins with, in time that grows with the key and with what is found, and
 * only with the logarithm of the number of items.
 * Invariants:
 * 1. The entries are sorted by their prefixes, which are unique.
 * 2. The parent of an entry is the one with the longest prefix that its own begins with. Between a prefix of a key and that key
 *    are only strings with that prefix: so all prefixes of a key are the entry just before the key, or its ancestors.
 */
import { invariant } from '@conclave/protocol';

interface Entry<T> {
  readonly prefix: string;
  readonly item: T;
  parent: Entry<T> | undefined;
}

export class PrefixIndex<T> {
  private readonly entries: Entry<T>[] = [];

  get size(): number {
    return this.entries.length;
  }

  get(prefix: string): T | undefined {
    const entry = this.entries[this.lastUpTo(prefix)];
    return entry?.prefix === prefix ? entry.item : undefined;
  }

  /** Adds an item under a prefix that has none. */
  add(prefix: string, item: T): void {
    const before = this.lastUpTo(prefix);
    invariant(this.entries[before]?.prefix !== prefix, 'a prefix has one item');
    const entry = { prefix, item, parent: this.longestPrefixOf(prefix, before) };
    this.entries.splice(before + 1, 0, entry);
    this.eachBehind(before + 1, (further) => {
      if (further.parent === entry.parent) further.parent = entry;
    });
  }

  delete(prefix: string): void {
    const at = this.lastUpTo(prefix);
    const entry = this.entries[at];
    invariant(entry?.prefix === prefix, 'what is deleted is there');
    this.eachBehind(at, (further) => {
      if (further.parent === entry) further.parent = entry.parent;
    });
    this.entries.splice(at, 1);
  }

  items(): T[] {
    return this.entries.map(({ item }) => item);
  }

  /** Returns all items whose prefix the key begins with; the longest prefix comes first. */
  prefixesOf(key: string): T[] {
    const found: T[] = [];
    let entry = this.longestPrefixOf(key, this.lastUpTo(key));
    for (; entry !== undefined; entry = entry.parent) found.push(entry.item);
    return found;
  }

  /** @param at the position of the last entry up to the key */
  private longestPrefixOf(key: string, at: number): Entry<T> | undefined {
    let entry = this.entries[at];
    if (entry === undefined) return undefined;
    // What the key shares with an entry, it shares with that entry's ancestors.
    const shared = sharedLength(entry.prefix, key);
    while (entry !== undefined && entry.prefix.length > shared) entry = entry.parent;
    return entry;
  }

  /** Calls back for each entry after the one at this position whose prefix begins with that one's. */
  private eachBehind(at: number, onEntry: (entry: Entry<T>) => void): void {
    const { prefix } = this.entries[at] as Entry<T>;
    for (let next = at + 1; ; next++) {
      const entry = this.entries[next];
      if (entry === undefined || !entry.prefix.startsWith(prefix)) return;
      onEntry(entry);
    }
  }

  /** Returns the position of the last entry that is not after the text; -1: there is none. */
  private lastUpTo(text: string): number {
    let [low, high] = [0, this.entries.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.entries[middle] as Entry<T>).prefix <= text) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

function sharedLength(one: string, other: string): number {
  const end = Math.min(one.length, other.length);
  let at = 0;
  while (at < end && one.charCodeAt(at) === other.charCodeAt(at)) at += 1;
  return at;
}
