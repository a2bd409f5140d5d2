/**
 * Decides when a new peer has caught up (Raft thesis, section 4.2.1; decision 0072): when it can be added to the configuration without
 * slowing down writers, because it receives the leader's new entries like a member, and acknowledges them about as fast.
 *
 * A round of catching up ends when the peer has acknowledged the entry that was the leader's last one when the round began.
 *
 * Owns: the durations of rounds, and when writers are to be throttled. Does not own the match index; the leader's node throttles.
 *
 * Invariants:
 * 1. A peer counts as caught up only if it has acknowledged something since this detector was created, and the latest
 *    configuration entry.
 * 2. A peer counts as caught up only if it receives the leader's feed: the subject on which the leader publishes its new
 *    entries once, for all followers that keep up (decision 0019).
 * 3. Writers are throttled for at most `throttleShare` of an election timeout. After that they are not throttled again for
 *    `pauseFactor` times as long.
 */
export interface CatchUpView {
  /** The peer receives the leader's new entries from the feed, and keeps up with them: what is in flight fits the window. */
  readonly followsFeed: boolean;
  /** The peer has acknowledged the latest configuration entry. */
  readonly hasConfiguration: boolean;
  /** The time from the append of an entry at the leader until the peer acknowledges it (`LagMeter`). */
  readonly lagMs: number;
  /** The longest lag with which the peer counts as caught up. */
  readonly marginMs: number;
}

/** How long writers are throttled at a time, as a share of an election timeout. */
const throttleShare = 1 / 2;
/** How long writers are not throttled after that, as a multiple of the time for which they were throttled. */
const pauseFactor = 10;
/** If this many rounds in a row each take longer than `stuckRatio` of the previous round, the writers are about as fast as the peer. */
const stuckRounds = 3;
const stuckRatio = 3 / 4;
/** After writers were throttled, a peer may lag by this share of an election timeout: its disk or network may be slow. */
const slowShare = 1 / 4;

export class CatchUpDetector {
  private hasAcknowledged = false;
  private done = false;
  /** The duration of the last round. */
  private roundMs = Number.POSITIVE_INFINITY;
  /** How many rounds in a row were hardly shorter than the one before. */
  private stuck = 0;
  /** When writers were last throttled. */
  private throttledMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly electionTimeoutMs: number) {}

  /** Whether the peer had caught up at the last `update`. */
  get caughtUp(): boolean {
    return this.done;
  }

  onAcknowledged(): void {
    this.hasAcknowledged = true;
  }

  /** A round has ended: the peer has reached the index at which the leader's log ended when the round began. */
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
