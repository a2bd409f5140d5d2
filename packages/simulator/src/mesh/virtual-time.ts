/** The time of a run: it advances from one event to the next. */
import { InvariantViolation } from '../invariants/invariant-violation.js';
import { EventQueue } from './event-queue.js';

/** Milliseconds since 1970 when a run begins. */
export const runBeginsMs = Date.UTC(2026, 0, 1);

/** A run has some ten thousand events; cores that answer each other forever have more. */
const maxEvents = 2_000_000;

export class VirtualTime {
  nowMs = 0;
  private eventCount = 0;
  private readonly queue = new EventQueue();

  /** Schedules an event after this many milliseconds. */
  after(ms: number, run: () => void): void {
    this.queue.push(this.nowMs + ms, run);
  }

  /** Schedules an event at a time: sums of times are not exact, and events of one time must keep their order. */
  at(atMs: number, run: () => void): void {
    this.queue.push(atMs, run);
  }

  /** Runs until the condition holds; returns false if it does not within this many milliseconds. */
  until(condition: () => boolean, withinMs: number): boolean {
    const end = this.nowMs + withinMs;
    while (!condition()) if (!this.next(end)) return false;
    return true;
  }

  run(forMs: number): void {
    const end = this.nowMs + forMs;
    while (this.next(end));
    this.nowMs = end;
  }

  /** The time of the next event; undefined: there is none. */
  get nextMs(): number | undefined {
    return this.queue.nextMs;
  }

  /** Runs the next event; returns false if there is none. */
  runNext(): boolean {
    return this.next(Number.POSITIVE_INFINITY);
  }

  private next(endMs: number): boolean {
    const { nextMs } = this.queue;
    if (nextMs === undefined || nextMs > endMs) return false;
    this.eventCount += 1;
    if (this.eventCount > maxEvents) {
      throw new InvariantViolation('runs-end', `${this.eventCount} things have happened by ${this.nowMs} ms`);
    }
    this.nowMs = nextMs;
    this.queue.pop()?.();
    return true;
  }

  /** Returns the time as traces show it. */
  text(): string {
    return this.nowMs.toFixed(3).padStart(11);
  }
}
