/**
 * The one empty AppendEntries that finds out whether a target's log agrees at a position.
 *
 * Owns the probe that is open, and how soon it is sent again. Does not own what follows from the answer.
 *
 * Invariants:
 * 1. What is sent again keeps its id, so that the answer to either counts.
 * 2. A target that stays silent is asked ever more rarely, but at least once an election timeout.
 */
import type { Position } from './in-flight-window.js';
import type { ReplicatorTimes } from './leadership.js';

interface Open {
  readonly requestId: number;
  readonly prev: Position;
  sentMs: number;
}

export class Probe {
  private open: Open | undefined;
  private retryAfterMs: number;

  constructor(private readonly times: ReplicatorTimes) {
    this.retryAfterMs = this.firstRetryMs;
  }

  get isOpen(): boolean {
    return this.open !== undefined;
  }

  /** Where the open one stands. */
  get prev(): Position | undefined {
    return this.open?.prev;
  }

  isAnsweredBy(requestId: number): boolean {
    return this.open?.requestId === requestId;
  }

  begin(requestId: number, prev: Position, nowMs: number): void {
    this.open = { requestId, prev, sentMs: nowMs };
  }

  /** The open one, if it is to be sent again now. */
  repeat(nowMs: number): Pick<Open, 'requestId' | 'prev'> | undefined {
    if (this.open === undefined || nowMs - this.open.sentMs < this.retryAfterMs) return undefined;
    this.retryAfterMs = Math.min(2 * this.retryAfterMs, this.times.electionTimeoutMs);
    this.open.sentMs = nowMs;
    return this.open;
  }

  /** The log agrees there. */
  succeed(): void {
    this.open = undefined;
    this.retryAfterMs = this.firstRetryMs;
  }

  /** It is of no more use. */
  end(): void {
    this.open = undefined;
  }

  private get firstRetryMs(): number {
    return this.times.electionTimeoutMs / 4;
  }
}
