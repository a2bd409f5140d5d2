/**
 * Limits how fast a process sends snapshots, to all targets of all its groups together: a token bucket of bytes.
 *
 * Owns: the tokens. Does not decide which target is served first.
 *
 * Invariants:
 * 1. At most the bytes of `burstMs` are saved up.
 * 2. While tokens are left, a chunk may be larger than they are; later chunks wait until the debt is paid. So a chunk larger than
 *    the bucket is sent, too, and over time no more than `bytesPerSecond` are.
 */
export interface SnapshotThrottleOptions {
  readonly bytesPerSecond: number;
  /** At least the longest time between two calls: the tick interval of the nodes. */
  readonly burstMs: number;
}

export class SnapshotThrottle {
  private readonly maxBytes: number;
  private bytes: number;
  private filledMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: SnapshotThrottleOptions) {
    this.maxBytes = (options.bytesPerSecond * options.burstMs) / 1000;
    this.bytes = this.maxBytes;
  }

  /** Takes tokens for this many bytes. @returns false if there are none now */
  take(bytes: number, nowMs: number): boolean {
    if (nowMs > this.filledMs) {
      const filled = this.bytes + ((nowMs - this.filledMs) * this.options.bytesPerSecond) / 1000;
      this.bytes = Math.min(this.maxBytes, filled);
      this.filledMs = nowMs;
    }
    if (this.bytes <= 0) return false;
    this.bytes -= bytes;
    return true;
  }
}
