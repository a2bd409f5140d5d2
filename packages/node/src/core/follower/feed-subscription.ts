/**
 * Which leader's feed this node is subscribed to, so that it receives appends without the hop over the leader's replicator. What
 * is lost on the way the replicator sends again.
 * Owns: the subscription that was requested, and whether it is active. Does not own what is done with an append.
 * Invariants:
 * 1. A node subscribes to at most one feed, and only if its leader's replicator requests it.
 */
import type { PeerId } from '@conclave/protocol';
import type { StepContext } from '../step-context.js';

export class FeedSubscription {
  private wanted: PeerId | '' = '';
  private received: PeerId | '' = '';

  constructor(private readonly context: StepContext) {}

  /** Subscribes to this peer's feed, and to no other. */
  subscribe(peerId: PeerId): void {
    this.request(peerId);
  }

  unsubscribe(): void {
    this.request('');
  }

  private request(peerId: PeerId | ''): void {
    if (peerId === this.wanted) return;
    this.wanted = peerId;
    this.received = '';
    this.context.emit({ type: 'subscribe_feed', peerId });
  }

  /** The subscription is active. */
  onSubscribed(peerId: PeerId): void {
    if (peerId === this.wanted) this.received = peerId;
    else this.context.drop('feed_subscription_stale');
  }

  isReceived(peerId: PeerId): boolean {
    return this.received === peerId;
  }
}
