/**
 * Limits how fast a process sends snapshots, to all targets of all its groups together: a token bucket of bytes.
 *
 * Owns: the tokens, one for each byte. Does not decide which target is served first.
 *
 * Invariants:
 * 1. The bucket holds at most the bytes of `burstMs`.
 * 2. As long as the bucket is not empty, a chunk of any size may be sent. The number of tokens can become negative; then later chunks
 *    wait until it is positive again. So a chunk larger than the bucket is sent, too, and the long-term rate is `bytesPerSecond`.
 */
export interface SnapshotThrottleOptions {
  readonly bytesPerSecond: number;
  /** Must be at least the longest time between two calls, the tick interval of the nodes: tokens beyond that are lost. */
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

  /** Removes tokens for this many bytes. @returns false if the bucket is empty: then nothing may be sent now */
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
