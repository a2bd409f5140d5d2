/**
 * Messages between processes, on NATS. A message is encoded once when it is sent; when it arrives it is parsed once, at
 * this door, however many actors of the process hear it.
 */
import {
  type ActorKind,
  Bundle,
  bundleRecipient,
  checkBatch,
  decode,
  encode,
  feedListeners,
  type GroupId,
  healthWord,
  isBundled,
  isFrom,
  isMessageName,
  limits,
  type Message,
  messages,
  namedSender,
  type PeerId,
  type Recipient,
  type Subjects,
} from '@conclave/protocol';
import type { Msg } from 'nats';
import { Bundles } from './bundles.js';
import { FirstVersionPeers } from './first-version-peers.js';
import type { Connection } from './nats-connection.js';
import type { RetryingSubscription } from './retrying-subscription.js';
import {
  type ActorAddress,
  addressOf,
  isOverheard,
  type Listening,
  type OverheardFeed,
  type Overhearing,
  type Receive,
  Tally,
  type Transport,
} from './transport.js';

/** What is subscribed to on one subject, and while there are peers of the first version on theirs too. */
interface Heard {
  readonly subscription: RetryingSubscription;
  ofFirstVersion: RetryingSubscription | undefined;
  /** `from`: the last token of the subject; none: it came on a subject of the first version. */
  readonly onMessage: (message: Msg, from: string | undefined) => void;
}

interface HeardMessages extends Heard {
  readonly receivers: Set<Receive>;
}

/** The bundles to an actor of a peer, for all groups that listen to them. */
interface HeardBundles extends Heard {
  listenings: number;
}

/** What of a subject is heard: which group, which peer, which recipient. */
interface Source {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  readonly recipient: Recipient;
}

export class NatsTransport implements Transport {
  private readonly heard = new Map<string, HeardMessages>();
  private readonly heardBundles = new Map<string, HeardBundles>();
  private readonly firstVersion: FirstVersionPeers;
  /** Those that listen here, and how many actors of each: with several, small messages are bundled. */
  private readonly groups = new Map<GroupId, number>();
  private readonly bundles: Bundles;
  private readonly tally: Tally;
  private closed = false;

  /**
   * @param own the peer whose actors send through it
   * @param onDropped is told of each drop, with how often there was one for that reason
   */
  constructor(
    private readonly connection: Connection,
    private readonly subjects: Subjects,
    private readonly own: PeerId,
    onDropped?: (reason: string, count: number) => void,
    private readonly options: { readonly bundle: boolean } = { bundle: true },
  ) {
    this.tally = new Tally(onDropped);
    this.firstVersion = new FirstVersionPeers(connection, subjects, (areThere) => this.onFirstVersion(areThere));
    this.bundles = new Bundles({
      publish: (peerId, message) => this.sendNow(peerId, message),
      publishBundle: (peerId, recipient, gathered) => this.sendBundle(peerId, recipient, gathered),
    });
  }

  get dropped(): Readonly<Record<string, number>> {
    return this.tally.counts;
  }

  send(peerId: PeerId, message: Message): void {
    if (this.options.bundle && this.groups.size > 1) this.bundles.send(peerId, message);
    else this.sendNow(peerId, message);
  }

  private sendNow(peerId: PeerId, message: Message): void {
    const obstacle = this.closed ? 'closed' : this.publish(peerId, message);
    if (obstacle !== undefined) this.tally.add(obstacle);
  }

  /** Publishes the message, or says why it did not. */
  private publish(peerId: PeerId, message: Message): string | undefined {
    const data = encode(message.body);
    if (data.length > this.connection.messageBytes) return `too_large:${message.name}`;
    const word = message.name.slice(message.name.indexOf('.') + 1);
    const subject = this.subjects.message(addressOf(peerId, message), word, this.own);
    if (!this.connection.publish(subject, data)) return 'not_published';
    if (this.firstVersion.areThere && (this.firstVersion.has(peerId) || isOverheard(message.name))) {
      this.connection.publish(this.subjects.ofFirstVersion(subject), data);
    }
    return undefined;
  }

  private sendBundle(peerId: PeerId, recipient: Recipient, gathered: readonly Message[]): void {
    if (this.closed) return this.tally.add('closed');
    const subject = this.subjects.bundle(peerId, recipient, this.own);
    const data = encode({ messages: gathered.map(({ name, body }) => [name, body]) } satisfies Bundle);
    if (data.length > this.connection.messageBytes) {
      for (const message of gathered) this.sendNow(peerId, message);
    } else if (!this.connection.publish(subject, data)) {
      this.tally.add('bundle_not_published');
    } else if (this.firstVersion.has(peerId)) {
      this.connection.publish(this.subjects.ofFirstVersion(subject), data);
    }
  }

