/**
 * How fast a process sends snapshots, all of its groups and targets together: a bucket of bytes that fills with time.
 *
 * Owns what may be sent. Does not own who is served first.
 *
 * Invariants:
 * 1. At most `burstMs` worth of bytes is saved up.
 * 2. Who takes when something is left may take more than that; the others wait until it is made up for. So a chunk
 *    larger than the bucket goes, too, and over time no more than `bytesPerSecond` do.
 */
export interface SnapshotThrottleOptions {
  readonly bytesPerSecond: number;
  /** As long as the longest pause between two looks at the bucket: the ticks of the nodes. */
  readonly burstMs: number;
}

export class SnapshotThrottle {
  private readonly mostBytes: number;
  private bytes: number;
  private filledMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: SnapshotThrottleOptions) {
    this.mostBytes = (options.bytesPerSecond * options.burstMs) / 1000;
    this.bytes = this.mostBytes;
  }

  /** Takes so many bytes; false: not now. */
  take(bytes: number, nowMs: number): boolean {
    if (nowMs > this.filledMs) {
      const filled = this.bytes + ((nowMs - this.filledMs) * this.options.bytesPerSecond) / 1000;
      this.bytes = Math.min(this.mostBytes, filled);
      this.filledMs = nowMs;
    }
    if (this.bytes <= 0) return false;
    this.bytes -= bytes;
    return true;
  }
}
