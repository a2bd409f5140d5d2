/**
 * The digest of what is stored under keys, for the digest of the state.
 *
 * A write only notes that its key has changed; the value is hashed when the digest is asked for, once however often it was
 * written, or as soon as so much has changed that hashing it at once would take long.
 *
 * Invariants:
 * 1. `sum` holds the `countedHash` of each stored value that is there and has one, and nothing else.
 * 2. What is stored and differs from its `countedHash` is in `changed`.
 */
import { DigestSum } from './state-digest.js';
import { hashOfStored, type Stored } from './stored-value.js';

/** How much may have changed before it is hashed, whether anybody asks for a digest or not: some milliseconds of work. */
const bounds = { keys: 32_768, characters: 4 * 1024 * 1024 };

export class ChangedKeys {
  private readonly sum = new DigestSum();
  private changed: Stored[] = [];
  private characters = 0;

  /** It is new, or has changed. */
  touch(stored: Stored): void {
    this.characters += stored.text.length;
    if (!stored.isChanged) {
      stored.isChanged = true;
      this.changed.push(stored);
    }
    if (this.changed.length >= bounds.keys || this.characters >= bounds.characters) this.settle();
  }

  /** It is there no more. */
  remove(stored: Stored): void {
    stored.isChanged = false;
    if (stored.countedHash !== undefined) this.sum.subtract(stored.countedHash);
    stored.countedHash = undefined;
  }

  /** Over all keys as they are now. */
  get digest(): DigestSum {
    this.settle();
    return this.sum;
  }

  private settle(): void {
    for (const stored of this.changed) {
      if (!stored.isChanged) continue;
      stored.isChanged = false;
      if (stored.countedHash !== undefined) this.sum.subtract(stored.countedHash);
      stored.countedHash = hashOfStored(stored);
      this.sum.add(stored.countedHash);
    }
    this.changed = [];
    this.characters = 0;
  }
}
