/**
 * The port through which messages between actors are sent. Each implementation guarantees what follows, which
 * `test/transport-conformance.ts` tests:
 *
 * 1. Messages of one sender to one actor arrive in order, each at most once.
 * 2. A message to a feed reaches each actor of that peer that subscribes to it (`feedListeners`).
 * 3. Nothing is received before `send` has returned: a receiver is never entered from within its own step.
 * 4. `send` never throws. A message that cannot be sent is dropped and counted by its reason.
 * 5. A received message was parsed; one that does not parse is dropped and counted.
 * 6. A receiver that throws affects no other receiver, and not the transport.
 * 7. After `close` nothing is received.
 * 8. A message to a peer's own feed also reaches actors of other peers that subscribe to that feed.
 */
import type {
  ActorKind,
  Address,
  GroupId,
  Message,
  MessageName,
  PeerFeedMessageName,
  PeerId,
  Recipient,
} from '@conclave/protocol';
import { feedListeners, messages, peerFeedMessages } from '@conclave/protocol';

/** Receives a message. `bytes`: approximately the memory that it takes. It only queues the message. */
export type Receive = (message: Message, bytes: number) => void;

/** An actor of a peer, as a receiver of messages. */
export interface ActorAddress {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  readonly actor: ActorKind;
}

/** A subscription, until it is closed. */
export interface Subscription {
  close(): void;
}

/** A message on a peer's feed that actors of other peers may subscribe to. */
export interface PeerFeed {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  readonly name: PeerFeedMessageName;
}

/** A subscription to another peer's feed. `ready`: from now on messages are received. */
export interface PeerFeedSubscription extends Subscription {
  readonly ready: Promise<void>;
}

export interface Transport {
  /** Sends to an actor of a peer, or to its feed: the message's name determines the recipient, its body the group. */
  send(peerId: PeerId, message: Message): void;
  /** Receives all messages to this actor, including those on its peer's feed that it subscribes to. */
  subscribe(address: ActorAddress, receive: Receive): Subscription;
  /** Receives a message on the feed of another peer. */
  subscribeToPeerFeed(feed: PeerFeed, receive: Receive): PeerFeedSubscription;
  /** What was dropped, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  close(): Promise<void>;
}

const recipients = new Map(
  (Object.keys(messages) as MessageName[]).map((name) => [name, name.slice(0, name.indexOf('.')) as Recipient]),
);

/** The recipient in the name of a message: `node.opened` is `opened` to `node`. */
export function recipientOf(name: MessageName): Recipient {
  return recipients.get(name) as Recipient;
}

/** The address of a message to this peer. */
export function addressOf(peerId: PeerId, message: Message): Address {
  return { groupId: message.body.group_id, peerId, recipient: recipientOf(message.name) };
}

const receivingActors = new Map(
  [...recipients].map(([name, recipient]): [MessageName, readonly ActorKind[]] => [
    name,
    recipient === 'feed' ? feedListeners[name as keyof typeof feedListeners] : [recipient],
  ]),
);

/** The actors of the peer that receive this message. */
export function recipientsOf(name: MessageName): readonly ActorKind[] {
  return receivingActors.get(name) as readonly ActorKind[];
}

/** Whether actors of other peers may subscribe to this message of a peer's feed. */
export function isPeerFeedMessage(name: MessageName): name is PeerFeedMessageName {
  return Object.hasOwn(peerFeedMessages, name);
}

/** About the memory of a message that was never encoded. */
export function sizeOf(message: Message): number {
  const body = message.body as { readonly batches?: readonly Uint8Array[] };
  let bytes = 256;
  for (const batch of body.batches ?? []) bytes += batch.length;
  return bytes;
}
