/**
 * Slows writers down for a moment, so that a new peer that is almost as fast as they are can catch up (decision 0072). Meanwhile
 * the leader appends half as many bytes a second as before; nothing is refused.
 * Owns: the rate. Does not own the proposals that wait, nor decide when a peer needs this.
 * Invariants:
 * 1. The throttling ends by itself after half an election timeout, and does not begin again within the next five election timeouts.
 * 2. A proposal is delayed only while writers are throttled.
 */
export class WriterThrottle {
  private beganMs = Number.NEGATIVE_INFINITY;
  private isOn = false;
  /** A moving average, over half an election timeout, of the bytes that are appended per second. */
  private bytesPerSecond = 0;
  /** The bytes that were appended since `bytesPerSecond` was last updated. */
  private bytes = 0;
  private measuredMs = Number.NEGATIVE_INFINITY;
  /** Never above 0. Below 0: this many bytes more were appended than the throttled rate permits, so the next append waits. */
  private budget = 0;
  private filledMs = 0;

  constructor(private readonly electionTimeoutMs: number) {}

  private get durationMs(): number {
    return this.electionTimeoutMs / 2;
  }

  /** Once a tick: measures how fast entries are appended. */
  onTick(nowMs: number): void {
    const sinceMs = nowMs - this.measuredMs;
    const isFirst = !Number.isFinite(sinceMs);
    if (!isFirst && sinceMs > 0) {
      const share = Math.min(1, sinceMs / this.durationMs);
      this.bytesPerSecond += share * ((1000 * this.bytes) / sinceMs - this.bytesPerSecond);
    }
    this.bytes = 0;
    this.measuredMs = nowMs;
  }

  /** Throttles writers from now on, for a new peer. Returns false if it must not begin again yet, or nothing is written. */
  begin(nowMs: number): boolean {
    if (nowMs - this.beganMs < 11 * this.durationMs || this.bytesPerSecond === 0) return false;
    this.beganMs = nowMs;
    this.isOn = true;
    this.budget = 0;
    this.filledMs = nowMs;
    return true;
  }

  end(): void {
    this.isOn = false;
  }

  onAppended(bytes: number): void {
    this.bytes += bytes;
    this.budget -= bytes;
  }

  /** Returns for how many milliseconds nothing may be appended; 0: entries may be appended now. */
  waitMs(nowMs: number): number {
    const leftMs = this.beganMs + this.durationMs - nowMs;
    if (leftMs <= 0) this.isOn = false;
    if (!this.isOn) return 0;
    const perMs = this.bytesPerSecond / 2 / 1000;
    this.budget = Math.min(0, this.budget + (nowMs - this.filledMs) * perMs);
    this.filledMs = nowMs;
    return this.budget >= 0 ? 0 : Math.min(leftMs, Math.max(1, -this.budget / perMs));
  }
}
