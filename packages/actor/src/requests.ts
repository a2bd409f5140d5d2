/**
 * Requests and their replies on NATS: JSON or msgpack, the reply in kind; errors also in the service headers of NATS
 * (ADR-32). What does not decode is answered here; what it means is decided by who serves.
 */
import {
  ConclaveError,
  type Door,
  decode,
  decodeLedHistory,
  decodeRequest,
  type Encoding,
  type ErrorBody,
  encode,
  encodeAs,
  encodeJson,
  encodeLedHistory,
  encodingOf,
  errorCodes,
  type GroupId,
  type LedHistory,
  limits,
  type PeerId,
  type Subjects,
} from '@conclave/protocol';
import { headers, type Msg, NoRespondersError, RequestError } from 'nats';
import type { LineLog } from './actor-log.js';
import { type FoundHost, HostDiscovery } from './host-discovery.js';
import type { Connection } from './nats-connection.js';
import type { Listening } from './transport.js';
import { WatchPublisher } from './watch-publisher.js';

/** A request that has been decoded. Exactly one of `reply`, `refuse` and `drop` is called, once. */
export interface Request {
  /** The command or operation: the last token of the subject. */
  readonly name: string;
  /** Decoded, not yet checked. */
  readonly body: unknown;
  /** How it came, and so how it is answered. */
  readonly encoding: Encoding;
  /** False, and nothing is sent, where the reply is too large for a message: then `refuse`. */
  reply(body: unknown): boolean;
  refuse(error: ErrorBody): void;
  /** Stays silent. */
  drop(): void;
}

/** Where requests are heard: on the group's own subjects, or on a peer's. */
export interface RequestAddress {
  readonly groupId: GroupId;
  readonly peerId?: PeerId;
  readonly door: Door;
}

/** What an endpoint has done so far. */
export interface EndpointCounts {
  requests: number;
  errors: number;
  lastError: string;
  /** Between a request and its answer, all requests together. */
  processingNs: number;
}

export function newEndpointCounts(): EndpointCounts {
  return { requests: 0, errors: 0, lastError: '', processingNs: 0 };
}

export class Requests {
  private readonly hosts: HostDiscovery;

  constructor(
    private readonly connection: Connection,
    private readonly subjects: Subjects,
    private readonly log: LineLog,
  ) {
    this.hosts = new HostDiscovery(connection, subjects, (subject, timeoutMs) => this.ask(subject, {}, timeoutMs));
  }

  /** @returns all peers that host a group, found within about a second; null where that cannot be known */
  hostsOf(groupId: GroupId): Promise<FoundHost[] | null> {
    return this.hosts.hostsOf(groupId);
  }

  /** The subjects of an address, with a wildcard for the name. */
  subject(address: RequestAddress, name = '*'): string {
    const { groupId, peerId, door } = address;
    return peerId === undefined
      ? this.subjects.groupRequest(groupId, door, name)
      : this.subjects.peerRequest(groupId, peerId, door, name);
  }

  /** Hears requests until it is closed. */
  serve(address: RequestAddress, counts: EndpointCounts, onRequest: (request: Request) => void): Listening {
    return this.serveSubject(this.subject(address), counts, onRequest);
  }

  /** The same on a subject that is of no group. */
  serveSubject(subject: string, counts: EndpointCounts, onRequest: (request: Request) => void): Listening {
    const subscription = this.connection.subscribe(subject, (message) => {
      const request = this.receive(message, counts);
      if (request !== undefined) onRequest(request);
    });
    return {
      close: () => {
        if (!this.connection.nats.isClosed()) subscription.unsubscribe();
      },
    };
  }

  /**
   * Asks, with msgpack.
   * @returns the reply, decoded; undefined where nobody answers in time, or not with something that decodes
   */
  async ask(subject: string, body: unknown, timeoutMs: number): Promise<unknown> {
    try {
      const reply = await this.connection.nats.request(subject, encode(body), { timeout: timeoutMs });
      return decode(reply.data);
    } catch (error) {
      this.log.write('debug', 'a question was not answered', { subject, err: String(error) });
      return undefined;
    }
  }

