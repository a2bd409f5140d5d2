/**
 * A FIFO queue, bounded by count and by bytes. It refuses items beyond its bounds; the caller counts them.
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
    private readonly bounds: { readonly messages: number; readonly bytes: number } = {
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

  /** Queues the item; false: there is no room. `bytes`: approximately the memory that it takes. */
  offer(item: T, bytes: number): boolean {
    if (this.length >= this.bounds.messages || this.waitingBytes + bytes > this.bounds.bytes) return false;
    this.push(item, bytes);
    return true;
  }

  /** Queues an item that must not be lost and is bounded by its nature, such as a timer that has fired. */
  push(item: T, bytes = 0): void {
    this.slots.push({ item, bytes });
    this.waitingBytes += bytes;
  }

  /** Removes and returns the oldest item; undefined: the queue is empty. */
  shift(): T | undefined {
    const slot = this.slots[this.head];
    if (slot === undefined) return undefined;
    this.slots[this.head] = undefined;
    this.head += 1;
    this.waitingBytes -= slot.bytes;
    // Removed items are cut off in large pieces, so that the cost does not depend on the queue's length.
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
