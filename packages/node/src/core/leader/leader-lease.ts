/**
 * A leader's lease: how long no other peer can be elected, by this leader's own monotonic clock (Raft thesis, section 6.4.1). While
 * the lease is in use, a voter that received a heartbeat grants no vote for one election timeout. The lease is counted from when
 * that heartbeat was sent, and is a tenth shorter than that timeout, because the rates of clocks may differ by up to a tenth.
 * Owns: the ticks on which the lease is based, and the time until which it lasts. Does not own the reads that use it.
 * A voter must wait even if a second node replaces the voter's node. The second node has to open the log-store, and grants no vote
 * for one election timeout after that. Hence a tick extends the lease only if the log-stores of a quorum were still in the
 * sessions of their first nodes after the tick arrived. A follower reports that in its echoes (`session_tick_id`). For the leader
 * itself, the acknowledgement of the message that it sent to its log-store with the tick shows it.
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

  /** A leadership begins; ticks up to this one were sent before. */
  begin(lastTickId: number): void {
    this.sent = [];
    this.quorumTickId = 0;
    this.ownTickId = 0;
    this.isVoid = false;
    this.inUse = false;
    this.onConfiguration(lastTickId);
  }

  /**
   * A read asks for the lease. The first one begins its use: the lease is based on ticks after `lastTickId`, from which the voters
   * know that they must wait for its end.
   */
  use(lastTickId: number): void {
    this.usedMs = this.context.nowMs;
    if (this.inUse) return;
    this.inUse = true;
    this.onConfiguration(lastTickId);
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

  /** A configuration entry is appended; ticks up to this one were sent before. */
  onConfiguration(lastTickId: number): void {
    this.floorTickId = lastTickId;
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

  /** This peer's log-store was in this session after that tick was sent. */
  onOwnSession(tickId: number): void {
    this.ownTickId = Math.max(this.ownTickId, tickId);
    this.count();
  }

  /**
   * The log-stores of a quorum, which may include the leader, were still in their sessions after that tick arrived. Returns false if
   * that was known.
   */
  onQuorum(tickId: number): boolean {
    if (tickId <= this.quorumTickId) return false;
    this.quorumTickId = tickId;
    this.count();
    return true;
  }

  /** Whether no other peer can have been elected yet. */
  get holds(): boolean {
    return this.inUse && !this.isVoid && this.context.nowMs < this.untilMs;
  }

  private count(): void {
    if (!this.inUse) return;
    const upTo = Math.min(this.ownTickId, this.state.isAlone() ? Number.POSITIVE_INFINITY : this.quorumTickId);
    const tick = this.sent.findLast(({ tickId }) => tickId <= upTo && tickId > this.floorTickId);
    if (tick === undefined) return;
    this.untilMs = Math.max(this.untilMs, tick.sentMs + leaseShare * this.context.options.electionTimeoutMs);
    this.sent = this.sent.filter(({ tickId }) => tickId > tick.tickId);
  }
}
