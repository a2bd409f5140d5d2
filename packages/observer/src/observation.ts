/** What is observed waits in a bounded buffer until somebody looks. */
import { limits } from '@conclave/protocol';

/** Iterate over it to see what comes. It ends when it is closed, or when the connection is. */
export interface Observation<T> extends AsyncIterable<T> {
  /** What came while the buffer was full: the oldest went. */
  readonly dropped: number;
  /** What came and was not what its schema says, or bears a name that is none. */
  readonly malformed: number;
  /** Settled when the server knows of the subscription: what is published from then on is seen. */
  readonly ready: Promise<void>;
  /** Ends it; what is in the buffer can still be read. */
  close(): void;
}

/**
 * The buffer of an observation.
 *
 * Invariants:
 * 1. At most `bound` things wait.
 * 2. Something waits only while nobody does.
 */
export class ObservedBuffer<T> implements AsyncIterable<T> {
  dropped = 0;
  private waiting: T[] = [];
  /** Where in `waiting` the oldest is. */
  private first = 0;
  private readers: ((result: IteratorResult<T>) => void)[] = [];
  private ended = false;

  constructor(private readonly bound: number = limits.observedEvents) {}

  push(one: T): void {
    if (this.ended) return;
    const reader = this.readers.shift();
    if (reader !== undefined) {
      reader({ done: false, value: one });
      return;
    }
    if (this.waiting.length - this.first >= this.bound) {
      this.first += 1;
      this.dropped += 1;
    }
    this.waiting.push(one);
    this.compact();
  }

  end(): void {
    this.ended = true;
    for (const reader of this.readers) reader({ done: true, value: undefined });
    this.readers = [];
  }

  next(): Promise<IteratorResult<T>> {
    if (this.first < this.waiting.length) {
      const value = this.waiting[this.first] as T;
      this.first += 1;
      this.compact();
      return Promise.resolve({ done: false, value });
    }
    if (this.ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.readers.push(resolve));
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    return { next: () => this.next() };
  }

  private compact(): void {
    if (this.first < this.bound / 2 && this.first < this.waiting.length) return;
    this.waiting = this.waiting.slice(this.first);
    this.first = 0;
  }
}
