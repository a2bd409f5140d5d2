/**
 * Joins the small messages of one turn that go to one actor kind of one peer, of whatever groups, into one bundle.
 *
 * Invariants:
 * 1. Messages of one group to one actor of a peer are published in the order in which they were sent. A message that is not
 *    bundled waits for bundled ones of its group to the same peer that were sent before it; and so do all messages after it.
 * 2. A message waits at most until the work that was queued before it has run once.
 * 3. If all messages are of one group, they are not bundled: each is published on its own subject.
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
import { processRunQueue, type Runnable, type RunQueue } from './run-queue.js';

/** Publishes the waiting messages. */
export interface BundleSink {
  /** One message, on its own subject. */
  publish(peerId: PeerId, message: Message): void;
  publishBundle(peerId: PeerId, recipient: Recipient, messages: readonly Message[]): void;
}

/** The waiting messages to one peer. */
interface WaitingMessages {
  readonly bundles: Map<Recipient, Message[]>;
  /** Which bundles hold messages of each group; groups with `unbundled` messages are bundled no more. */
  readonly groups: Map<GroupId, { readonly in: Set<Recipient>; behind: boolean }>;
  /** Published on their own subjects after the bundles. */
  readonly unbundled: Message[];
}

export class MessageCoalescer implements Runnable {
  private readonly waiting = new Map<PeerId, WaitingMessages>();

  constructor(
    private readonly sink: BundleSink,
    private readonly runQueue: RunQueue = processRunQueue,
  ) {}

  /** Publishes a message at once, or at the end of this turn. */
  send(peerId: PeerId, message: Message): void {
    const isSmall = isBundled(message);
    const existing = this.waiting.get(peerId);
    const group = existing?.groups.get(message.body.group_id);
    if (!isSmall && group === undefined) {
      this.sink.publish(peerId, message);
      return;
    }
    const waiting = existing ?? this.begin(peerId);
    const bundled = group ?? { in: new Set<Recipient>(), behind: false };
    waiting.groups.set(message.body.group_id, bundled);
    const recipient = bundleRecipient(message.name);
    if (!isSmall || bundled.behind || [...bundled.in].some((other) => overlap(other, recipient))) {
      bundled.behind = true;
      waiting.unbundled.push(message);
      return;
    }
    bundled.in.add(recipient);
    const bundle = waiting.bundles.get(recipient) ?? [];
    waiting.bundles.set(recipient, bundle);
    bundle.push(message);
    if (bundle.length >= limits.bundleMessages) this.flush(peerId);
  }

  runOnce(): boolean {
    for (const peerId of [...this.waiting.keys()]) this.flush(peerId);
    return false;
  }

  private begin(peerId: PeerId): WaitingMessages {
    const waiting: WaitingMessages = { bundles: new Map(), groups: new Map(), unbundled: [] };
    this.waiting.set(peerId, waiting);
    this.runQueue.enqueue(this);
    return waiting;
  }

  private flush(peerId: PeerId): void {
    const waiting = this.waiting.get(peerId);
    if (waiting === undefined) return;
    this.waiting.delete(peerId);
    for (const [recipient, messages] of waiting.bundles) {
      if (isOfOneGroup(messages)) for (const message of messages) this.sink.publish(peerId, message);
      else this.sink.publishBundle(peerId, recipient, messages);
    }
    for (const message of waiting.unbundled) this.sink.publish(peerId, message);
  }
}

const feedBundleListeners: readonly string[] = feedListeners['feed.stored'];

/** Whether one actor receives both. */
function overlap(one: Recipient, other: Recipient): boolean {
  if (one === other) return false;
  return (
    (one === 'feed' && feedBundleListeners.includes(other)) || (other === 'feed' && feedBundleListeners.includes(one))
  );
}

function isOfOneGroup(messages: readonly Message[]): boolean {
  return messages.every(({ body }) => body.group_id === messages[0]?.body.group_id);
}
