/** Observed events or messages wait in a bounded buffer until they are read. */
import { limits } from '@conclave/protocol';

/**
 * Iterate over it to read what is observed. It ends when it is closed, or when the connection is. The iteration rejects with ConclaveError
 * EPERM if NATS does not permit the subscription to this login; so does `ready`.
 */
export interface Observation<T> extends AsyncIterable<T> {
  /** How many were dropped, oldest first, because the buffer was full. */
  readonly dropped: number;
  /** How many did not match their schema, or had an unknown name. */
  readonly malformed: number;
  /** Resolves when the server has the subscription: everything published from then on is observed. */
  readonly ready: Promise<void>;
  /** Ends the observation; the buffer can still be read. */
  close(): void;
}

/**
 * The buffer of an observation.
 *
 * Invariants:
 * 1. At most `bound` items wait.
 * 2. Items wait only while no reader does.
 */
export class ObservedBuffer<T> implements AsyncIterable<T> {
  dropped = 0;
  private waiting: T[] = [];
  /** The position of the oldest item in `waiting`. */
  private first = 0;
  private readers: { resolve: (result: IteratorResult<T>) => void; reject: (error: Error) => void }[] = [];
  private ended = false;
  private failure: Error | undefined;

  constructor(private readonly bound: number = limits.observedEvents) {}

  push(one: T): void {
    if (this.ended) return;
    const reader = this.readers.shift();
    if (reader !== undefined) {
      reader.resolve({ done: false, value: one });
      return;
    }
    if (this.waiting.length - this.first >= this.bound) {
      this.first += 1;
      this.dropped += 1;
    }
    this.waiting.push(one);
    this.compact();
  }

  /** `failure`: readers get it once they have read the waiting items. */
  end(failure?: Error): void {
    if (!this.ended) this.failure = failure;
    this.ended = true;
    for (const { resolve, reject } of this.readers) {
      if (this.failure === undefined) resolve({ done: true, value: undefined });
      else reject(this.failure);
    }
    this.readers = [];
  }

  next(): Promise<IteratorResult<T>> {
    if (this.first < this.waiting.length) {
      const value = this.waiting[this.first] as T;
      this.first += 1;
      this.compact();
      return Promise.resolve({ done: false, value });
    }
    if (this.failure !== undefined) return Promise.reject(this.failure);
    if (this.ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.readers.push({ resolve, reject }));
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
