/**
 * Delivers messages between processes on NATS. A message is encoded once when it is sent, and parsed once when it is received,
 * however many actors of the process receive it.
 */
import {
  type ActorKind,
  Bundle,
  bundleRecipient,
  checkBatch,
  DropCounter,
  decode,
  encode,
  feedListeners,
  type GroupId,
  healthToken,
  isBundled,
  isFrom,
  limits,
  type Message,
  type MessageName,
  messageNameOf,
  messages,
  metricsToken,
  namedSender,
  type PeerId,
  type Recipient,
  type Subjects,
} from '@conclave/protocol';
import type { Msg } from 'nats';
import { AddressMap } from './address-map.js';
import { FirstVersionPeers } from './first-version-peers.js';
import { MessageCoalescer } from './message-coalescer.js';
import { MessageCounts } from './metrics/message-counts.js';
import type { Connection } from './nats-connection.js';
import type { RetryingSubscription } from './retrying-subscription.js';
import {
  type ActorAddress,
  addressOf,
  isPeerFeedMessage,
  type PeerFeed,
  type PeerFeedSubscription,
  type Receive,
  recipientOf,
  type Subscription,
  type Transport,
} from './transport.js';

/** The subscription of one subject, and of the same subject of the first version while there are peers of it. */
interface SubjectSubscription {
  readonly subscription: RetryingSubscription;
  ofFirstVersion: RetryingSubscription | undefined;
  /** `from`: the last token of the subject; undefined: a subject of the first version. */
  readonly onMessage: (message: Msg, from: string | undefined) => void;
}

interface MessageSubscription extends SubjectSubscription {
  readonly receivers: Set<Receive>;
}

/** The bundles to an actor of a peer, for all groups that subscribe to them. */
interface BundleSubscription extends SubjectSubscription {
  subscribers: number;
}

/** The group, peer and recipient of a subject. */
interface Source {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  readonly recipient: Recipient;
}

export class NatsTransport implements Transport {
  private readonly subscriptions = new Map<string, MessageSubscription>();
  /** The receivers of messages in bundles, by `receiverName`. */
  private readonly bundled = new AddressMap<ReadonlySet<Receive>>();
  private readonly bundleSubscriptions = new Map<string, BundleSubscription>();
  private readonly firstVersion: FirstVersionPeers;
  /** The groups with subscribed actors, and how many: with several groups, small messages are bundled. */
  private readonly groups = new Map<GroupId, number>();
  private readonly coalescer: MessageCoalescer;
  private readonly drops: DropCounter;
  private closed = false;
  /** Bytes of messages with subjects of their own, and of bundles. */
  readonly publishedBytes = new MessageCounts();
  readonly receivedBytes = new MessageCounts();
  readonly bundleBytes = { published: 0, received: 0 };

  /**
   * @param own the peer whose actors send through it
   * @param onDropped called for each drop with the count of its reason
   */
  constructor(
    private readonly connection: Connection,
    private readonly subjects: Subjects,
    private readonly own: PeerId,
    onDropped?: (reason: string, count: number) => void,
    private readonly options: { readonly bundle: boolean } = { bundle: true },
  ) {
    this.drops = new DropCounter(onDropped);
    this.firstVersion = new FirstVersionPeers(connection, subjects, (arePresent) => this.onFirstVersion(arePresent));
    this.coalescer = new MessageCoalescer({
      publish: (peerId, message) => this.sendNow(peerId, message),
      publishBundle: (peerId, recipient, messages) => this.sendBundle(peerId, recipient, messages),
    });
  }

  get dropped(): Readonly<Record<string, number>> {
    return this.drops.byReason;
  }

  send(peerId: PeerId, message: Message): void {
    if (this.options.bundle && this.groups.size > 1) this.coalescer.send(peerId, message);
    else this.sendNow(peerId, message);
  }

  private sendNow(peerId: PeerId, message: Message): void {
    const obstacle = this.closed ? 'closed' : this.publish(peerId, message);
    if (obstacle !== undefined) this.drops.count(obstacle);
  }

