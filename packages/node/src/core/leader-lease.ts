/**
 * A leader's lease: for how long nobody else can be elected, by this leader's own monotonic clock (Raft thesis, section
 * 6.4.1). A voter that has heard a tick helps nobody else for an election timeout, so the lease runs from when that tick
 * was sent, and is a tenth shorter than that time: clocks may run at rates that differ by less.
 *
 * Owns what the lease rests on. Does not own who may read by it.
 *
 * What a voter has promised its node must keep, and so must a second node of that peer, which opens the log-store anew: it
 * votes an election timeout after that at the earliest. Hence a tick counts only where the log-store was still in the old
 * session after the tick was heard: of a follower its echoes tell so (`session_tick_id`), of the leader itself the
 * acknowledgement of what it has sent to its log-store along with the tick.
 *
 * Invariants:
 * 1. Only ticks of this term count, and only those sent after the latest configuration entry was appended: a lease that
 *    an older set of peers has granted says nothing of those that the new one may elect.
 * 2. Once a peer has been told to stand (`timeout_now`) there is no lease any more in this term.
 * 3. What a new leader has at its beginning is no lease.
 */
import type { NodeContext } from './context.js';
import type { NodeState } from './state.js';

/** The share of an election timeout that a lease lasts. */
export const leaseShare = 0.9;

interface SentTick {
  readonly tickId: number;
  readonly sentMs: number;
}

export class LeaderLease {
  /** The ticks that may yet count, oldest first. */
  private sent: SentTick[] = [];
  private quorumTickId = 0;
  private ownTickId = 0;
  /** Ticks up to this one do not count. */
  private floorTickId = 0;
  private untilMs = Number.NEGATIVE_INFINITY;
  private isVoid = false;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
  ) {}

  /** A leadership begins; ticks up to this one were sent before. */
  begin(lastTickId: number): void {
    this.sent = [];
    this.quorumTickId = 0;
    this.ownTickId = 0;
    this.isVoid = false;
    this.onConfiguration(lastTickId);
  }

  /** A configuration entry is appended; ticks up to this one were sent before. */
  onConfiguration(lastTickId: number): void {
    this.floorTickId = lastTickId;
    this.untilMs = Number.NEGATIVE_INFINITY;
  }

  /** A peer is told to stand: it may be elected at once, and told again and again until then. */
  end(): void {
    this.isVoid = true;
  }

  /** Whether a peer was told to stand in this term: it may lead already, whatever its leader has heard since. */
  get hasEnded(): boolean {
    return this.isVoid;
  }

  /** A tick has just been sent, and with it something to the own log-store. */
  onSent(tickId: number): void {
    const { nowMs, options } = this.context;
    this.sent = this.sent.filter(({ sentMs }) => nowMs - sentMs < options.electionTimeoutMs);
    this.sent.push({ tickId, sentMs: nowMs });
  }

  /** The own log-store was in this session after that tick was sent. */
  onOwnSession(tickId: number): void {
    this.ownTickId = Math.max(this.ownTickId, tickId);
    this.count();
  }

  /** So were those of a quorum, in which the leader counts itself, after that tick was heard there. False: no news. */
  onQuorum(tickId: number): boolean {
    if (tickId <= this.quorumTickId) return false;
    this.quorumTickId = tickId;
    this.count();
    return true;
  }

  /** Whether nobody else can have been elected yet. */
  get holds(): boolean {
    return !this.isVoid && this.context.nowMs < this.untilMs;
  }

  private count(): void {
    const upTo = Math.min(this.ownTickId, this.state.isAlone() ? Number.POSITIVE_INFINITY : this.quorumTickId);
    const tick = this.sent.findLast(({ tickId }) => tickId <= upTo && tickId > this.floorTickId);
    if (tick === undefined) return;
    this.untilMs = Math.max(this.untilMs, tick.sentMs + leaseShare * this.context.options.electionTimeoutMs);
    this.sent = this.sent.filter(({ tickId }) => tickId > tick.tickId);
  }
}
