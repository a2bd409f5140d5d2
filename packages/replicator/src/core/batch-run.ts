/**
 * Consecutive batches of the leader's log in memory: where they stand, and of some what is in them.
 *
 * Owns the content, and the term of the entry before each batch. Does not own whether they are durable.
 *
 * Invariants:
 * 1. The batches follow each other without a gap; terms do not fall.
 * 2. At most `mostBytes` are kept, and always the latest batch; the oldest goes first. A batch counts for a little also
 *    without its content.
 */
import { type BatchHeader, invariant, type LogIndex, type Term } from '@conclave/protocol';

export interface RunBatch {
  readonly header: Pick<BatchHeader, 'first' | 'last' | 'term'>;
  /** Its bytes. */
  readonly size: number;
  /** Undefined where only its place is known. */
  readonly content: Uint8Array | undefined;
  /** The term of the entry before the first; 0: there is none. */
  readonly prevTerm: Term;
}

/** About what a batch without its content takes. */
const placeBytes = 128;
/** So many places of dropped batches are left standing before the rest moves up. */
const mostDropped = 1024;

export class BatchRun {
  private batches: (RunBatch | undefined)[] = [];
  /** The place of the oldest that is kept. */
  private head = 0;
  private keptBytes = 0;
  /** Of all batches that ever were in it, content or not; and of those before each that is kept. */
  private totalBytes = 0;
  private bytesBefore: number[] = [];

  constructor(private readonly mostBytes: number = Infinity) {}

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
    while (this.keptBytes > this.mostBytes && this.head < this.batches.length - 1) this.dropOldest();
  }

  /** Drops the batches before the one that holds this entry, content and all. */
  evictBefore(index: LogIndex): void {
    for (let oldest = this.batches[this.head]; oldest !== undefined && oldest.header.last < index; ) {
      this.dropOldest();
      oldest = this.batches[this.head];
    }
  }

  get lastIndex(): LogIndex | undefined {
    return this.batches.at(-1)?.header.last;
  }

  /** The place of the batch that holds this entry; undefined: it is not kept. */
  placeOf(index: number): number | undefined {
    const latest = this.batches.at(-1);
    const oldest = this.batches[this.head];
    if (latest === undefined || oldest === undefined || index > latest.header.last || index < oldest.header.first) {
      return undefined;
    }
    // Whoever is in step asks for the latest.
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

  /** The batch at a place, counted on from `placeOf`'s answer; undefined: past the end. */
  at(place: number): RunBatch | undefined {
    return this.batches[place];
  }

  /** The bytes of the batches from the one that holds this entry on; undefined: that is not kept. */
  bytesFrom(index: number): number | undefined {
    const place = this.placeOf(index);
    return place === undefined ? undefined : this.totalBytes - (this.bytesBefore[place] ?? 0);
  }

  /** The term of an entry, also of the one before the oldest; undefined: not known here. */
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
    if (this.head < mostDropped || this.head * 2 < this.batches.length) return;
    this.batches = this.batches.slice(this.head);
    this.bytesBefore = this.bytesBefore.slice(this.head);
    this.head = 0;
  }
}

function bytesOf({ content }: RunBatch): number {
  return placeBytes + (content?.length ?? 0);
}
