/**
 * Gathers the small messages of one turn that go to one actor kind of one peer, of whatever groups, into one.
 *
 * Invariants:
 * 1. What is sent for one group to one actor of a peer is published in the order in which it was sent. A message that
 *    is not bundled, but has bundled ones of its group to the same peer before it, waits for these; and so do all that
 *    come behind it.
 * 2. Nothing waits for longer than until those have had their turns who asked for one before it.
 * 3. Messages of one group alone are not bundled: each is published on its own subject.
 */
import {
  bundleRecipient,
  feedListeners,
  type GroupId,
  isBundled,
  limits,
  type Message,
  type PeerId,
  type Recipient,
} from '@conclave/protocol';
import { processTurns, type Turns, type TurnTaker } from './turns.js';

/** Where what was gathered goes. */
export interface BundleSink {
  /** One message, on its own subject. */
  publish(peerId: PeerId, message: Message): void;
  publishBundle(peerId: PeerId, recipient: Recipient, messages: readonly Message[]): void;
}

/** What has been gathered for one peer. */
interface Gathered {
  readonly bundles: Map<Recipient, Message[]>;
  /** What of each group is in which bundle; those with `behind` are bundled no more. */
  readonly groups: Map<GroupId, { readonly in: Set<Recipient>; behind: boolean }>;
  /** To be published by themselves after the bundles. */
  readonly behind: Message[];
}

export class Bundles implements TurnTaker {
  private readonly gathered = new Map<PeerId, Gathered>();

  constructor(
    private readonly sink: BundleSink,
    private readonly turns: Turns = processTurns,
  ) {}

  /** Takes a message; it is published at once, or at the end of this turn. */
  send(peerId: PeerId, message: Message): void {
    const bundled = isBundled(message);
    const there = this.gathered.get(peerId);
    const group = there?.groups.get(message.body.group_id);
    if (!bundled && group === undefined) {
      this.sink.publish(peerId, message);
      return;
    }
    const gathered = there ?? this.begin(peerId);
    const placed = group ?? { in: new Set<Recipient>(), behind: false };
    gathered.groups.set(message.body.group_id, placed);
    const recipient = bundleRecipient(message.name);
    if (!bundled || placed.behind || [...placed.in].some((other) => overlap(other, recipient))) {
      placed.behind = true;
      gathered.behind.push(message);
      return;
    }
    placed.in.add(recipient);
    const bundle = gathered.bundles.get(recipient) ?? [];
    gathered.bundles.set(recipient, bundle);
    bundle.push(message);
    if (bundle.length >= limits.bundleMessages) this.flush(peerId);
  }

  takeTurn(): boolean {
    for (const peerId of [...this.gathered.keys()]) this.flush(peerId);
    return false;
  }

  private begin(peerId: PeerId): Gathered {
    const gathered: Gathered = { bundles: new Map(), groups: new Map(), behind: [] };
    this.gathered.set(peerId, gathered);
    this.turns.ask(this);
    return gathered;
  }

  private flush(peerId: PeerId): void {
    const gathered = this.gathered.get(peerId);
    if (gathered === undefined) return;
    this.gathered.delete(peerId);
    for (const [recipient, messages] of gathered.bundles) {
      if (isOfOneGroup(messages)) for (const message of messages) this.sink.publish(peerId, message);
      else this.sink.publishBundle(peerId, recipient, messages);
    }
    for (const message of gathered.behind) this.sink.publish(peerId, message);
  }
}

const feedBundleListeners: readonly string[] = feedListeners['feed.stored'];

/** Whether one actor hears both. */
function overlap(one: Recipient, other: Recipient): boolean {
  if (one === other) return false;
  return (
    (one === 'feed' && feedBundleListeners.includes(other)) || (other === 'feed' && feedBundleListeners.includes(one))
  );
}

function isOfOneGroup(messages: readonly Message[]): boolean {
  return messages.every(({ body }) => body.group_id === messages[0]?.body.group_id);
}