  listen({ groupId, peerId, actor }: ActorAddress, receive: Receive): Listening {
    const own = { groupId, peerId, recipient: actor };
    const listenings = [this.hear(this.subjects.messages(own), own, receive)];
    const feed: Source = { groupId, peerId, recipient: 'feed' };
    for (const message of feedMessagesTo(actor)) {
      listenings.push(this.hear(this.subjects.message(feed, message, '*'), feed, receive));
    }
    listenings.push(this.hearBundles(peerId, actor), this.host(groupId));
    if (isInFeedBundles(actor)) listenings.push(this.hearBundles(peerId, 'feed'));
    return {
      close: () => {
        for (const listening of listenings) listening.close();
      },
    };
  }

  overhear({ groupId, peerId, name }: OverheardFeed, receive: Receive): Overhearing {
    const feed: Source = { groupId, peerId, recipient: 'feed' };
    const subject = this.subjects.message(feed, name.slice('feed.'.length), peerId);
    const listening = this.hear(subject, feed, receive);
    return { ...listening, ready: this.connection.settled() };
  }

  async close(): Promise<void> {
    this.bundles.takeTurn();
    this.closed = true;
    for (const heard of this.heard.values()) {
      heard.receivers.clear();
      this.unsubscribe(heard);
    }
    this.heard.clear();
    for (const heard of this.heardBundles.values()) this.unsubscribe(heard);
    this.heardBundles.clear();
    this.firstVersion.close();
  }

  /** Counts an actor of a group. */
  private host(groupId: GroupId): Listening {
    this.groups.set(groupId, (this.groups.get(groupId) ?? 0) + 1);
    return once(() => {
      const left = (this.groups.get(groupId) ?? 0) - 1;
      if (left > 0) this.groups.set(groupId, left);
      else this.groups.delete(groupId);
    });
  }

  private hearBundles(peerId: PeerId, recipient: Recipient): Listening {
    const subject = this.subjects.bundle(peerId, recipient, '*');
    let heard = this.heardBundles.get(subject);
    if (heard === undefined) {
      const onMessage: Heard['onMessage'] = ({ data }, from) => this.onBundle(peerId, recipient, data, from);
      heard = { ...this.subscribe(subject, onMessage), listenings: 0 };
      this.heardBundles.set(subject, heard);
    }
    const counted = heard;
    counted.listenings += 1;
    return once(() => {
      counted.listenings -= 1;
      if (counted.listenings > 0 || this.heardBundles.get(subject) !== counted) return;
      this.heardBundles.delete(subject);
      this.unsubscribe(counted);
    });
  }

  private hear(subject: string, source: Source, receive: Receive): Listening {
    let heard = this.heard.get(subject);
    if (heard === undefined) {
      const receivers = new Set<Receive>();
      const onMessage: Heard['onMessage'] = (message, from) => this.onMessage(message, from, source, receivers);
      heard = { ...this.subscribe(subject, onMessage), receivers };
      this.heard.set(subject, heard);
    }
    const found = heard;
    found.receivers.add(receive);
    return {
      close: () => {
        if (!found.receivers.delete(receive) || found.receivers.size > 0 || this.heard.get(subject) !== found) return;
        this.heard.delete(subject);
        this.unsubscribe(found);
      },
    };
  }

  private subscribe(subject: string, onMessage: Heard['onMessage']): Heard {
    const subscription = this.connection.subscribe(subject, (message) =>
      onMessage(message, lastToken(message.subject)),
    );
    return { subscription, ofFirstVersion: this.subscribeToFirstVersion(subject, onMessage), onMessage };
  }

  /** Peers of the first version are not heard, and nothing in their name, unless there are any. */
  private subscribeToFirstVersion(subject: string, onMessage: Heard['onMessage']): RetryingSubscription | undefined {
    if (!this.firstVersion.areThere) return undefined;
    return this.connection.subscribe(this.subjects.ofFirstVersion(subject), (message) => onMessage(message, undefined));
  }

  private unsubscribe({ subscription, ofFirstVersion }: Heard): void {
    if (this.connection.nats.isClosed()) return;
    subscription.unsubscribe();
    ofFirstVersion?.unsubscribe();
  }

  private onFirstVersion(areThere: boolean): void {
    if (this.connection.nats.isClosed()) return;
    for (const [subject, heard] of [...this.heard, ...this.heardBundles]) {
      heard.ofFirstVersion?.unsubscribe();
      heard.ofFirstVersion = areThere ? this.subscribeToFirstVersion(subject, heard.onMessage) : undefined;
    }
  }

