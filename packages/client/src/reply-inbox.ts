/**
 * The inbox in which a client receives the replies to its requests. The subject of a reply ends with the id of the request, so that
 * nothing is stored per request.
 *
 * Owns: the subscription to the inbox, and whether NATS permits it. Does not own what replies mean.
 */
import { ConclaveError, decode, isForeignReply } from '@conclave/protocol';
import { inboxOf, violationOf } from '@conclave/protocol/login';
import type { Msg, NatsConnection, Subscription } from 'nats';
import type { Reply } from './core/index.js';

/** The time between two attempts to subscribe while NATS does not permit it. */
const retryMs = 1000;

export interface ReplyListener {
  readonly onReply: (requestId: number, reply: Reply) => void;
  /** NATS does not permit the subscription. */
  readonly onDenied: (message: string) => void;
}

export class ReplyInbox {
  /** The subject of all replies, without the id of the request. It begins with the inbox prefix of the connection. */
  readonly subject: string;
  private subscription: Subscription;
  private denied: string | undefined;
  private denialCount = 0;
  private foreignCount = 0;
  /** The next attempt to subscribe is not before this. */
  private retryAtMs = 0;

  constructor(
    private readonly connection: NatsConnection,
    private readonly listener: ReplyListener,
  ) {
    this.subject = inboxOf(connection);
    this.subscription = this.subscribe();
  }

  /** Why NATS permits no replies; undefined: it permits them, as far as known. */
  get denial(): string | undefined {
    return this.denied;
  }

  /** How many replies came from programs that are not peers. They are dropped. */
  get foreignReplies(): number {
    return this.foreignCount;
  }

  /** The subject of the reply to this request. */
  subjectOf(requestId: number): string {
    return `${this.subject}.${requestId}`;
  }

  unsubscribe(): void {
    this.subscription.unsubscribe();
  }

  /** The connection was established again, perhaps with other permissions. */
  onReconnected(): void {
    if (this.denied === undefined) return;
    this.retryAtMs = 0;
    void this.retry();
  }

  /** Subscribes again if NATS did not permit it: the permissions may have been extended. */
  async retry(): Promise<void> {
    if (this.connection.isClosed() || performance.now() < this.retryAtMs) return;
    this.retryAtMs = performance.now() + retryMs;
    const denialsBefore = this.denialCount;
    if (this.subscription.isClosed()) this.subscription = this.subscribe();
    try {
      await this.connection.flush();
    } catch {
      // The connection was lost: `onReconnected` retries with the next one.
      return;
    }
    if (this.denialCount === denialsBefore) this.denied = undefined;
  }

  private subscribe(): Subscription {
    return this.connection.subscribe(`${this.subject}.*`, {
      callback: (error, message) => {
        if (error === null) this.onMessage(message);
        else this.onDenied(violationOf(error)?.message ?? error.message);
      },
    });
  }

  private onDenied(message: string): void {
    this.denied = message;
    this.denialCount += 1;
    this.listener.onDenied(message);
  }

  private onMessage(message: Msg): void {
    if (isForeignReply(message.data)) {
      this.foreignCount += 1;
      return;
    }
    const requestId = Number(message.subject.slice(this.subject.length + 1));
    this.listener.onReply(requestId, replyOf(message));
  }
}

function replyOf({ data, headers }: Msg): Reply {
  if (data.length === 0 && headers?.code === 503) return { type: 'no_responders' };
  try {
    return { type: 'body', body: decode(data) };
  } catch (error) {
    if (error instanceof ConclaveError) return { type: 'malformed' };
    throw error;
  }
}
