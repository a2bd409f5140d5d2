/**
 * Consecutive batches of the leader's log in memory: their positions, and for some of them their content.
 *
 * Owns: the content, and the term of the entry before each batch. Does not know which batches are durable.
 *
 * Invariants:
 * 1. The batches follow each other without a gap; terms do not fall.
 * 2. At most `maxBytes` are kept, but always the latest batch; the oldest is dropped first. A batch without its content
 *    counts `overheadBytes`.
 */
import { type BatchHeader, invariant, type LogIndex, type Term } from '@conclave/protocol';

export interface RunBatch {
  readonly header: Pick<BatchHeader, 'first' | 'last' | 'term'>;
  /** In bytes. */
  readonly size: number;
  /** Undefined where only the position is known. */
  readonly content: Uint8Array | undefined;
  /** The term of the entry before the first one; 0: there is no such entry. */
  readonly prevTerm: Term;
}

/** About the memory of a batch without its content. */
const overheadBytes = 128;
/** Number of dropped places at the front after which the array is compacted. */
const maxDropped = 1024;

export class BatchRun {
  private batches: (RunBatch | undefined)[] = [];
  /** The place of the oldest batch that is kept. */
  private head = 0;
  private keptBytes = 0;
  /** Bytes of all batches that were ever added, and of those before each batch that is kept. */
  private totalBytes = 0;
  private bytesBefore: number[] = [];

  constructor(private readonly maxBytes: number = Infinity) {}

  push(batch: RunBatch): void {
    const latest = this.batches.at(-1);
    if (latest !== undefined) {
      invariant(batch.header.first === latest.header.last + 1, 'batches in memory follow each other');
      invariant(batch.prevTerm === latest.header.term, 'the entry before a batch is the last of the one before');
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

function bytesOf({ content }: RunBatch): number {
  return overheadBytes + (content?.length ?? 0);
}
