/**
 * All keys in their order, for ranges: blocks of keys, sorted within and across blocks.
 *
 * Owns: the order only; the owner of the keys decides which exist. Chosen by measurement
 * (`docs/decisions/0021-keys-are-sorted-in-blocks.md`): a new key costs a search and a move of half a block.
 *
 * Invariants:
 * 1. Every block but the only one holds 1 to `blockKeys` keys.
 * 2. The keys rise from block to block and within each, by `compareKeys`.
 * 3. `compare` agrees with `compareKeys` for all keys in it, and for one of them with any other.
 */
import { invariant } from '@conclave/protocol';
import { compareKeys, compareLowKeys, hasHighUnit } from './key-order.js';

const blockKeys = 512;

export class SortedKeys {
  private blocks: string[][] = [[]];
  private compare = compareLowKeys;
  private count = 0;

  get size(): number {
    return this.count;
  }

  /** Adds a key that is not in it. */
  add(key: string): void {
    // As no key so far has such a unit, both functions sort them the same.
    if (this.compare === compareLowKeys && hasHighUnit(key)) this.compare = compareKeys;
    const at = this.blockOf(key);
    const block = this.block(at);
    block.splice(this.placeIn(block, key), 0, key);
    this.count += 1;
    // Keys that are added in rising order fill their blocks.
    const half = block.at(-1) === key ? blockKeys : blockKeys / 2;
    if (block.length > blockKeys) this.blocks.splice(at + 1, 0, block.splice(half));
  }

  /** Removes a key that is in it. */
  delete(key: string): void {
    const at = this.blockOf(key);
    const block = this.block(at);
    const place = this.placeIn(block, key);
    invariant(block[place] === key, 'a key that goes was there');
    block.splice(place, 1);
    this.count -= 1;
    const next = this.blocks[at + 1];
    if (next !== undefined && block.length + next.length <= blockKeys / 2) {
      this.blocks.splice(at, 2, block.concat(next));
    } else if (block.length === 0 && this.blocks.length > 1) {
      this.blocks.splice(at, 1);
    }
  }

  /** The keys from this one on, with it or without. Must not outlive a change. */
  *from(key: string, withIt: boolean): Generator<string, void> {
    let at = this.blockOf(key);
    let place = this.placeIn(this.block(at), key);
    if (!withIt && this.block(at)[place] === key) place += 1;
    for (; at < this.blocks.length; at++) {
      const block = this.block(at);
      for (; place < block.length; place++) yield block[place] as string;
      place = 0;
    }
  }

  /** The last block that does not begin after the key; the first if all do. */
  private blockOf(key: string): number {
    let low = 0;
    let high = this.blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.compare(this.block(middle)[0] as string, key) <= 0) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The place of the key in the block, or where it would be inserted. */
  private placeIn(block: readonly string[], key: string): number {
    let low = 0;
    let high = block.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.compare(block[middle] as string, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private block(at: number): string[] {
    return this.blocks[at] as string[];
  }
}
