/**
 * Delivers messages within a process, by reference. A message is immutable once it was sent.
 */
import { DropCounter, type GroupId, type Message, type PeerId } from '@conclave/protocol';
import { AddressMap } from './address-map.js';
import { Mailbox } from './mailbox.js';
import { processRunQueue, type Runnable, type RunQueue } from './run-queue.js';
import {
  type ActorAddress,
  type PeerFeed,
  type PeerFeedSubscription,
  type Receive,
  recipientsOf,
  type Subscription,
  sizeOf,
  type Transport,
} from './transport.js';

interface Delivery {
  readonly peerId: PeerId;
  readonly message: Message;
  readonly bytes: number;
}

export class InProcessTransport implements Transport, Runnable {
  private readonly receivers = new AddressMap<Set<Receive>>();
  private readonly deliveries: Mailbox<Delivery>;
  private readonly drops = new DropCounter();
  private closed = false;

  constructor(
    private readonly runQueue: RunQueue = processRunQueue,
    bounds?: { readonly messages: number; readonly bytes: number },
  ) {
    this.deliveries = new Mailbox(bounds);
  }

  get dropped(): Readonly<Record<string, number>> {
    return this.drops.byReason;
  }

  send(peerId: PeerId, message: Message): void {
    const bytes = sizeOf(message);
    if (this.closed) this.drops.count('closed');
    else if (!this.deliveries.offer({ peerId, message, bytes }, bytes)) this.drops.count('outbound_full');
    else this.runQueue.enqueue(this);
  }

  subscribe({ groupId, peerId, actor }: ActorAddress, receive: Receive): Subscription {
    return this.addReceiver(groupId, peerId, actor, receive);
  }

  subscribeToPeerFeed({ groupId, peerId, name }: PeerFeed, receive: Receive): PeerFeedSubscription {
    return { ...this.addReceiver(groupId, peerId, name, receive), ready: Promise.resolve() };
  }

  runOnce(): boolean {
    // Messages sent from now on wait for the next turn.
    for (let left = this.deliveries.length; left > 0; left--) {
      const delivery = this.deliveries.shift();
      if (delivery !== undefined) this.deliver(delivery);
    }
    return this.deliveries.length > 0;
  }

  async close(): Promise<void> {
    this.closed = true;
    this.deliveries.clear();
    this.receivers.clear();
  }

  private addReceiver(groupId: GroupId, peerId: PeerId, name: string, receive: Receive): Subscription {
    const receivers = this.receivers.get(groupId, peerId, name) ?? new Set();
    receivers.add(receive);
    this.receivers.set(groupId, peerId, name, receivers);
    return {
      close: () => {
        receivers.delete(receive);
        if (receivers.size > 0 || this.receivers.get(groupId, peerId, name) !== receivers) return;
        this.receivers.delete(groupId, peerId, name);
      },
    };
  }

  private deliver({ peerId, message, bytes }: Delivery): void {
    for (const actor of recipientsOf(message.name)) {
      const receivers = this.receivers.get(message.body.group_id, peerId, actor);
      if (receivers === undefined) this.drops.count('no_receiver');
      else this.deliverTo(message, bytes, receivers);
    }
    this.deliverTo(message, bytes, this.receivers.get(message.body.group_id, peerId, message.name) ?? []);
  }

  private deliverTo(message: Message, bytes: number, receivers: Iterable<Receive>): void {
    for (const receive of receivers) {
      try {
        receive(message, bytes);
      } catch {
        this.drops.count('receiver_threw');
      }
    }
  }
}
