/**
 * Publishes an event when a target of the leader falls silent, or is refused, and logs a target with another election timeout. Other
 * parts decide what follows.
 */
import type { PeerId, Progress } from '@conclave/protocol';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

/** A refused peer counts as unreachable after this many election timeouts of silence. */
const maxRefusedTimeouts = 3;

export class PeerAlerts {
  /** For each target that has never responded: when the replicators first reported it. */
  private readonly unheardSinceMs = new Map<PeerId, number>();
  private readonly unreachable = new Set<PeerId>();
  /** The targets with another election timeout than this leader, in milliseconds. */
  private otherTimeouts = new Map<PeerId, number>();
  /** Why each target is refused. */
  private readonly refused = new Map<PeerId, string>();

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
  ) {}

  /** A new leadership begins. */
  clear(): void {
    this.unheardSinceMs.clear();
    this.unreachable.clear();
    this.refused.clear();
    this.otherTimeouts.clear();
  }

  /** The peers that have another election timeout; empty: none. */
  get timeoutRemark(): string {
    const { electionTimeoutMs } = this.context.options;
    const peers = [...this.otherTimeouts].map(([peerId, ms]) => `${peerId} (${ms} ms)`);
    return peers.length === 0
      ? ''
      : `another election timeout than the leader's ${electionTimeoutMs} ms: ${peers.join(', ')}`;
  }

  /** The replicators report on all targets. */
  onProgress(targets: readonly Progress[]): void {
    for (const target of targets) {
      this.onReach(target);
      this.onRefusal(target);
      this.onTimeout(target);
    }
    const known = new Set(targets.map(({ peer_id }) => peer_id));
    for (const peerId of this.otherTimeouts.keys()) if (!known.has(peerId)) this.otherTimeouts.delete(peerId);
    for (const peerId of this.unheardSinceMs.keys()) if (!known.has(peerId)) this.unheardSinceMs.delete(peerId);
  }

  /** Logged once. */
  private onTimeout({ peer_id, election_timeout_ms: ms }: Progress): void {
    const { context, otherTimeouts } = this;
    if (ms === undefined || ms === Math.floor(context.options.electionTimeoutMs)) {
      otherTimeouts.delete(peer_id);
    } else if (otherTimeouts.get(peer_id) !== ms) {
      otherTimeouts.set(peer_id, ms);
      context.log('warn', 'a peer has another election timeout than its leader', { peer: peer_id, its_ms: ms });
    }
  }

  private onReach({ peer_id, silent_ms, refusal }: Progress): void {
    const { context } = this;
    const silentMs = silent_ms < 0 ? this.unheardMs(peer_id) : silent_ms;
    if (silent_ms >= 0) this.unheardSinceMs.delete(peer_id);
    // A refused peer receives a request only once in an election timeout, and sends nothing but the reply.
    const maxMs = (refusal === '' ? 1 : maxRefusedTimeouts) * context.options.electionTimeoutMs;
    if (silentMs <= maxMs) this.unreachable.delete(peer_id);
    else if (!this.unreachable.has(peer_id)) {
      this.unreachable.add(peer_id);
      context.event('peer_unreachable', { unreachable_peer: peer_id, silent_ms: Math.round(silentMs) });
    }
  }

  private unheardMs(peerId: PeerId): number {
    const sinceMs = this.unheardSinceMs.get(peerId) ?? this.context.nowMs;
    this.unheardSinceMs.set(peerId, sinceMs);
    return this.context.nowMs - sinceMs;
  }

  private onRefusal(progress: Progress): void {
    const { peer_id } = progress;
    const reason = this.reasonOf(progress);
    if (reason === undefined) this.refused.delete(peer_id);
    else if (this.refused.get(peer_id) !== reason) {
      this.refused.set(peer_id, reason);
      this.context.event('peer_refused', { refused_peer: peer_id, reason });
    }
  }

  /** Returns why the target, or another store under its name, is refused. */
  private reasonOf({ peer_id, refusal, found }: Progress): string | undefined {
    if (refusal === 'ENOTEMPTY') return 'it holds another history';
    const members = this.state.log.configuration?.configuration.peers ?? [];
    const owner = members.find((member) => member.store_id === found?.store_id && member.peer_id !== peer_id);
    if (owner !== undefined) return `its store is the one that ${owner.peer_id} is bound to: a copy of its data`;
    if (refusal === 'ESTORE' && found === undefined) {
      return 'its store lacks entries that it had acknowledged: its data folder is an older copy';
    }
    if (refusal === 'ESTORE') return 'its store is another than the one that the configuration binds it to';
    return found === undefined
      ? undefined
      : 'another store answers under its name, besides the one that it is bound to';
  }
}
