/**
 * Whether the leader's process seems to have ended. Only the leader subscribes to the group's subjects, so a follower that misses
 * a heartbeat publishes a probe there. NATS reports at once if nobody receives it; a leader drops it and replies nothing.
 *
 * Such a report is no proof that the leader has ended. So it permits this peer's vote for a successor only after the time in the
 * leader's last tick, and not at all while the leader may hold a lease (`leader/successor-delay.ts`). It counts only at
 * the peer that received it, so a candidate cannot pass it on to a voter. A process that is paused keeps its subscriptions, and a
 * machine that is lost keeps them until NATS notices: then nothing is reported, and the election timeout applies.
 *
 * Owns: the probes, and what the last tick of a leader permits. Does not own the election.
 * Invariants:
 * 1. A report counts only until the next new tick of a leader, and only if its probe was sent after the last one.
 * 2. A peer whose log-store was opened within an election timeout uses no report: its previous node may have promised a leader
 *    to wait for longer.
 */
import { allMembers, type Body, peerIds } from '@conclave/protocol';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

/** Heartbeat intervals without a new tick, after which a follower sends probes. */
const silentHeartbeats = 1.3;
/** Heartbeat intervals from the time at which voters may vote early until the first peer's attempt to be elected. */
const firstAttempt = 0.15;
/** Heartbeat intervals between the attempts of two peers, so that they do not split the votes. */
const betweenAttempts = 0.5;

export class LeaderProbe {
  private leaderId = '';
  /** From the last new tick of a leader; undefined: this peer waits for an election timeout. */
  private replaceableAfterMs: number | undefined;
  private lastProbeId = 0;
  /** The last probe that was sent before that tick. */
  private staleProbeId = 0;
  private isUnserved = false;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
  ) {}

  /** A new tick of a leader has arrived. */
  onTick(body: Pick<Body<'node.append_entries'>, 'leader_id' | 'replaceable_after_ms'>): void {
    this.leaderId = body.leader_id;
    this.replaceableAfterMs = body.replaceable_after_ms;
    this.staleProbeId = this.lastProbeId;
    this.isUnserved = false;
  }

  /** Sends a probe if the leader has been silent for more than a heartbeat. Called on each tick of this node. */
  probe(): void {
    const { context, state, replaceableAfterMs, isUnserved } = this;
    if (replaceableAfterMs === undefined || isUnserved || state.role === 'leader') return;
    const { heartbeatIntervalMs, electionTimeoutMs } = context.options;
    const silentMs = context.nowMs - state.leaderContactMs;
    if (silentMs < silentHeartbeats * heartbeatIntervalMs || silentMs > electionTimeoutMs) return;
    this.lastProbeId += 1;
    context.emit({ type: 'probe_group', probeId: this.lastProbeId });
  }

  /** NATS reports that nobody has received this probe. Returns false if the report is out of date, or known. */
  onUnserved(probeId: number): boolean {
    if (probeId <= this.staleProbeId || this.isUnserved) return false;
    this.isUnserved = true;
    this.context.log('info', 'NATS reports that nobody leads the group', { leader: this.leaderId });
    return true;
  }

  /** Whether this peer may vote for a successor of its last leader, though it has received a tick within an election timeout. */
  get permitsVote(): boolean {
    const fromMs = this.permittedFromMs;
    return fromMs !== undefined && this.context.nowMs >= fromMs;
  }

  /** When this peer tries to be elected: one peer after the other, in the order of their names. Undefined: not early. */
  get attemptMs(): number | undefined {
    const { state, context } = this;
    const fromMs = this.permittedFromMs;
    const configuration = state.log.configuration?.configuration;
    if (fromMs === undefined || configuration === undefined) return undefined;
    const others = new Set(peerIds(allMembers(configuration)).filter((peerId) => peerId !== this.leaderId));
    const before = [...others].filter((peerId) => peerId < state.peerId).length;
    return fromMs + (firstAttempt + betweenAttempts * before) * context.options.heartbeatIntervalMs;
  }

  private get permittedFromMs(): number | undefined {
    const { state, context, replaceableAfterMs } = this;
    if (!this.isUnserved || replaceableAfterMs === undefined) return undefined;
    return Math.max(state.leaderContactMs + replaceableAfterMs, state.openedMs + context.options.electionTimeoutMs);
  }
}
