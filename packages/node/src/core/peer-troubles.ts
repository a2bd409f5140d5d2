/**
 * Says of a leader's targets, once each time, that one has fallen silent or is refused. It decides nothing.
 */
import type { PeerId, Progress } from '@conclave/protocol';
import type { NodeContext } from './context.js';

/** So many election timeouts may a peer that is refused be silent. */
const refusedPatience = 3;

export class PeerTroubles {
  /** Since when a target is known of which nothing has been heard yet. */
  private readonly unheardSinceMs = new Map<PeerId, number>();
  private readonly unreachable = new Set<PeerId>();
  private readonly refused = new Set<PeerId>();

  constructor(private readonly context: NodeContext) {}

  /** A new leadership begins. */
  clear(): void {
    this.unheardSinceMs.clear();
    this.unreachable.clear();
    this.refused.clear();
  }

  /** The replicators report on all targets. */
  onProgress(targets: readonly Progress[]): void {
    for (const target of targets) {
      this.onReach(target);
      this.onRefusal(target);
    }
    const known = new Set(targets.map(({ peer_id }) => peer_id));
    for (const peerId of this.unheardSinceMs.keys()) if (!known.has(peerId)) this.unheardSinceMs.delete(peerId);
  }

  private onReach({ peer_id, silent_ms, refusal }: Progress): void {
    const { context } = this;
    const silentMs = silent_ms < 0 ? this.unheardMs(peer_id) : silent_ms;
    if (silent_ms >= 0) this.unheardSinceMs.delete(peer_id);
    // Who is refused is asked once an election timeout, and has nothing else to say.
    const mostMs = (refusal === '' ? 1 : refusedPatience) * context.options.electionTimeoutMs;
    if (silentMs <= mostMs) this.unreachable.delete(peer_id);
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

  private onRefusal({ peer_id, refusal }: Progress): void {
    if (refusal === '') this.refused.delete(peer_id);
    else if (!this.refused.has(peer_id)) {
      this.refused.add(peer_id);
      const reason =
        refusal === 'ENOTEMPTY'
          ? 'it holds another history'
          : 'its store is another than the one that the configuration binds it to';
      this.context.event('peer_refused', { refused_peer: peer_id, reason });
    }
  }
}
