/**
 * The port through which messages between actors go. Whatever carries them, this holds, and
 * `test/transport-conformance.ts` shows it:
 *
 * 1. What one sender sends to one actor arrives in order, each message at most once.
 * 2. A message to a feed reaches each actor of that peer that listens to it (`feedListeners`).
 * 3. Nothing is received before `send` has returned: a receiver is never entered from within its own step.
 * 4. `send` never throws. What cannot be sent is dropped and counted by its reason.
 * 5. What is received was parsed; what does not parse is dropped and counted.
 * 6. A receiver that throws disturbs no other, and not the transport.
 * 7. After `close` nothing is received.
 * 8. What one peer sends to its own feed reaches also those of other peers that overhear it.
 */
import type {
  ActorKind,
  Address,
  GroupId,
  Message,
  MessageName,
  OverheardName,
  PeerId,
  Recipient,
} from '@conclave/protocol';
import { feedListeners, overheard } from '@conclave/protocol';

/** Takes a message in. `bytes`: about what it keeps in memory. It only queues. */
export type Receive = (message: Message, bytes: number) => void;

/** An actor of a peer, as somebody who listens. */
export interface ActorAddress {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  readonly actor: ActorKind;
}

/** Something that goes on until it is ended. */
export interface Listening {
  close(): void;
}

/** A message on a peer's feed that actors of other peers may hear too. */
export interface OverheardFeed {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  readonly name: OverheardName;
}

/** Hearing another peer's feed. `ready`: from now on what is sent is heard. */
export interface Overhearing extends Listening {
  readonly ready: Promise<void>;
}

export interface Transport {
  /** Sends to an actor of a peer, or to its feed: the message's name says which, its body says which group. */
  send(peerId: PeerId, message: Message): void;
  /** Hears all messages to this actor, also those on its peer's feed that it listens to. */
  listen(address: ActorAddress, receive: Receive): Listening;
  /** Hears a message on the feed of another peer. */
  overhear(feed: OverheardFeed, receive: Receive): Overhearing;
  /** What was dropped, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  close(): Promise<void>;
}

/** Counts by reason. Reasons come from code, never from a message, so there are few. */
export class Tally {
  readonly counts: Record<string, number> = {};
  /** Called with the reason and its count, say to log the first of each. */
  constructor(private readonly onCount?: (reason: string, count: number) => void) {}

  add(reason: string): void {
    const count = (this.counts[reason] ?? 0) + 1;
    this.counts[reason] = count;
    this.onCount?.(reason, count);
  }
}

/** The name of a message, taken apart: `node.opened` is `opened` to `node`. */
export function recipientOf(name: MessageName): Recipient {
  return name.slice(0, name.indexOf('.')) as Recipient;
}

/** Where a message to this peer goes. */
export function addressOf(peerId: PeerId, message: Message): Address {
  return { groupId: message.body.group_id, peerId, recipient: recipientOf(message.name) };
}

/** The actors of the peer that hear this message. */
export function listenersOf(name: MessageName): readonly ActorKind[] {
  const recipient = recipientOf(name);
  if (recipient !== 'feed') return [recipient];
  return feedListeners[name as keyof typeof feedListeners];
}

/** Whether actors of other peers may hear this message of a peer's feed. */
export function isOverheard(name: MessageName): name is OverheardName {
  return Object.hasOwn(overheard, name);
}

/** About what a message that was never encoded keeps in memory. */
export function sizeOf(message: Message): number {
  const body = message.body as { readonly batches?: readonly Uint8Array[] };
  let bytes = 256;
  for (const batch of body.batches ?? []) bytes += batch.length;
  return bytes;
}
