/**
 * Consecutive batches of the leader's log in memory: their positions, and for some of them their payload.
 *
 * Owns: the payload, and the term of the entry before each batch. Does not know which batches are durable.
 *
 * Invariants:
 * 1. The batches follow each other without a gap; terms never decrease.
 * 2. At most `maxBytes` are kept, but always the latest batch; the oldest is dropped first. A batch without its payload
 *    counts `overheadBytes`.
 */
import { type BatchHeader, invariant, type LogIndex, type Term } from '@conclave/protocol';

export interface RunBatch {
  readonly header: Pick<BatchHeader, 'first' | 'last' | 'term'>;
  /** The size of the batch in bytes. */
  readonly size: number;
  /** The bytes of the batch; undefined: only its position is known. */
  readonly payload: Uint8Array | undefined;
  /** The term of the entry before the first one; 0: there is no such entry. */
  readonly prevTerm: Term;
}

/** About the memory of a batch without its payload. */
const overheadBytes = 128;
/** The array is compacted after at least this many batches at its front were dropped. */
const maxDropped = 1024;

export class BatchRun {
  private batches: (RunBatch | undefined)[] = [];
  /** The place of the oldest batch that is kept. */
  private head = 0;
  private keptBytes = 0;
  /** The bytes of all batches that were ever added. */
  private totalBytes = 0;
  /** For each place: the bytes of all batches that were added before the one there. */
  private bytesBefore: number[] = [];

  constructor(private readonly maxBytes: number = Infinity) {}

  push(batch: RunBatch): void {
    const latest = this.batches.at(-1);
    if (latest !== undefined) {
      invariant(batch.header.first === latest.header.last + 1, 'batches in memory follow each other');
      invariant(batch.prevTerm === latest.header.term, 'a batch names the term of the previous batch');
    }
    this.batches.push(batch);
    this.bytesBefore.push(this.totalBytes);
    this.totalBytes += batch.size;
    this.keptBytes += bytesOf(batch);
    while (this.keptBytes > this.maxBytes && this.head < this.batches.length - 1) this.dropOldest();
  }

  /** Drops the batches before the one that holds this entry. */
  evictBefore(index: LogIndex): void {
    for (let oldest = this.batches[this.head]; oldest !== undefined && oldest.header.last < index; ) {
      this.dropOldest();
      oldest = this.batches[this.head];
    }
  }

  get lastIndex(): LogIndex | undefined {
    return this.batches.at(-1)?.header.last;
  }

  /** @returns the place of the batch that holds this entry; undefined: it is not kept */
  placeOf(index: number): number | undefined {
    const latest = this.batches.at(-1);
    const oldest = this.batches[this.head];
    if (latest === undefined || oldest === undefined || index > latest.header.last || index < oldest.header.first) {
      return undefined;
    }
    // A target that is caught up asks for the latest batch.
    if (index >= latest.header.first) return this.batches.length - 1;
    let low = this.head;
    let high = this.batches.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const batch = this.batches[middle];
      if (batch === undefined || batch.header.last < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** @param place returned by `placeOf`, or a later one. @returns undefined past the end */
  at(place: number): RunBatch | undefined {
    return this.batches[place];
  }

  /** @returns the bytes of the batches from the one that holds this entry to the end; undefined: it is not kept */
  bytesFrom(index: number): number | undefined {
    const place = this.placeOf(index);
    return place === undefined ? undefined : this.totalBytes - (this.bytesBefore[place] ?? 0);
  }

  /** @returns the term of an entry, also of the one before the oldest batch; undefined: unknown */
  termAt(index: number): Term | undefined {
    const oldest = this.batches[this.head];
    if (oldest !== undefined && index === oldest.header.first - 1) return oldest.prevTerm;
    const place = this.placeOf(index);
    return place === undefined ? undefined : this.batches[place]?.header.term;
  }

  private dropOldest(): void {
    const oldest = this.batches[this.head];
    if (oldest !== undefined) this.keptBytes -= bytesOf(oldest);
    this.batches[this.head] = undefined;
    this.head += 1;
    if (this.head < maxDropped || this.head * 2 < this.batches.length) return;
    this.batches = this.batches.slice(this.head);
    this.bytesBefore = this.bytesBefore.slice(this.head);
    this.head = 0;
  }
}

function bytesOf({ payload }: RunBatch): number {
  return overheadBytes + (payload?.length ?? 0);
}
