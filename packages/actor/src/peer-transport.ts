/**
 * The transport of a process that hosts actors of one peer. Messages among those actors stay inside; all others go
 * out, and what other peers may overhear goes both ways. With `mirror`, copies of the inner ones are published too, for
 * whoever watches; the connection does not echo what it publishes, so no copy comes back.
 */
import type { ActorKind, GroupId, Message, PeerId } from '@conclave/protocol';
import {
  type ActorAddress,
  isOverheard,
  type Listening,
  listenersOf,
  type OverheardFeed,
  type Overhearing,
  type Receive,
  type Transport,
} from './transport.js';

export class PeerTransport implements Transport {
  private readonly hosted = new Set<string>();

  /**
   * @param inner carries what stays in the process
   * @param outer carries all else
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
    const listeners = listenersOf(message.name);
    const inside = listeners.filter((actor) => this.isHosted(message.body.group_id, actor)).length;
    if (inside > 0) this.inner.send(peerId, message);
    if (inside < listeners.length || isOverheard(message.name) || this.options.mirror) this.outer.send(peerId, message);
  }

  listen(address: ActorAddress, receive: Receive): Listening {
    const key = keyOf(address.groupId, address.actor);
    const isOwn = address.peerId === this.peerId;
    if (isOwn) this.hosted.add(key);
    const listenings = [this.inner.listen(address, receive), this.outer.listen(address, receive)];
    return {
      close: () => {
        if (isOwn) this.hosted.delete(key);
        for (const listening of listenings) listening.close();
      },
    };
  }

  overhear(feed: OverheardFeed, receive: Receive): Overhearing {
    return this.outer.overhear(feed, receive);
  }

  async close(): Promise<void> {
    await Promise.all([this.inner.close(), this.outer.close()]);
  }

  private isHosted(groupId: GroupId, actor: ActorKind): boolean {
    return this.hosted.has(keyOf(groupId, actor));
  }
}

function keyOf(groupId: string, actor: string): string {
  return `${groupId}.${actor}`;
}
