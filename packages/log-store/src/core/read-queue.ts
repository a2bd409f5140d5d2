/**
 * The reads of one kind that are in progress: of entries, or of a snapshot's chunks.
 *
 * Owns: the reads that the storage works on, and the requests that wait for a write.
 *
 * Invariants:
 * 1. At most `limits.logReads` reads run or wait.
 * 2. A read ends once: its token is never used again.
 */
import { limits } from '@conclave/protocol';

/** A read that the storage works on; `details` are those of its kind. */
export interface Read<Request, Details> {
  readonly token: number;
  readonly request: Request;
  readonly details: Details;
}

export class ReadQueue<Request, Details> {
  private readonly running = new Map<number, Read<Request, Details>>();
  private waiting: Request[] = [];
  private lastToken = 0;

  get hasRoom(): boolean {
    return this.running.size + this.waiting.length < limits.logReads;
  }

  /** @returns the read, with a token of its own */
  begin(request: Request, details: Details): Read<Request, Details> {
    this.lastToken += 1;
    const read = { token: this.lastToken, request, details };
    this.running.set(read.token, read);
    return read;
  }

  /** Keeps a request until `takeWaiting`. */
  wait(request: Request): void {
    this.waiting.push(request);
  }

  takeWaiting(): Request[] {
    const { waiting } = this;
    this.waiting = [];
    return waiting;
  }

  /** @returns the read that has ended; undefined: it was dropped meanwhile */
  end(token: number): Read<Request, Details> | undefined {
    const read = this.running.get(token);
    this.running.delete(token);
    return read;
  }

  /** Drops all reads. @returns how many there were */
  drop(): number {
    const dropped = this.running.size + this.waiting.length;
    this.running.clear();
    this.waiting = [];
    return dropped;
  }
}
