/**
 * The one empty AppendEntries that finds out whether a target's log matches at a position.
 *
 * Owns: the open probe, and when it is repeated. Does not own what follows from the reply.
 *
 * Invariants:
 * 1. A repeated probe keeps its id, so that the reply to either counts.
 * 2. A silent target is probed ever more rarely, but at least once an election timeout.
 */
import type { Position } from './in-flight-window.js';
import type { ReplicatorTimes } from './leader-term.js';

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

  /** The position of the open probe. */
  get prev(): Position | undefined {
    return this.open?.prev;
  }

  isAnsweredBy(requestId: number): boolean {
    return this.open?.requestId === requestId;
  }

  begin(requestId: number, prev: Position, nowMs: number): void {
    this.open = { requestId, prev, sentMs: nowMs };
  }

  /** @returns the open probe if it is to be repeated now */
  repeat(nowMs: number): Pick<Open, 'requestId' | 'prev'> | undefined {
    if (this.open === undefined || nowMs - this.open.sentMs < this.retryAfterMs) return undefined;
    this.retryAfterMs = Math.min(2 * this.retryAfterMs, this.times.electionTimeoutMs);
    this.open.sentMs = nowMs;
    return this.open;
  }

  /** The log matches at the probe's position. */
  succeed(): void {
    this.open = undefined;
    this.retryAfterMs = this.firstRetryMs;
  }

  /** Drops the open probe. */
  end(): void {
    this.open = undefined;
  }

  private get firstRetryMs(): number {
    return this.times.electionTimeoutMs / 4;
  }
}
