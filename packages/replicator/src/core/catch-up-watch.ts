/**
 * Watches a new peer catch up (Raft thesis, section 4.2.1; decision 0072). The peer has caught up when taking it in costs the
 * writers nothing: it gets the leader's new entries as members do, and acknowledges them within the time that members take.
 *
 * Owns the rounds, and when the writers are to be slowed down. Does not own the match, nor slow anybody down.
 *
 * Invariants:
 * 1. No peer has caught up before it has acknowledged once since the watch began, all up to the latest configuration entry.
 * 2. No peer has caught up that does not hear the leader's entries itself.
 * 3. The writers are slowed down for at most `throttleShare` of an election timeout, then for ten times as long not.
 */
export interface CatchUpView {
  /** It hears the leader's appends itself, and no more is on its way to it than fits the window. */
  readonly isInStep: boolean;
  /** It has acknowledged the latest configuration entry. */
  readonly hasConfiguration: boolean;
  readonly lagMs: number;
  /** What it may lag to be taken in. */
  readonly marginMs: number;
}

/** Of an election timeout. */
const throttleShare = 1 / 2;
const pauseFactor = 10;
/** So many rounds, each hardly shorter than the one before, show that the writers are as fast as the peer. */
const stuckRounds = 3;
const hardlyShorter = 3 / 4;
/** A peer that is slow by itself, as its disk or its network is, may lag up to this share of an election timeout. */
const slowShare = 1 / 4;

export class CatchUpWatch {
  private isHeard = false;
  private done = false;
  private roundMs = Number.POSITIVE_INFINITY;
  private stuck = 0;
  private throttledMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly electionTimeoutMs: number) {}

  /** As of the last `judge`. */
  get caughtUp(): boolean {
    return this.done;
  }

  onAcknowledged(): void {
    this.isHeard = true;
  }

  /** The peer has got to where the leader's log ended when the round began. */
  onRound(durationMs: number): void {
    const isStuck = durationMs > this.roundMs * hardlyShorter && durationMs <= this.electionTimeoutMs;
    this.stuck = isStuck ? this.stuck + 1 : 0;
    this.roundMs = durationMs;
  }

  /** Whether the writers are to be slowed down now, so that the peer can reach them. */
  wantsThrottle(nowMs: number): boolean {
    if (this.done) return false;
    const sinceMs = nowMs - this.throttledMs;
    const throttleMs = this.electionTimeoutMs * throttleShare;
    if (sinceMs < throttleMs) return true;
    if (this.stuck < stuckRounds || sinceMs < throttleMs * (1 + pauseFactor)) return false;
    this.throttledMs = nowMs;
    this.stuck = 0;
    return true;
  }

  /** Whether it has caught up by now. It may fall behind again. */
  judge({ isInStep, hasConfiguration, lagMs, marginMs }: CatchUpView, nowMs: number): boolean {
    const throttleMs = this.electionTimeoutMs * throttleShare;
    const wasThrottled = Number.isFinite(this.throttledMs) && nowMs - this.throttledMs >= throttleMs;
    const mayLagMs = wasThrottled ? Math.max(marginMs, this.electionTimeoutMs * slowShare) : marginMs;
    this.done = this.isHeard && hasConfiguration && isInStep && lagMs <= mayLagMs;
    return this.done;
  }
}
