/**
 * Messages between processes, on NATS. A message is encoded once when it is sent; when it arrives it is parsed once, at
 * this door, however many actors of the process hear it.
 */
import {
  type ActorKind,
  checkBatch,
  decode,
  encode,
  feedListeners,
  type GroupId,
  healthWord,
  isMessageName,
  limits,
  type Message,
  messages,
  type PeerId,
  type Recipient,
  type Subjects,
} from '@conclave/protocol';
import type { Msg, Subscription } from 'nats';
import type { Connection } from './nats-connection.js';
import {
  type ActorAddress,
  addressOf,
  type Listening,
  type OverheardFeed,
  type Overhearing,
  type Receive,
  Tally,
  type Transport,
} from './transport.js';

interface Heard {
  readonly subscription: Subscription;
  readonly receivers: Set<Receive>;
}

/** What of a subject is heard: which group, which peer, which recipient. */
interface Source {
  readonly groupId: GroupId;
  readonly recipient: Recipient;
}

export class NatsTransport implements Transport {
  private readonly heard = new Map<string, Heard>();
  private readonly tally: Tally;
  private closed = false;

  /** @param onDropped is told of each drop, with how often there was one for that reason */
  constructor(
    private readonly connection: Connection,
    private readonly subjects: Subjects,
    onDropped?: (reason: string, count: number) => void,
  ) {
    this.tally = new Tally(onDropped);
  }

  get dropped(): Readonly<Record<string, number>> {
    return this.tally.counts;
  }

  send(peerId: PeerId, message: Message): void {
    const obstacle = this.closed ? 'closed' : this.publish(peerId, message);
    if (obstacle !== undefined) this.tally.add(obstacle);
  }

  /** Publishes the message, or says why it did not. */
  private publish(peerId: PeerId, message: Message): string | undefined {
    const data = encode(message.body);
    if (data.length > this.connection.messageBytes) return `too_large:${message.name}`;
    const word = message.name.slice(message.name.indexOf('.') + 1);
    const subject = this.subjects.message(addressOf(peerId, message), word);
    return this.connection.publish(subject, data) ? undefined : 'not_published';
  }

  listen({ groupId, peerId, actor }: ActorAddress, receive: Receive): Listening {
    const own = this.subjects.messages({ groupId, peerId, recipient: actor });
    const listenings = [this.hear(own, { groupId, recipient: actor }, receive)];
    for (const message of feedMessagesTo(actor)) {
      const subject = this.subjects.message({ groupId, peerId, recipient: 'feed' }, message);
      listenings.push(this.hear(subject, { groupId, recipient: 'feed' }, receive));
    }
    return {
      close: () => {
        for (const listening of listenings) listening.close();
      },
    };
  }

  overhear({ groupId, peerId, name }: OverheardFeed, receive: Receive): Overhearing {
    const subject = this.subjects.message({ groupId, peerId, recipient: 'feed' }, name.slice('feed.'.length));
    const listening = this.hear(subject, { groupId, recipient: 'feed' }, receive);
    return { ...listening, ready: this.connection.settled() };
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const { subscription, receivers } of this.heard.values()) {
      receivers.clear();
      if (!this.connection.nats.isClosed()) subscription.unsubscribe();
    }
    this.heard.clear();
  }

  private hear(subject: string, source: Source, receive: Receive): Listening {
    let heard = this.heard.get(subject);
    if (heard === undefined) {
      const receivers = new Set<Receive>();
      const subscription = this.connection.subscribe(subject, (message) => this.onMessage(message, source, receivers));
      heard = { subscription, receivers };
      this.heard.set(subject, heard);
    }
    const { receivers, subscription } = heard;
    receivers.add(receive);
    return {
      close: () => {
        if (!receivers.delete(receive) || receivers.size > 0 || this.heard.get(subject) !== heard) return;
        this.heard.delete(subject);
        if (!this.connection.nats.isClosed()) subscription.unsubscribe();
      },
    };
  }

  private onMessage(arrived: Msg, source: Source, receivers: ReadonlySet<Receive>): void {
    const word = arrived.subject.slice(arrived.subject.lastIndexOf('.') + 1);
    // A request, which is answered elsewhere.
    if (word === healthWord) return;
    const message = this.parse(`${source.recipient}.${word}`, source, arrived.data);
    if (message === undefined) return;
    for (const receive of receivers) {
      try {
        receive(message, arrived.data.length);
      } catch {
        this.tally.add('receiver_threw');
      }
    }
  }

  /** Parses what arrived; undefined, and counted, where it is no message. */
  private parse(name: string, source: Source, data: Uint8Array): Message | undefined {
    if (!isMessageName(name)) return this.refuse('unknown_message');
    if (data.length > limits.messageBytes) return this.refuse(`too_large:${name}`);
    let value: unknown;
    try {
      value = decode(data);
    } catch {
      return this.refuse(`not_msgpack:${name}`);
    }
    const parsed = messages[name].schema.safeParse(value);
    if (!parsed.success) return this.refuse(`malformed:${name}`);
    if (parsed.data.group_id !== source.groupId) return this.refuse(`other_group:${name}`);
    if ('batches' in parsed.data && !areBatches(parsed.data.batches)) return this.refuse(`bad_batch:${name}`);
    return { name, body: parsed.data } as Message;
  }

  private refuse(reason: string): undefined {
    this.tally.add(reason);
    return undefined;
  }
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
