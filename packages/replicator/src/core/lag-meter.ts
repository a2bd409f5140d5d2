/**
 * How long a log takes to follow the leader's: from the append of an entry until it is acknowledged. Of a log that is far
 * behind these are the rounds of the Raft thesis, section 4.2.1: each up to where the leader's log ended when it began.
 *
 * Owns the running measure and the last one. Does not own the positions.
 *
 * Invariants:
 * 1. One measure runs at a time, and one runs whenever something was appended that is not acknowledged.
 */
import type { LogIndex } from '@conclave/protocol';

export class LagMeter {
  private mark: { readonly end: LogIndex; readonly sinceMs: number; readonly isFirst?: boolean } | undefined;
  private latestMs = 0;

  /** Measures anew, from what there is: it is a round of its own, however long it was there. */
  begin(lastIndex: LogIndex, nowMs: number): void {
    this.mark = { end: lastIndex, sinceMs: nowMs, isFirst: true };
  }

  /** The leader's log ends there now. */
  onAppended(lastIndex: LogIndex, nowMs: number): void {
    this.mark ??= { end: lastIndex, sinceMs: nowMs };
  }

  /** @returns how long the measure took that ends with it, if one does */
  onAcknowledged(matchIndex: LogIndex, lastIndex: LogIndex, nowMs: number): number | undefined {
    const { mark } = this;
    if (mark === undefined || matchIndex < mark.end) return undefined;
    const tookMs = nowMs - mark.sinceMs;
    // Where all is acknowledged, how long the first round took says nothing about the next entry.
    this.latestMs = mark.isFirst && matchIndex >= lastIndex ? 0 : tookMs;
    this.mark = matchIndex < lastIndex ? { end: lastIndex, sinceMs: nowMs } : undefined;
    return tookMs;
  }

  /** Without entries an old measure says less and less. */
  onTick(): void {
    if (this.mark === undefined) this.latestMs /= 2;
  }

  /** The last measure; the running one, where that has taken longer already. */
  lagMs(nowMs: number): number {
    return this.mark === undefined ? this.latestMs : Math.max(this.latestMs, nowMs - this.mark.sinceMs);
  }
}
