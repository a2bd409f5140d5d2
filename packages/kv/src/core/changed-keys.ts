/**
 * The digest of the stored keys, as a part of the digest of the state.
 *
 * A write only marks its key as changed; the value is hashed when the digest is requested, once however often it was written, or
 * as soon as so much has changed that hashing it later at once would take long.
 *
 * Invariants:
 * 1. `sum` contains the `countedHash` of each stored value that has one, and nothing else.
 * 2. A stored value that differs from its `countedHash` is in `changed`.
 */
import { DigestSum } from './state-digest.js';
import { hashOfStored, type Stored } from './stored-value.js';

/** Changes after which they are hashed without a request for a digest: some milliseconds of work. */
const bounds = { keys: 32_768, characters: 4 * 1024 * 1024 };

export class ChangedKeys {
  private readonly sum = new DigestSum();
  private changed: Stored[] = [];
  private characters = 0;

  /** The value is new, or has changed. */
  touch(stored: Stored): void {
    this.characters += stored.text.length;
    if (!stored.isChanged) {
      stored.isChanged = true;
      this.changed.push(stored);
    }
    if (this.changed.length >= bounds.keys || this.characters >= bounds.characters) this.settle();
  }

  /** The value was deleted. */
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
