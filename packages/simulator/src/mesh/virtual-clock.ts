/** The monotonic clock of a process: it may run fast or slow, and jump forward, but never back. */
export class VirtualClock {
  private sinceMs = 0;
  private baseMs = 0;
  private rate = 1;

  /** What it shows at a moment of the run. */
  at(nowMs: number): number {
    return this.baseMs + (nowMs - this.sinceMs) * this.rate;
  }

  skew(nowMs: number, rate: number, offsetMs: number): void {
    if (rate <= 0 || offsetMs < 0) throw new Error('a monotonic clock does not go back');
    this.baseMs = this.at(nowMs) + offsetMs;
    this.sinceMs = nowMs;
    this.rate = rate;
  }

  /**
   * How long a timer of so many of its milliseconds takes: one at least, as in Node. Where a sum of times is off by its
   * last digit, the timer is set once more and not for ever.
   */
  taken(afterMs: number): number {
    return afterMs === 0 ? 0 : Math.max(afterMs / this.rate, 1);
  }

  get isSkewed(): boolean {
    return this.rate !== 1 || this.baseMs !== this.sinceMs;
  }
}
