/**
 * The last entries, one after the other in one ring buffer.
 *
 * They are copies: an entry was received in a message, whose memory can then be freed. And V8 neither scans nor moves these bytes,
 * as it would the single values in them.
 *
 * Invariants:
 * 1. Each entry has a place, which is higher than those of all before it. The entries from `first` on are complete.
 * 2. The buffer grows with what is added, and is never larger than `maxBytes`, except for a larger single entry.
 */
import { invariant } from '@conclave/protocol';

/** Bytes of the length before an entry. */
const headBytes = 4;
const minBytes = 4096;

export class EntryRing {
  private memory = new Uint8Array(0);
  /** Place `p` is at `p` modulo the length of the buffer. */
  private newest = 0;
  private oldest = 0;

  constructor(private readonly maxBytes: number) {}

  /** The lowest place whose entry is kept. */
  get first(): number {
    return this.oldest;
  }

  /** The place of the next entry. */
  get end(): number {
    return this.newest;
  }

  /** Adds an entry, overwriting the oldest ones if there is no room. @returns its place */
  add(entry: Uint8Array): number {
    const bytes = headBytes + entry.length;
    this.makeRoom(bytes);
    const place = this.newest;
    const head = new Uint8Array(headBytes);
    new DataView(head.buffer).setUint32(0, entry.length);
    this.put(place, head);
    this.put(place + headBytes, entry);
    this.newest += bytes;
    return place;
  }

  /** @returns a copy of the entry at a place that is not before `first` */
  at(place: number): Uint8Array {
    invariant(place >= this.oldest && place < this.newest, 'the entry is still there');
    const head = this.take(place, headBytes);
    return this.take(place + headBytes, new DataView(head.buffer).getUint32(0));
  }

  private makeRoom(bytes: number): void {
    const wanted = this.newest - this.oldest + bytes;
    if (wanted > this.memory.length) {
      const grown = Math.max(minBytes, 2 * this.memory.length, wanted);
      this.resize(Math.max(Math.min(grown, this.maxBytes), this.memory.length, bytes));
    }
    while (this.newest - this.oldest + bytes > this.memory.length) this.dropOldest();
  }

  private resize(length: number): void {
    if (length === this.memory.length) return;
    const kept = this.take(this.oldest, this.newest - this.oldest);
    this.memory = new Uint8Array(length);
    this.put(this.oldest, kept);
  }

  private dropOldest(): void {
    const head = this.take(this.oldest, headBytes);
    this.oldest += headBytes + new DataView(head.buffer).getUint32(0);
  }

  private put(place: number, bytes: Uint8Array): void {
    const { memory } = this;
    const at = place % memory.length;
    const fits = memory.length - at;
    if (bytes.length <= fits) memory.set(bytes, at);
    else {
      memory.set(bytes.subarray(0, fits), at);
      memory.set(bytes.subarray(fits), 0);
    }
  }

  private take(place: number, length: number): Uint8Array {
    const { memory } = this;
    const at = length === 0 ? 0 : place % memory.length;
    const fits = memory.length - at;
    if (length <= fits) return memory.slice(at, at + length);
    const bytes = new Uint8Array(length);
    bytes.set(memory.subarray(at), 0);
    bytes.set(memory.subarray(0, length - fits), fits);
    return bytes;
  }
}
