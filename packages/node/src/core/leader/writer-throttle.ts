/**
 * Slows writers down for a moment, so that a new peer that is almost as fast as they are can catch up (decision 0072). Meanwhile
 * the leader appends half as many bytes a second as before; nothing is refused.
 * Owns: the rate. Does not own the proposals that wait, nor decide when a peer needs this.
 * Invariants:
 * 1. It ends by itself after half an election timeout, and then does not begin again for ten times as long.
 * 2. It delays a proposal only while it lasts.
 */
export class WriterThrottle {
  private beganMs = Number.NEGATIVE_INFINITY;
  private isOn = false;
  /** Bytes appended a second: a moving average over about half a second, and what was added since its last update. */
  private bytesPerSecond = 0;
  private bytes = 0;
  private measuredMs = Number.NEGATIVE_INFINITY;
  /** Bytes that may be appended now; below 0: what was appended in advance. */
  private budget = 0;
  private filledMs = 0;

  constructor(private readonly electionTimeoutMs: number) {}

  private get lastsMs(): number {
    return this.electionTimeoutMs / 2;
  }

  /** Once a tick: measures how fast entries are appended. */
  onTick(nowMs: number): void {
    const sinceMs = nowMs - this.measuredMs;
    const isFirst = !Number.isFinite(sinceMs);
    if (!isFirst && sinceMs > 0) {
      const share = Math.min(1, sinceMs / this.lastsMs);
      this.bytesPerSecond += share * ((1000 * this.bytes) / sinceMs - this.bytesPerSecond);
    }
    this.bytes = 0;
    this.measuredMs = nowMs;
  }

  /** A new peer needs it. Returns whether it begins now. */
  begin(nowMs: number): boolean {
    if (nowMs - this.beganMs < 11 * this.lastsMs || this.bytesPerSecond === 0) return false;
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

  /** Returns for how long nothing may be appended; 0: it may be, now. */
  waitMs(nowMs: number): number {
    const leftMs = this.beganMs + this.lastsMs - nowMs;
    if (leftMs <= 0) this.isOn = false;
    if (!this.isOn) return 0;
    const perMs = this.bytesPerSecond / 2 / 1000;
    this.budget = Math.min(0, this.budget + (nowMs - this.filledMs) * perMs);
    this.filledMs = nowMs;
    return this.budget >= 0 ? 0 : Math.min(leftMs, Math.max(1, -this.budget / perMs));
  }
}
