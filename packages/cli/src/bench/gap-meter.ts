/**
 * Measures how long a group acknowledges nothing: the longest gap between two acknowledgements within a window, and the latencies
 * and failures in it.
 * Invariants:
 * 1. A gap belongs to the window in which it ends. It begins with the last acknowledgement, even if that was before the window.
 * 2. The end of the window counts as an acknowledgement, so a group that acknowledges nothing has a gap up to there.
 */
import type { Latencies } from './statistics.js';

export interface GapWindow {
  readonly longestGapMs: number;
  readonly failed: number;
}

interface OpenWindow {
  readonly latencies: Latencies;
  longestGapMs: number;
  failed: number;
}

export class GapMeter {
  private window: OpenWindow | undefined;

  /** @param lastMs the time of the last acknowledged write, or the current time */
  constructor(private lastMs: number) {}

  onAcknowledged(latencyMs: number, nowMs: number): void {
    this.endGap(nowMs);
    this.window?.latencies.add(latencyMs);
  }

  onFailed(): void {
    if (this.window !== undefined) this.window.failed += 1;
  }

  /** @param latencies receives the latencies of the window */
  begin(latencies: Latencies): void {
    this.window = { latencies, longestGapMs: 0, failed: 0 };
  }

  end(nowMs: number): GapWindow {
    const { window } = this;
    if (window === undefined) return { longestGapMs: 0, failed: 0 };
    const longestGapMs = Math.max(window.longestGapMs, nowMs - this.lastMs);
    this.window = undefined;
    return { longestGapMs, failed: window.failed };
  }

  private endGap(nowMs: number): void {
    if (this.window !== undefined) this.window.longestGapMs = Math.max(this.window.longestGapMs, nowMs - this.lastMs);
    this.lastMs = nowMs;
  }
}
