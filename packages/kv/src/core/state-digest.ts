/**
 * Digests of replicated state, maintained as it changes: the sum of a hash of each row, so that the order of rows does not matter and
 * a deleted row is subtracted. Two peers with the same state have the same digest, whether it came from entries or from a snapshot.
 *
 * It detects faults, not forgeries: a hash of 32 bits for the content of a row, and sums of 64 bits over all rows.
 *
 * Invariants:
 * 1. A `DigestSum` depends on its rows alone, not on their order or on deleted rows.
 * 2. A `ChangedRows` keeps at most `settleAt` names of changed rows that are not hashed yet.
 */
import { invariant, limits, type Value } from '@conclave/protocol';

type Write = (this: Uint8Array, text: string, start: number, length: number) => number;
const { utf8Write, latin1Write } = Buffer.prototype as unknown as Readonly<Record<'utf8Write' | 'latin1Write', Write>>;

/** Holds a text as words of 32 bits: one text at a time, so that one buffer suffices. */
const scratch = new Uint8Array(limits.valueBytes + 16);
const words = new Int32Array(scratch.buffer);

/** Mixes a number into a hash. Arguments and result have 32 bits. */
export function mix(hash: number, word: number): number {
  let mixed = Math.imul(hash ^ word, 0x85ebca6b);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 13);
}

/** Mixes a whole number of up to 53 bits into a hash. */
export function mixNumber(hash: number, number: number): number {
  return mix(hash ^ Math.imul((number / 2 ** 32) | 0, 0x27d4eb2f), number | 0);
}

/** A hash of a value or a key; text and bytes differ even if their contents are the same. */
export function hashOfValue(value: Value, seed = 0): number {
  if (typeof value === 'string') return hashOfScratch(utf8Write.call(scratch, value, 0, scratch.length), seed);
  scratch.set(value);
  return hashOfScratch(value.length, ~seed);
}

/** As `hashOfValue` of the bytes that a text holds, one character each. */
export function hashOfCharacters(text: string, seed: number): number {
  return hashOfScratch(latin1Write.call(scratch, text, 0, scratch.length), ~seed);
}

/** Four words at a time, independently: the processor then computes them in parallel. */
function hashOfScratch(length: number, seed: number): number {
  const end = ((length + 15) >> 4) << 2;
  for (let at = length; at < 4 * end; at++) scratch[at] = 0;
  let a = seed;
  let b = ~seed;
  let c = seed ^ 0x165667b1;
  let d = seed ^ 0x27d4eb2f;
  for (let at = 0; at < end; at += 4) {
    a = Math.imul(((a << 13) | (a >>> 19)) ^ (words[at] as number), 0x85ebca6b);
    b = Math.imul(((b << 13) | (b >>> 19)) ^ (words[at + 1] as number), 0x85ebca6b);
    c = Math.imul(((c << 13) | (c >>> 19)) ^ (words[at + 2] as number), 0x85ebca6b);
    d = Math.imul(((d << 13) | (d >>> 19)) ^ (words[at + 3] as number), 0x85ebca6b);
  }
  return mix(mix(mix(mix(length, a), b), c), d);
}

/** A hash of numbers, texts, bytes, booleans and null, and lists of them. Undefined counts as null. */
export function hashOf(row: unknown, seed = 0): number {
  if (typeof row === 'number') return mixNumber(mix(seed, 1), row);
  if (typeof row === 'string' || row instanceof Uint8Array) return hashOfValue(row, mix(seed, 2));
  if (typeof row === 'boolean') return mix(seed, row ? 3 : 4);
  if (row === null || row === undefined) return mix(seed, 5);
  invariant(Array.isArray(row), 'a row is made of lists, numbers, texts and bytes');
  let hash = mix(seed, 6 + row.length);
  for (const part of row) hash = hashOf(part, hash);
  return hash;
}

/** The sum over rows. */
export class DigestSum {
  private low = 0;
  private high = 0;

  add(hash: number): void {
    this.low = (this.low + hash) | 0;
    this.high = (this.high + mix(hash, 0x7f4a7c15)) | 0;
  }

  subtract(hash: number): void {
    this.low = (this.low - hash) | 0;
    this.high = (this.high - mix(hash, 0x7f4a7c15)) | 0;
  }

  addAll(other: DigestSum): void {
    this.low = (this.low + other.low) | 0;
    this.high = (this.high + other.high) | 0;
  }

  /** 16 hexadecimal digits. */
  toString(): string {
    const digits = (lane: number): string => (lane >>> 0).toString(16).padStart(8, '0');
    return digits(this.high) + digits(this.low);
  }
}

/** This many changed rows are hashed at once, without a request for a digest. */
const settleAt = 4096;

/** The digest of a table whose rows change often or are long: each changed row is hashed once, when the digest is requested. */
export class ChangedRows<Name extends string | number> {
  private readonly counted = new Map<Name, number>();
  private readonly changed = new Set<Name>();
  private readonly sum = new DigestSum();

  constructor(
    /** Distinguishes the rows of one table from those of others. */
    private readonly seed: number,
    /** The current row; undefined: it was deleted. */
    private readonly rowOf: (name: Name) => readonly unknown[] | undefined,
  ) {}

  /** The row of that name was added, changed or deleted, or is about to be: before another one is touched. */
  touch(name: Name): void {
    if (this.changed.size >= settleAt) this.settle();
    this.changed.add(name);
  }

  /** Over all rows as they are now. */
  get digest(): DigestSum {
    this.settle();
    return this.sum;
  }

  private settle(): void {
    for (const name of this.changed) {
      const before = this.counted.get(name);
      if (before !== undefined) this.sum.subtract(before);
      const row = this.rowOf(name);
      if (row === undefined) {
        this.counted.delete(name);
        continue;
      }
      const hash = hashOf(row, this.seed);
      this.counted.set(name, hash);
      this.sum.add(hash);
    }
    this.changed.clear();
  }
}