  /** Publishes the message. @returns why it did not */
  private publish(peerId: PeerId, message: Message): string | undefined {
    const data = encode(message.body);
    if (data.length > this.connection.messageBytes) return `too_large:${message.name}`;
    const token = message.name.slice(message.name.indexOf('.') + 1);
    const subject = this.subjects.message(addressOf(peerId, message), token, this.own);
    if (!this.connection.publish(subject, data)) return 'not_published';
    this.publishedBytes.add(message.name, data.length);
    if (this.firstVersion.arePresent && (this.firstVersion.has(peerId) || isPeerFeedMessage(message.name))) {
      this.connection.publish(this.subjects.ofFirstVersion(subject), data);
    }
    return undefined;
  }

  private sendBundle(peerId: PeerId, recipient: Recipient, messages: readonly Message[]): void {
    if (this.closed) return this.drops.count('closed');
    const subject = this.subjects.bundle(peerId, recipient, this.own);
    const data = encode({ messages: messages.map(({ name, body }) => [name, body]) } satisfies Bundle);
    if (data.length > this.connection.messageBytes) {
      for (const message of messages) this.sendNow(peerId, message);
    } else if (!this.connection.publish(subject, data)) {
      this.drops.count('bundle_not_published');
    } else {
      this.bundleBytes.published += data.length;
      if (this.firstVersion.has(peerId)) this.connection.publish(this.subjects.ofFirstVersion(subject), data);
    }
  }

  subscribe({ groupId, peerId, actor }: ActorAddress, receive: Receive): Subscription {
    const own = { groupId, peerId, recipient: actor };
    const parts = [this.addReceiver(this.subjects.messages(own), own, receive, actor)];
    const feed: Source = { groupId, peerId, recipient: 'feed' };
    for (const message of feedMessagesTo(actor)) {
      parts.push(this.addReceiver(this.subjects.message(feed, message, '*'), feed, receive, `feed.${message}`));
    }
    parts.push(this.subscribeToBundles(peerId, actor), this.host(groupId));
    if (isInFeedBundles(actor)) parts.push(this.subscribeToBundles(peerId, 'feed'));
    return {
      close: () => {
        for (const subscription of parts) subscription.close();
      },
    };
  }

  subscribeToPeerFeed({ groupId, peerId, name }: PeerFeed, receive: Receive): PeerFeedSubscription {
    const feed: Source = { groupId, peerId, recipient: 'feed' };
    const subject = this.subjects.message(feed, name.slice('feed.'.length), peerId);
    const subscription = this.addReceiver(subject, feed, receive);
    return { ...subscription, ready: this.connection.settled() };
  }

  async close(): Promise<void> {
    this.coalescer.runOnce();
    this.closed = true;
    for (const subscription of this.subscriptions.values()) {
      subscription.receivers.clear();
      this.unsubscribe(subscription);
    }
    this.subscriptions.clear();
    this.bundled.clear();
    for (const subscription of this.bundleSubscriptions.values()) this.unsubscribe(subscription);
    this.bundleSubscriptions.clear();
    this.firstVersion.close();
  }

  /** Counts an actor of a group. */
  private host(groupId: GroupId): Subscription {
    this.groups.set(groupId, (this.groups.get(groupId) ?? 0) + 1);
    return once(() => {
      const remaining = (this.groups.get(groupId) ?? 0) - 1;
      if (remaining > 0) this.groups.set(groupId, remaining);
      else this.groups.delete(groupId);
    });
  }

  private subscribeToBundles(peerId: PeerId, recipient: Recipient): Subscription {
    const subject = this.subjects.bundle(peerId, recipient, '*');
    let subscription = this.bundleSubscriptions.get(subject);
    if (subscription === undefined) {
      const onMessage: SubjectSubscription['onMessage'] = ({ data }, from) =>
        this.onBundle(peerId, recipient, data, from);
      subscription = { ...this.openSubscription(subject, onMessage), subscribers: 0 };
      this.bundleSubscriptions.set(subject, subscription);
    }
    const counted = subscription;
    counted.subscribers += 1;
    return once(() => {
      counted.subscribers -= 1;
      if (counted.subscribers > 0 || this.bundleSubscriptions.get(subject) !== counted) return;
      this.bundleSubscriptions.delete(subject);
      this.unsubscribe(counted);
    });
  }

