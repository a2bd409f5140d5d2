/**
 * How soon the voters may replace this leader if NATS reports that nobody receives requests on the group's subjects: the process of
 * this leader has ended, or lost its connection (`LeaderProbe`). Each tick contains a time. After it, a voter with such a
 * report need not wait for the rest of the election timeout.
 *
 * A report is no proof. NATS also reports it of a leader that is alive behind a lost route, or is connecting again, and clients on
 * its side may still reach it. So the leader relies on being the only one for no longer than the times in its ticks.
 *
 * Owns: the times in the ticks, and until when no successor can have been elected. Does not own the lease (`leader-lease.ts`).
 * Invariants:
 * 1. A tick that is sent while the lease is in use, or while a joint stage can be rolled back, permits no early vote.
 * 2. No successor is elected before `untilMs`, unless an election timeout has passed since the last confirmed tick, or this leader
 *    has ordered the election: each quorum of votes contains a voter that has received the last confirmed tick or a later one.
 */
import { leaseShare } from '../local/index.js';
import type { StepContext } from '../step-context.js';

/** The shortest delay, in heartbeat intervals: one tick may be late and the next one lost, and the voters still receive one in time. */
const minHeartbeats = 2.5;
/** For how many election timeouts the slowest confirmation counts. Its weight decreases to 0 meanwhile. */
const rememberedTimeouts = 10;

interface SentTick {
  readonly tickId: number;
  readonly untilMs: number;
}

export class SuccessorDelay {
  /** The ticks that permitted early votes, from the last confirmed one on, oldest first. */
  private sent: SentTick[] = [];
  private untilMs = Number.POSITIVE_INFINITY;
  private lastSentMs = Number.NEGATIVE_INFINITY;
  private slowest = { tookMs: 0, atMs: 0 };

  constructor(private readonly context: StepContext) {}

  /** This peer has become the leader. */
  begin(): void {
    this.sent = [];
    this.untilMs = Number.POSITIVE_INFINITY;
    this.lastSentMs = Number.NEGATIVE_INFINITY;
    this.slowest = { tookMs: 0, atMs: this.context.nowMs };
  }

  /**
   * This tick is being sent. Returns the milliseconds after which the voters may vote early; undefined: they may not. If
   * confirmations take long because the machines are busy, this time is longer, so that this leader need not stop answering
   * between two confirmations.
   */
  onSending(tickId: number, mayPermit: boolean): number | undefined {
    const { heartbeatIntervalMs, electionTimeoutMs } = this.context.options;
    if (!mayPermit) return undefined;
    const delayMs = Math.ceil(minHeartbeats * heartbeatIntervalMs + 2 * this.slowestMs());
    if (delayMs > electionTimeoutMs / 2) return undefined;
    const { nowMs } = this.context;
    const untilMs = nowMs + leaseShare * delayMs;
    this.lastSentMs = nowMs;
    this.sent.push({ tickId, untilMs });
    this.untilMs = Math.min(this.untilMs, untilMs);
    return delayMs;
  }

  private slowestMs(): number {
    const { nowMs, options } = this.context;
    const age = (nowMs - this.slowest.atMs) / (rememberedTimeouts * options.electionTimeoutMs);
    return this.slowest.tookMs * Math.max(0, 1 - age);
  }

  /** A quorum has confirmed this tick. @param tookMs the time since the tick was sent */
  onConfirmed(tickId: number, tookMs: number): void {
    if (tookMs >= this.slowestMs()) this.slowest = { tookMs, atMs: this.context.nowMs };
    this.sent = this.sent.filter((tick) => tick.tickId >= tickId);
    this.untilMs = Math.min(...this.sent.map(({ untilMs }) => untilMs));
  }

  /** Whether a successor may have been elected early. */
  get mayHaveSuccessor(): boolean {
    return this.context.nowMs >= this.untilMs;
  }

  /** Whether no tick of the last election timeout permitted early votes. */
  get permittedNoneRecently(): boolean {
    return this.context.nowMs - this.lastSentMs > this.context.options.electionTimeoutMs;
  }
}
