/**
 * Publishes the messages of a leader's watches. Each message has a reply subject, to which only the NATS server replies, if nobody
 * is subscribed to the message: so a leader learns of clients that are gone.
 */
import { type Encoding, encodeAs, type WatchMessage } from '@conclave/protocol';
import type { Connection } from './nats-connection.js';
import { isNoResponders } from './no-responders.js';
import type { RetryingSubscription } from './retrying-subscription.js';

export class WatchPublisher {
  private readonly inbox: string;
  private readonly subscription: RetryingSubscription;
  /** The last message in each encoding: watches with the same changes are served one after the other. */
  private readonly last = new Map<Encoding, { readonly body: WatchMessage; readonly data: Uint8Array }>();

  constructor(
    private readonly connection: Connection,
    private readonly subjectOf: (watchId: string) => string,
    onUnheard: (watchId: string) => void,
  ) {
    this.inbox = connection.createInbox();
    this.subscription = connection.subscribe(`${this.inbox}.>`, (message) => {
      if (isNoResponders(message)) onUnheard(message.subject.slice(this.inbox.length + 1));
    });
  }

  /** @returns false, and nothing is sent: it is too large for a message */
  publish(watchId: string, body: WatchMessage, encoding: Encoding): boolean {
    const data = this.encoded(body, encoding);
    if (data.length > this.connection.messageBytes) return false;
    this.connection.publish(this.subjectOf(watchId), data, { reply: `${this.inbox}.${watchId}` });
    return true;
  }

  close(): void {
    if (!this.connection.nats.isClosed()) this.subscription.unsubscribe();
  }

  private encoded(body: WatchMessage, encoding: Encoding): Uint8Array {
    const last = this.last.get(encoding);
    if (last?.body === body) return last.data;
    const data = encodeAs(body, encoding);
    this.last.set(encoding, { body, data });
    return data;
  }
}