  /** @param bundledAs what `receiverName` returns for its messages in bundles; undefined: none of them is bundled */
  private addReceiver(subject: string, source: Source, receive: Receive, bundledAs?: string): Subscription {
    let subscription = this.subscriptions.get(subject);
    if (subscription === undefined) {
      const receivers = new Set<Receive>();
      const onMessage: SubjectSubscription['onMessage'] = (message, from) =>
        this.onMessage(message, from, source, receivers);
      subscription = { ...this.openSubscription(subject, onMessage), receivers };
      this.subscriptions.set(subject, subscription);
      if (bundledAs !== undefined) this.bundled.set(source.groupId, source.peerId, bundledAs, receivers);
    }
    const found = subscription;
    found.receivers.add(receive);
    return {
      close: () => {
        if (!found.receivers.delete(receive) || found.receivers.size > 0 || this.subscriptions.get(subject) !== found)
          return;
        this.subscriptions.delete(subject);
        if (bundledAs !== undefined) this.bundled.delete(source.groupId, source.peerId, bundledAs);
        this.unsubscribe(found);
      },
    };
  }

  private openSubscription(subject: string, onMessage: SubjectSubscription['onMessage']): SubjectSubscription {
    const subscription = this.connection.subscribe(subject, (message) =>
      onMessage(message, lastToken(message.subject)),
    );
    return { subscription, ofFirstVersion: this.subscribeToFirstVersion(subject, onMessage), onMessage };
  }

  /** Subjects of the first version, which do not name the sender, are subscribed to only while there are peers of it. */
  private subscribeToFirstVersion(
    subject: string,
    onMessage: SubjectSubscription['onMessage'],
  ): RetryingSubscription | undefined {
    if (!this.firstVersion.arePresent) return undefined;
    return this.connection.subscribe(this.subjects.ofFirstVersion(subject), (message) => onMessage(message, undefined));
  }

  private unsubscribe({ subscription, ofFirstVersion }: SubjectSubscription): void {
    if (this.connection.nats.isClosed()) return;
    subscription.unsubscribe();
    ofFirstVersion?.unsubscribe();
  }

  private onFirstVersion(arePresent: boolean): void {
    if (this.connection.nats.isClosed()) return;
    for (const [subject, subscription] of [...this.subscriptions, ...this.bundleSubscriptions]) {
      subscription.ofFirstVersion?.unsubscribe();
      subscription.ofFirstVersion = arePresent
        ? this.subscribeToFirstVersion(subject, subscription.onMessage)
        : undefined;
    }
  }

  private onMessage(received: Msg, from: string | undefined, source: Source, receivers: ReadonlySet<Receive>): void {
    const token = messageTokenOf(received.subject, from);
    // A request, which another subscription handles.
    if (from === undefined && (token === healthToken || token === metricsToken)) return;
    const message = this.parse(`${source.recipient}.${token}`, source, received.data);
    if (message !== undefined) this.receivedBytes.add(message.name, received.data.length);
    if (message !== undefined && this.isFromNamedSender(message, from, source.peerId)) {
      this.deliverTo(message, received.data.length, receivers);
    }
  }

  /** Whether the subject and the body name the same sender; counts it if they do not. */
  private isFromNamedSender(message: Message, from: string | undefined, addressee: PeerId): boolean {
    if (from === undefined) {
      if (this.firstVersion.has(namedSender(message) ?? addressee)) return true;
      this.drops.count(`no_sender:${message.name}`);
      return false;
    }
    if (isFrom(from, message, addressee)) return true;
    this.drops.count(`other_sender:${message.name}`);
    return false;
  }

