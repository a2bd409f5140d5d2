/**
 * Publishes the messages of a leader's watches. Each message has a reply subject, to which only the NATS server replies, if nobody
 * is subscribed to the message: so a leader learns of clients that are gone.
 */
import { type Encoding, encodeAs, type WatchMessage } from '@conclave/protocol';
import type { Msg } from 'nats';
import type { Connection } from './nats-connection.js';
import type { RetryingSubscription } from './retrying-subscription.js';

/** The NATS status for no responders. */
const nobody = 503;

/** Whether the NATS server reports that nobody was subscribed to what was published with this reply subject. */
export function isNoResponders({ data, headers }: Pick<Msg, 'data' | 'headers'>): boolean {
  return data.length === 0 && headers?.code === nobody;
}

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
