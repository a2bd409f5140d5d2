/**
 * The transport of a process that hosts actors of one peer. Messages among those actors stay inside; all others are published,
 * and messages that other peers may subscribe to go both ways. With `mirror`, copies of the internal ones are published too, for
 * observers; the connection does not echo what it publishes, so no copy comes back.
 */
import type { ActorKind, GroupId, Message, PeerId } from '@conclave/protocol';
import {
  type ActorAddress,
  isPeerFeedMessage,
  type PeerFeed,
  type PeerFeedSubscription,
  type Receive,
  recipientsOf,
  type Subscription,
  type Transport,
} from './transport.js';

export class PeerTransport implements Transport {
  private readonly hosted = new Map<GroupId, Set<ActorKind>>();

  /**
   * @param inner delivers within the process
   * @param outer delivers everything else
   */
  constructor(
    private readonly peerId: PeerId,
    private readonly inner: Transport,
    private readonly outer: Transport,
    private readonly options: { readonly mirror: boolean } = { mirror: false },
  ) {}

  get dropped(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = { ...this.outer.dropped };
    for (const [reason, count] of Object.entries(this.inner.dropped)) counts[`inner:${reason}`] = count;
    return counts;
  }

  send(peerId: PeerId, message: Message): void {
    if (peerId !== this.peerId) {
      this.outer.send(peerId, message);
      return;
    }
    const recipients = recipientsOf(message.name);
    const hosted = this.hosted.get(message.body.group_id);
    let inside = 0;
    for (const actor of recipients) if (hosted?.has(actor) === true) inside += 1;
    if (inside > 0) this.inner.send(peerId, message);
    if (inside < recipients.length || isPeerFeedMessage(message.name) || this.options.mirror)
      this.outer.send(peerId, message);
  }

  subscribe(address: ActorAddress, receive: Receive): Subscription {
    const { groupId, actor } = address;
    const isOwn = address.peerId === this.peerId;
    if (isOwn) this.hosted.set(groupId, (this.hosted.get(groupId) ?? new Set()).add(actor));
    const parts = [this.inner.subscribe(address, receive), this.outer.subscribe(address, receive)];
    return {
      close: () => {
        const hosted = isOwn ? this.hosted.get(groupId) : undefined;
        hosted?.delete(actor);
        if (hosted?.size === 0) this.hosted.delete(groupId);
        for (const part of parts) part.close();
      },
    };
  }

  subscribeToPeerFeed(feed: PeerFeed, receive: Receive): PeerFeedSubscription {
    return this.outer.subscribeToPeerFeed(feed, receive);
  }

  async close(): Promise<void> {
    await Promise.all([this.inner.close(), this.outer.close()]);
  }
}
