/**
 * Decides when a new peer has caught up (Raft thesis, section 4.2.1; decision 0072): when adding it to the configuration costs
 * the writers nothing, because it receives the leader's new entries as members do, and acknowledges them as fast as they do.
 *
 * Owns: the rounds, and when writers are to be throttled. Does not own the match index, and throttles nobody.
 *
 * Invariants:
 * 1. No peer has caught up before it has acknowledged once since the detector began, and up to the latest configuration entry.
 * 2. No peer has caught up that does not receive the leader's feed.
 * 3. Writers are throttled for at most `throttleShare` of an election timeout, and then not for ten times as long.
 */
export interface CatchUpView {
  /** It receives the leader's appends from the feed, and what is in flight to it fits the window. */
  readonly followsFeed: boolean;
  /** It has acknowledged the latest configuration entry. */
  readonly hasConfiguration: boolean;
  readonly lagMs: number;
  /** The lag with which it counts as caught up. */
  readonly marginMs: number;
}

/** As a share of an election timeout. */
const throttleShare = 1 / 2;
const pauseFactor = 10;
/** This many rounds in a row, each hardly shorter than the one before, show that the writers are as fast as the peer. */
const stuckRounds = 3;
const stuckRatio = 3 / 4;
/** A peer with a slow disk or network may lag by this share of an election timeout. */
const slowShare = 1 / 4;

export class CatchUpDetector {
  private hasAcknowledged = false;
  private done = false;
  private roundMs = Number.POSITIVE_INFINITY;
  private stuck = 0;
  private throttledMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly electionTimeoutMs: number) {}

  /** As of the last `update`. */
  get caughtUp(): boolean {
    return this.done;
  }

  onAcknowledged(): void {
    this.hasAcknowledged = true;
  }

  /** The peer has reached the index at which the leader's log ended when the round began. */
  onRound(durationMs: number): void {
    const isStuck = durationMs > this.roundMs * stuckRatio && durationMs <= this.electionTimeoutMs;
    this.stuck = isStuck ? this.stuck + 1 : 0;
    this.roundMs = durationMs;
  }

  /** Whether writers are to be throttled now, so that the peer can catch up with them. */
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

  /** @returns whether the peer has caught up. It may fall behind again. */
  update({ followsFeed, hasConfiguration, lagMs, marginMs }: CatchUpView, nowMs: number): boolean {
    const throttleMs = this.electionTimeoutMs * throttleShare;
    const wasThrottled = Number.isFinite(this.throttledMs) && nowMs - this.throttledMs >= throttleMs;
    const mayLagMs = wasThrottled ? Math.max(marginMs, this.electionTimeoutMs * slowShare) : marginMs;
    this.done = this.hasAcknowledged && hasConfiguration && followsFeed && lagMs <= mayLagMs;
    return this.done;
  }
}
