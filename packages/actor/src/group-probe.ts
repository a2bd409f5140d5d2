/**
 * Finds out whether a node serves a group's subjects. A probe is an empty message with a reply subject. A node that serves the
 * subjects drops the probe, so that it costs a leader almost nothing. If no node does, the NATS server replies.
 *
 * It goes to the subject of `status`, on which every peer may publish.
 */
import { type GroupId, probeHeader, type Subjects } from '@conclave/protocol';
import { headers, type Msg } from 'nats';
import type { Connection } from './nats-connection.js';
import { isNoResponders } from './no-responders.js';
import type { RetryingSubscription } from './retrying-subscription.js';

const nothing = new Uint8Array();

export class GroupProbe {
  private readonly inbox: string;
  private readonly subscription: RetryingSubscription;
  private readonly head = headers();
  private lastId = 0;
  private onUnserved: (() => void) | undefined;

  constructor(
    private readonly connection: Connection,
    private readonly subjects: Subjects,
    private readonly groupId: GroupId,
  ) {
    this.head.set(probeHeader, '1');
    this.inbox = connection.createInbox();
    this.subscription = connection.subscribe(`${this.inbox}.*`, (message) => this.onReply(message));
  }

  /** Sends a probe; `onUnserved` is called if nobody receives it, unless another probe is sent meanwhile. */
  send(onUnserved: () => void): void {
    this.lastId += 1;
    this.onUnserved = onUnserved;
    const subject = this.subjects.groupRequest(this.groupId, 'admin', 'status');
    this.connection.publish(subject, nothing, { reply: `${this.inbox}.${this.lastId}`, headers: this.head });
  }

  private onReply(message: Msg): void {
    if (!isNoResponders(message) || message.subject !== `${this.inbox}.${this.lastId}`) return;
    const { onUnserved } = this;
    this.onUnserved = undefined;
    onUnserved?.();
  }

  close(): void {
    if (!this.connection.nats.isClosed()) this.subscription.unsubscribe();
  }
}

/** Whether a request is a probe, which is dropped. */
export function isProbe({ headers: head }: Pick<Msg, 'headers'>): boolean {
  return head?.has(probeHeader) === true;
}
