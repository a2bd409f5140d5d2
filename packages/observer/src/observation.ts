/** What is observed waits in a bounded buffer until somebody looks. */
import { limits } from '@conclave/protocol';

/**
 * Iterate over it to see what comes. It ends when it is closed, or when the connection is. The iteration rejects with ConclaveError
 * EPERM where NATS does not permit the subscription to this login; so does `ready`.
 */
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

  /** `failure`: readers are told once they have read what waits. */
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
