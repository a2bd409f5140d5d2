/**
 * How long a log lags behind the leader's: the time from the append of an entry until it is acknowledged. If the log is far
 * behind, each measurement is a round of the Raft thesis, section 4.2.1: it ends at the index at which the leader's log ended
 * when the round began.
 *
 * Owns: the running measurement and the last one. Does not own the positions.
 *
 * Invariants:
 * 1. One measurement runs at a time, and one runs whenever an appended entry is not acknowledged.
 */
import type { LogIndex } from '@conclave/protocol';

export class LagMeter {
  private mark: { readonly end: LogIndex; readonly sinceMs: number; readonly isFirst?: boolean } | undefined;
  private latestMs = 0;

  /** Restarts with a round up to the end of the leader's log, even if its entries were appended long ago. */
  begin(lastIndex: LogIndex, nowMs: number): void {
    this.mark = { end: lastIndex, sinceMs: nowMs, isFirst: true };
  }

  /** The leader's log now ends at `lastIndex`. */
  onAppended(lastIndex: LogIndex, nowMs: number): void {
    this.mark ??= { end: lastIndex, sinceMs: nowMs };
  }

  /** @returns the duration of the measurement that ends with this acknowledgement, if one does */
  onAcknowledged(matchIndex: LogIndex, lastIndex: LogIndex, nowMs: number): number | undefined {
    const { mark } = this;
    if (mark === undefined || matchIndex < mark.end) return undefined;
    const tookMs = nowMs - mark.sinceMs;
    // The first round copies the log. If all entries are acknowledged after it, its duration does not predict the lag of the next one.
    this.latestMs = mark.isFirst && matchIndex >= lastIndex ? 0 : tookMs;
    this.mark = matchIndex < lastIndex ? { end: lastIndex, sinceMs: nowMs } : undefined;
    return tookMs;
  }

  /** Without new entries, the last measurement decays. */
  onTick(): void {
    if (this.mark === undefined) this.latestMs /= 2;
  }

  /** The last measurement, or the running one if it has taken longer already. */
  lagMs(nowMs: number): number {
    return this.mark === undefined ? this.latestMs : Math.max(this.latestMs, nowMs - this.mark.sinceMs);
  }
}