  private onMessage(arrived: Msg, from: string | undefined, source: Source, receivers: ReadonlySet<Receive>): void {
    const word = wordOf(arrived.subject, from);
    // A request, which is answered elsewhere.
    if (from === undefined && word === healthWord) return;
    const message = this.parse(`${source.recipient}.${word}`, source, arrived.data);
    if (message !== undefined && this.isFromWhomItSays(message, from, source.peerId)) {
      this.hand(message, arrived.data.length, receivers);
    }
  }

  /** Whether the subject and the body name one sender; counted where they do not. */
  private isFromWhomItSays(message: Message, from: string | undefined, addressee: PeerId): boolean {
    if (from === undefined) {
      if (this.firstVersion.has(namedSender(message) ?? addressee)) return true;
      this.tally.add(`no_sender:${message.name}`);
      return false;
    }
    if (isFrom(from, message, addressee)) return true;
    this.tally.add(`other_sender:${message.name}`);
    return false;
  }

  private onBundle(peerId: PeerId, recipient: Recipient, data: Uint8Array, from: string | undefined): void {
    if (data.length > limits.messageBytes) return this.tally.add('too_large:bundle');
    const bundle = Bundle.safeParse(this.decode(data, 'bundle'));
    if (!bundle.success) return this.tally.add('malformed:bundle');
    const bytes = Math.ceil(data.length / Math.max(1, bundle.data.messages.length));
    for (const [name, body] of bundle.data.messages) {
      const message = this.parseBundled(name, recipient, body);
      if (message === undefined || !this.isFromWhomItSays(message, from, peerId)) continue;
      const receivers = this.heard.get(this.bundledSubject(peerId, message))?.receivers;
      // Of a group that is hosted here no more, or not yet; or of a feed that another actor of this process hears.
      if (receivers === undefined) this.tally.add('bundled_for_nobody');
      else this.hand(message, bytes, receivers);
    }
  }

  /** Where a message would have come that was in no bundle. */
  private bundledSubject(peerId: PeerId, message: Message): string {
    const address = addressOf(peerId, message);
    if (address.recipient !== 'feed') return this.subjects.messages(address);
    return this.subjects.message(address, message.name.slice('feed.'.length), '*');
  }

  private hand(message: Message, bytes: number, receivers: ReadonlySet<Receive>): void {
    for (const receive of receivers) {
      try {
        receive(message, bytes);
      } catch {
        this.tally.add('receiver_threw');
      }
    }
  }

  /** Parses what arrived; undefined, and counted, where it is no message. */
  private parse(name: string, source: Source, data: Uint8Array): Message | undefined {
    if (!isMessageName(name)) return this.refuse('unknown_message');
    if (data.length > limits.messageBytes) return this.refuse(`too_large:${name}`);
    const value = this.decode(data, name);
    if (value === undefined) return undefined;
    const parsed = messages[name].schema.safeParse(value);
    if (!parsed.success) return this.refuse(`malformed:${name}`);
    if (parsed.data.group_id !== source.groupId) return this.refuse(`other_group:${name}`);
    if ('batches' in parsed.data && !areBatches(parsed.data.batches)) return this.refuse(`bad_batch:${name}`);
    return { name, body: parsed.data } as Message;
  }

  /** Parses one of a bundle; undefined, and counted, where it is no message that belongs there. */
  private parseBundled(name: string, recipient: Recipient, body: unknown): Message | undefined {
    if (!isMessageName(name) || bundleRecipient(name) !== recipient) return this.refuse('unknown_message');
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
    this.tally.add(reason);
    return undefined;
  }
}

/** The sender that a subject names. */
function lastToken(subject: string): string {
  return subject.slice(subject.lastIndexOf('.') + 1);
}

/** The message that a subject names: its last token, or the one before the sender. */
function wordOf(subject: string, from: string | undefined): string {
  const end = from === undefined ? subject.length : subject.length - from.length - 1;
  return subject.slice(subject.lastIndexOf('.', end - 1) + 1, end);
}

/** Ends something at most once. */
function once(close: () => void): Listening {
  let closed = false;
  return {
    close: () => {
      if (!closed) close();
      closed = true;
    },
  };
}

/** Whether an actor listens to feed messages that others hear as well. */
function isInFeedBundles(actor: ActorKind): boolean {
  return (feedListeners['feed.stored'] as readonly ActorKind[]).includes(actor);
}

/** The last token of each feed message that this actor listens to. */
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
