/**
 * A queue in order, bounded by count and by bytes. What is past a bound is refused, for the caller to count.
 */
import { limits } from '@conclave/protocol';

interface Slot<T> {
  readonly item: T;
  readonly bytes: number;
}

export class Mailbox<T> {
  private slots: (Slot<T> | undefined)[] = [];
  private head = 0;
  private waitingBytes = 0;

  constructor(
    private readonly most: { readonly messages: number; readonly bytes: number } = {
      messages: limits.mailboxMessages,
      bytes: limits.mailboxBytes,
    },
  ) {}

  get length(): number {
    return this.slots.length - this.head;
  }

  get bytes(): number {
    return this.waitingBytes;
  }

  /** Queues the item if there is room; false where there is none. `bytes`: about what it keeps in memory. */
  offer(item: T, bytes: number): boolean {
    if (this.length >= this.most.messages || this.waitingBytes + bytes > this.most.bytes) return false;
    this.push(item, bytes);
    return true;
  }

  /** Queues what must not be lost and is bounded by its nature, such as a timer that has gone off. */
  push(item: T, bytes = 0): void {
    this.slots.push({ item, bytes });
    this.waitingBytes += bytes;
  }

  /** Takes the oldest; undefined where there is none. */
  shift(): T | undefined {
    const slot = this.slots[this.head];
    if (slot === undefined) return undefined;
    this.slots[this.head] = undefined;
    this.head += 1;
    this.waitingBytes -= slot.bytes;
    // What was taken is cut off in large pieces, so that a take costs the same however much waits.
    if (this.head === this.slots.length || this.head >= 1024) {
      this.slots = this.slots.slice(this.head);
      this.head = 0;
    }
    return slot.item;
  }

  clear(): void {
    this.slots = [];
    this.head = 0;
    this.waitingBytes = 0;
  }
}
