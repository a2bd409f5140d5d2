/**
 * The AppendEntries that finds out whether a target's log matches at a position. It is empty; the entries that follow the position
 * may be sent once with the same id, before the reply.
 *
 * Owns: the open probe, the entries sent with it, and when it is repeated. Does not own what follows from the reply.
 *
 * Invariants:
 * 1. A repeated probe keeps its id, so that the reply to either counts.
 * 2. A silent target is probed ever more rarely, but at least once an election timeout.
 * 3. Entries are sent with a probe at most once: to a target that does not answer, or has another log, they are useless.
 */
import { invariant } from '@conclave/protocol';
import type { EntriesToSend } from './entry-source.js';
import type { Position } from './in-flight-window.js';
import type { ReplicatorTimes } from './leader-term.js';

interface Open {
  readonly requestId: number;
  readonly prev: Position;
  sentMs: number;
  entries: SentEntries | undefined;
}

/** The entries that were sent with a probe. */
export type SentEntries = Omit<EntriesToSend, 'batches'> & { readonly requestId: number };

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
    this.open = { requestId, prev, sentMs: nowMs, entries: undefined };
  }

  /** @returns the open probe if it is to be repeated now */
  repeat(nowMs: number): Pick<Open, 'requestId' | 'prev'> | undefined {
    if (this.open === undefined || nowMs - this.open.sentMs < this.retryAfterMs) return undefined;
    this.retryAfterMs = Math.min(2 * this.retryAfterMs, this.times.electionTimeoutMs);
    this.open.sentMs = nowMs;
    return this.open;
  }

  /** Whether entries may be sent with the open probe. */
  get mayCarry(): boolean {
    return this.open !== undefined && this.open.entries === undefined;
  }

  /** These entries are sent with the open probe. @returns its id */
  carry({ prev, last, bytes }: EntriesToSend): number {
    const { open } = this;
    invariant(open !== undefined && open.prev.index === prev.index, 'entries follow the position of their probe');
    open.entries = { requestId: open.requestId, prev, last, bytes };
    return open.requestId;
  }

  /** The log matches at the probe's position. @returns the entries that were sent with the probe */
  succeed(): SentEntries | undefined {
    const entries = this.open?.entries;
    this.open = undefined;
    this.retryAfterMs = this.firstRetryMs;
    return entries;
  }

  /** Drops the open probe. */
  end(): void {
    this.open = undefined;
  }

  private get firstRetryMs(): number {
    return this.times.electionTimeoutMs / 4;
  }
}