  /** Whether anybody listens on a subject, be it that he does not answer in time. */
  async isServed(subject: string, timeoutMs: number): Promise<boolean> {
    try {
      await this.connection.nats.request(subject, encode({}), { timeout: timeoutMs });
      return true;
    } catch (error) {
      const cause = error instanceof RequestError ? error.cause : error;
      return !(cause instanceof NoRespondersError);
    }
  }

  /** Publishes an event as JSON. */
  publishEvent(groupId: GroupId, name: string, body: unknown): void {
    this.connection.publish(this.subjects.event(groupId, name), encodeJson(body));
  }

  /** Publishes for the watches of a group; `onUnheard`: nobody is subscribed to what was published for a watch. */
  watchPublisher(groupId: GroupId, onUnheard: (watchId: string) => void): WatchPublisher {
    return new WatchPublisher(this.connection, (watchId) => this.subjects.watch(groupId, watchId), onUnheard);
  }

  /** Publishes which history a peer leads. */
  publishLedHistory(body: LedHistory): void {
    this.connection.publish(this.subjects.ledHistory(body.group_id, body.peer_id), encodeLedHistory(body));
  }

  /** Hears which histories others lead under a group's name, until it is closed. */
  hearLedHistories(groupId: GroupId, onLed: (body: LedHistory) => void): Listening {
    const subscription = this.connection.subscribe(this.subjects.ledHistory(groupId, '*'), (message) => {
      const body = decodeLedHistory(message.data);
      if (body?.group_id === groupId) onLed(body);
    });
    return {
      close: () => {
        if (!this.connection.nats.isClosed()) subscription.unsubscribe();
      },
    };
  }

  private receive(message: Msg, counts: EndpointCounts): Request | undefined {
    const name = message.subject.slice(message.subject.lastIndexOf('.') + 1);
    const answer = new Answer(this.connection, message, encodingOf(message.data), counts, this.log);
    if (message.data.length > limits.messageBytes) {
      const text = `a request has at most ${limits.messageBytes} bytes`;
      answer.refuse({ code: 'EINVAL', message: text, outcome: 'not_done' });
      return undefined;
    }
    try {
      const { value, encoding } = decodeRequest(message.data);
      return {
        name,
        body: value,
        encoding,
        reply: (body) => answer.reply(body),
        refuse: (error) => answer.refuse(error),
        drop: () => undefined,
      };
    } catch (error) {
      if (!(error instanceof ConclaveError)) throw error;
      answer.refuse(error.toBody());
      return undefined;
    }
  }
}

/** The way back to who asked. A request without a reply subject is done all the same. */
class Answer {
  private readonly sinceMs = performance.now();

  constructor(
    private readonly connection: Connection,
    private readonly message: Msg,
    private readonly encoding: Encoding,
    private readonly counts: EndpointCounts,
    private readonly log: LineLog,
  ) {
    counts.requests += 1;
  }

  reply(body: unknown): boolean {
    const data = encodeAs(body, this.encoding);
    if (data.length > this.connection.messageBytes) return false;
    this.count();
    if (this.message.reply) this.connection.publish(this.message.reply, data);
    return true;
  }

  refuse(error: ErrorBody): void {
    const line = `${error.code}: ${error.message}`.replace(/[\r\n]+/g, ' ').slice(0, 1024);
    this.count();
    this.counts.errors += 1;
    this.counts.lastError = line;
    if (!this.message.reply) {
      this.log.write('warn', 'a request that wants no reply was refused', { subject: this.message.subject, err: line });
      return;
    }
    const head = headers();
    head.set('Nats-Service-Error', line);
    head.set('Nats-Service-Error-Code', String(errorCodes[error.code].status));
    this.connection.publish(this.message.reply, encodeAs({ error }, this.encoding), { headers: head });
  }

  private count(): void {
    this.counts.processingNs += Math.round((performance.now() - this.sinceMs) * 1e6);
  }
}