  private onBundle(peerId: PeerId, recipient: Recipient, data: Uint8Array, from: string | undefined): void {
    if (data.length > limits.messageBytes) return this.drops.count('too_large:bundle');
    const bundle = Bundle.safeParse(this.decode(data, 'bundle'));
    if (!bundle.success) return this.drops.count('malformed:bundle');
    this.bundleBytes.received += data.length;
    const bytes = Math.ceil(data.length / Math.max(1, bundle.data.messages.length));
    for (const [name, body] of bundle.data.messages) {
      const message = this.parseBundled(name, recipient, body);
      if (message === undefined || !this.isFromNamedSender(message, from, peerId)) continue;
      const receivers = this.bundled.get(message.body.group_id, peerId, receiverName(message.name));
      // The group is not hosted here (any more, or yet), or another actor of this process receives the feed.
      if (receivers === undefined) this.drops.count('bundled_for_nobody');
      else this.deliverTo(message, bytes, receivers);
    }
  }

  private deliverTo(message: Message, bytes: number, receivers: ReadonlySet<Receive>): void {
    for (const receive of receivers) {
      try {
        receive(message, bytes);
      } catch {
        this.drops.count('receiver_threw');
      }
    }
  }

  /** Parses what was received; undefined, and counted: it is not a message. */
  private parse(text: string, source: Source, data: Uint8Array): Message | undefined {
    const name = messageNameOf(text);
    if (name === undefined) return this.refuse('unknown_message');
    if (data.length > limits.messageBytes) return this.refuse(`too_large:${name}`);
    const value = this.decode(data, name);
    if (value === undefined) return undefined;
    const parsed = messages[name].schema.safeParse(value);
    if (!parsed.success) return this.refuse(`malformed:${name}`);
    if (parsed.data.group_id !== source.groupId) return this.refuse(`other_group:${name}`);
    if ('batches' in parsed.data && !areBatches(parsed.data.batches)) return this.refuse(`bad_batch:${name}`);
    return { name, body: parsed.data } as Message;
  }

  /** Parses one message of a bundle; undefined, and counted: it is none, or does not belong there. */
  private parseBundled(text: string, recipient: Recipient, body: unknown): Message | undefined {
    const name = messageNameOf(text);
    if (name === undefined || bundleRecipient(name) !== recipient) return this.refuse('unknown_message');
    const parsed = messages[name].schema.safeParse(body);
    if (!parsed.success) return this.refuse(`malformed:${name}`);
    const message = { name, body: parsed.data } as Message;
    return isBundled(message) ? message : this.refuse(`not_to_be_bundled:${name}`);
  }

  private decode(data: Uint8Array, name: string): unknown {
    try {
      return decode(data);
    } catch {
      return this.refuse(`not_msgpack:${name}`);
    }
  }

  private refuse(reason: string): undefined {
    this.drops.count(reason);
    return undefined;
  }
}

/** The actor that receives a message, or the name of a message on a feed. */
function receiverName(name: MessageName): string {
  const recipient = recipientOf(name);
  return recipient === 'feed' ? name : recipient;
}

/** The sender that a subject names. */
function lastToken(subject: string): string {
  return subject.slice(subject.lastIndexOf('.') + 1);
}

/** The message that a subject names: its last token, or the one before the sender. */
function messageTokenOf(subject: string, from: string | undefined): string {
  const end = from === undefined ? subject.length : subject.length - from.length - 1;
  return subject.slice(subject.lastIndexOf('.', end - 1) + 1, end);
}

/** Makes `close` idempotent. */
function once(close: () => void): Subscription {
  let closed = false;
  return {
    close: () => {
      if (!closed) close();
      closed = true;
    },
  };
}

/** Whether an actor subscribes to feed messages that are bundled. */
function isInFeedBundles(actor: ActorKind): boolean {
  return (feedListeners['feed.stored'] as readonly ActorKind[]).includes(actor);
}

/** The tokens of the feed messages that this actor subscribes to. */
function feedMessagesTo(actor: ActorKind): string[] {
  return Object.entries(feedListeners)
    .filter(([, listeners]) => (listeners as readonly ActorKind[]).includes(actor))
    .map(([name]) => name.slice('feed.'.length));
}

function areBatches(batches: readonly Uint8Array[]): boolean {
  try {
    for (const batch of batches) checkBatch(batch);
    return true;
  } catch {
    return false;
  }
}
