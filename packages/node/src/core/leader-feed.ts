/**
 * Which leader's appends this node hears itself, instead of getting them from the leader's replicator. It saves a hop
 * while a follower is in step; what is lost on the way is the replicator's to mend.
 *
 * Owns what was asked for and what is so. Does not own what is done with an append that was heard.
 *
 * Invariants:
 * 1. At most one feed is heard, and it is asked for by its leader's replicator.
 */
import type { PeerId } from '@conclave/protocol';
import type { NodeContext } from './context.js';

export class LeaderFeed {
  private wanted: PeerId | '' = '';
  private heard: PeerId | '' = '';

  constructor(private readonly context: NodeContext) {}

  /** Hears this peer's appends from now on; empty: nobody's. */
  hear(peerId: PeerId | ''): void {
    if (peerId === this.wanted) return;
    this.wanted = peerId;
    this.heard = '';
    this.context.emit({ type: 'hear_feed', peerId });
  }

  /** The shell hears it. */
  onHearing(peerId: PeerId): void {
    if (peerId === this.wanted) this.heard = peerId;
    else this.context.drop('hearing_stale');
  }

  isHeard(peerId: PeerId): boolean {
    return this.heard === peerId;
  }
}
