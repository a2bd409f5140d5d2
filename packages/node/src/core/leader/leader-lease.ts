/**
 * A leader's lease: how long no other peer can be elected, by this leader's own monotonic clock (Raft thesis, section 6.4.1). While
 * the lease is in use, a voter that received a heartbeat grants no vote for one election timeout. The lease is counted from when
 * that heartbeat was sent, and is a tenth shorter than that timeout, because the rates of clocks may differ by up to a tenth.
 * Owns: the ticks on which the lease is based, and the time until which it lasts. Does not own the reads that use it.
 * A second node of a voter does not know which heartbeats the first one received. It grants no vote for one election timeout after
 * it opened the log-store, so the lease is safe if the heartbeat was received before that opening. Therefore a tick extends the
 * lease only if the log-stores of a quorum confirmed, after the tick had arrived, that their session was unchanged. A follower
 * reports that in its echoes (`session_tick_id`). With each tick the leader sends a message to its own log-store; the
 * acknowledgement shows that the session of the leader itself is unchanged.
 * Invariants:
 * 1. Only ticks of this term extend the lease, and only those sent after the latest configuration entry was appended: a lease
 *    that a quorum of an older configuration has granted does not prevent an election in the new configuration.
 * 2. Once a peer has been ordered to campaign (`timeout_now`) there is no lease any more in this term.
 * 3. A new leader has no lease.
 * 4. A lease is based only on ticks that permit no voter to vote early (`SuccessorDelay`): those sent after a read has asked for
 *    a lease. Once a tick that permits an early vote is sent, there is no lease until a read asks again.
 */
import { leaseShare } from '../local/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

interface SentTick {
  readonly tickId: number;
  readonly sentMs: number;
}

/** The leader keeps the lease for this many election timeouts after the last lease read, so that the next one is answered at once. */
const idleTimeouts = 10;

export class LeaderLease {
  /** The ticks that may extend the lease, oldest first. */
  private sent: SentTick[] = [];
  private quorumTickId = 0;
  private ownTickId = 0;
  /** Ticks up to this one do not extend the lease. */
  private floorTickId = 0;
  private untilMs = Number.NEGATIVE_INFINITY;
  private isVoid = false;
  /** Whether the ticks that are sent now may extend the lease. */
  private inUse = false;
  /** When a read last asked for the lease. */
  private usedMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
  ) {}

  /** This peer has become the leader. Ticks up to `lastTickId`, which it has sent before, do not extend the lease. */
  begin(lastTickId: number): void {
    this.sent = [];
    this.quorumTickId = 0;
    this.ownTickId = 0;
    this.isVoid = false;
    this.inUse = false;
    this.discardTicksUpTo(lastTickId);
  }

  /**
   * A read asks for the lease. The ticks after the first such read permit no voter to vote early, the earlier ones may have. So
   * only ticks after `lastTickId`, the last tick before this read, extend the lease.
   */
  use(lastTickId: number): void {
    this.usedMs = this.context.nowMs;
    if (this.inUse) return;
    this.inUse = true;
    this.discardTicksUpTo(lastTickId);
  }

  /** Ends the use of the lease if no read has asked for it for a while. Returns whether it is in use. */
  isStillInUse(): boolean {
    const { nowMs, options } = this.context;
    if (this.inUse && nowMs - this.usedMs > idleTimeouts * options.electionTimeoutMs) {
      this.inUse = false;
      this.untilMs = Number.NEGATIVE_INFINITY;
    }
    return this.inUse;
  }

  /** A configuration entry is appended. Ticks up to `lastTickId`, which were sent before, do not extend the lease any more. */
  onConfiguration(lastTickId: number): void {
    this.discardTicksUpTo(lastTickId);
  }

  /** Ends the lease. Ticks up to this one do not extend it any more. */
  private discardTicksUpTo(tickId: number): void {
    this.floorTickId = tickId;
    this.untilMs = Number.NEGATIVE_INFINITY;
  }

  /** A peer is ordered to campaign: it may be elected at once, and the order is repeated until then. */
  end(): void {
    this.isVoid = true;
  }

  /** Whether a peer was ordered to campaign in this term: it may lead already, whatever this leader has received since. */
  get hasEnded(): boolean {
    return this.isVoid;
  }

  /** A tick has just been sent, and with it a message to this peer's log-store. */
  onSent(tickId: number): void {
    const { nowMs, options } = this.context;
    this.sent = this.sent.filter(({ sentMs }) => nowMs - sentMs < options.electionTimeoutMs);
    this.sent.push({ tickId, sentMs: nowMs });
  }

  /** This peer's log-store has confirmed that the session was unchanged after that tick had been sent. */
  onOwnSession(tickId: number): void {
    this.ownTickId = Math.max(this.ownTickId, tickId);
    this.extend();
  }

  /**
   * The log-stores of a quorum, which may include the leader's, have confirmed that their sessions were unchanged after that tick
   * had arrived. Returns false if this was known already.
   */
  onQuorum(tickId: number): boolean {
    if (tickId <= this.quorumTickId) return false;
    this.quorumTickId = tickId;
    this.extend();
    return true;
  }

  /** Whether no other peer can have been elected yet. */
  get holds(): boolean {
    return this.inUse && !this.isVoid && this.context.nowMs < this.untilMs;
  }

  /** Extends the lease by the last tick that both the quorum and this peer's log-store have confirmed. */
  private extend(): void {
    if (!this.inUse) return;
    const upTo = Math.min(this.ownTickId, this.state.isAlone() ? Number.POSITIVE_INFINITY : this.quorumTickId);
    const tick = this.sent.findLast(({ tickId }) => tickId <= upTo && tickId > this.floorTickId);
    if (tick === undefined) return;
    this.untilMs = Math.max(this.untilMs, tick.sentMs + leaseShare * this.context.options.electionTimeoutMs);
    this.sent = this.sent.filter(({ tickId }) => tickId > tick.tickId);
  }
}
