/**
 * Requests and their replies on NATS: JSON or msgpack, the reply in the encoding of the request; errors also in the service headers
 * of NATS (ADR-32). Requests that do not decode are refused here; the subscriber decides what the others mean.
 */
import {
  type Api,
  type Caller,
  ConclaveError,
  decode,
  decodeHistoryAnnouncement,
  decodeRequest,
  type Encoding,
  type ErrorBody,
  encode,
  encodeAs,
  encodeHistoryAnnouncement,
  encodeJson,
  encodingOf,
  errorCodes,
  type GroupId,
  type HistoryAnnouncement,
  isForeignReply,
  limits,
  type PeerId,
  type Subjects,
} from '@conclave/protocol';
import { headers, type Msg, type MsgHdrs, NoRespondersError, type PublishOptions, RequestError } from 'nats';
import type { LineLog } from './actor-log.js';
import { callerOf } from './caller.js';
import { GroupProbe, isProbe } from './group-probe.js';
import { type FoundHost, HostDiscovery } from './host-discovery.js';
import type { RequestTimes } from './metrics/request-times.js';
import type { Connection } from './nats-connection.js';
import { serveRequests } from './serve.js';
import { RequestTrace, traceHeader } from './tracing/tracing.js';
import type { Subscription } from './transport.js';
import { WatchPublisher } from './watch-publisher.js';

/** A request. Exactly one of `reply`, `refuse` and `drop` is called, once. */
export interface Request {
  /** The command or operation: the last token of the subject. */
  readonly name: string;
  /** Its size, with its headers. */
  readonly bytes: number;
  /** @returns the body, decoded, not yet checked. @throws ConclaveError EINVAL */
  decode(): unknown;
  /** Its encoding, which is that of the reply. */
  readonly encoding: Encoding;
  /** The sender of the request, as far as it is known. */
  readonly caller: Caller;
  /** Its trace, if its sender named one. */
  readonly trace?: RequestTrace | undefined;
  /** Sends the reply; false, and nothing is sent: it is too large for a message. Then call `refuse`. */
  reply(body: unknown): boolean;
  /** As `reply`, with a body that is encoded already: many requests can be answered with one. */
  replyEncoded(data: Uint8Array): boolean;
  refuse(error: ErrorBody): void;
  /** Sends no reply. */
  drop(): void;
}

/** The subjects on which requests are received: the group's, or a peer's. */
export interface RequestAddress {
  readonly groupId: GroupId;
  readonly peerId?: PeerId;
  readonly api: Api;
}

/** A subject on which requests are received. */
export interface ServedSubject {
  /** Unsubscribes. Requests that NATS has already sent still arrive; resolves when there are none any more. */
  close(): Promise<void>;
}

/** The fields that every event has. */
export type Published = { readonly group_id: GroupId; readonly peer_id: PeerId } & Readonly<Record<string, unknown>>;

/** The counts of an endpoint so far. */
export interface EndpointCounts {
  requests: number;
  errors: number;
  lastError: string;
  /** Between a request and its reply, the sum over all requests. */
  processingNs: number;
  /** Records the time of each request; several endpoints may share it. */
  readonly times?: RequestTimes;
}

/** Encoded refusals: under a flood the same one is sent thousands of times. */
class EncodedRefusals {
  private error: ErrorBody | undefined;
  private head = headers();
  private readonly data = new Map<Encoding, Uint8Array>();

  of(error: ErrorBody, encoding: Encoding, line: string): { readonly head: MsgHdrs; readonly data: Uint8Array } {
    if (this.error !== error) {
      this.error = error;
      this.head = headers();
      this.head.set('Nats-Service-Error', line);
      this.head.set('Nats-Service-Error-Code', String(errorCodes[error.code].status));
      this.data.clear();
    }
    const data = this.data.get(encoding) ?? encodeAs({ error }, encoding);
    this.data.set(encoding, data);
    return { head: this.head, data };
  }
}

const refusals = new EncodedRefusals();

const tooLargeHeaders = new ConclaveError(
  'EINVAL',
  `the headers of a request have at most ${limits.requestHeaderBytes} bytes`,
).toBody();

/** A message of the package, which knows its size on the wire but does not declare that. */
interface SizedMessage {
  size(): number;
}

/** Returns how many bytes the headers of a message have. Does not parse them, as `message.headers` does. */
function headerBytesOf(message: Msg): number {
  const { subject, reply = '', data } = message;
  const others = Buffer.byteLength(subject) + Buffer.byteLength(reply) + data.length;
  return (message as Msg & SizedMessage).size() - others;
}

export function newEndpointCounts(times?: RequestTimes): EndpointCounts {
  return { requests: 0, errors: 0, lastError: '', processingNs: 0, ...(times === undefined ? {} : { times }) };
}

export class RequestServer {
  private readonly hosts: HostDiscovery;

  constructor(
    private readonly connection: Connection,
    readonly subjects: Subjects,
    private readonly log: LineLog,
  ) {
    this.hosts = new HostDiscovery(connection, subjects, (subject, timeoutMs) => this.ask(subject, {}, timeoutMs));
  }

  /** @returns all peers that host a group, found within about a second; null: that cannot be determined */
  hostsOf(groupId: GroupId): Promise<FoundHost[] | null> {
    return this.hosts.hostsOf(groupId);
  }

  /** The subjects of an address, with a wildcard for the name. */
  subject(address: RequestAddress, name = '*'): string {
    const { groupId, peerId, api } = address;
    return peerId === undefined
      ? this.subjects.groupRequest(groupId, api, name)
      : this.subjects.peerRequest(groupId, peerId, api, name);
  }

  /** Receives requests until it is closed. */
  serve(address: RequestAddress, counts: EndpointCounts, onRequest: (request: Request) => void): ServedSubject {
    return this.serveSubject(this.subject(address), counts, onRequest);
  }

  /** The same on a subject that is of no group. */
  serveSubject(subject: string, counts: EndpointCounts, onRequest: (request: Request) => void): ServedSubject {
    const subscription = serveRequests(this.connection, this.subjects, subject, (message) => {
      const headerBytes = headerBytesOf(message);
      const receive = () => new ReceivedRequest(this.connection, message, headerBytes, counts, this.log);
      // To parse such headers would take longer than all else that a request needs.
      if (headerBytes > limits.requestHeaderBytes) receive().refuse(tooLargeHeaders);
      else if (!isProbe(message)) onRequest(receive());
    });
    let closed: Promise<void> | undefined;
    return {
      close: () => {
        closed ??= this.connection.drain(subscription);
        return closed;
      },
    };
  }

  /**
   * Sends a request, as msgpack.
   * @returns the decoded reply; undefined: none in time, or none that decodes. Replies of other programs do not count
   */
  async ask(subject: string, body: unknown, timeoutMs: number): Promise<unknown> {
    try {
      const options = { strategy: 'timer', maxWait: timeoutMs } as const;
      for await (const { data } of await this.connection.nats.requestMany(subject, encode(body), options)) {
        if (!isForeignReply(data)) return decode(data);
      }
    } catch (error) {
      this.log.write('debug', 'a request got no reply', { subject, err: String(error) });
    }
    return undefined;
  }

  /** Whether a subject has a subscriber, even if it does not reply in time. */
  async isServed(subject: string, timeoutMs: number): Promise<boolean> {
    try {
      await this.connection.nats.request(subject, encode({}), { timeout: timeoutMs });
      return true;
    } catch (error) {
      const cause = error instanceof RequestError ? error.cause : error;
      return !(cause instanceof NoRespondersError);
    }
  }

  /** Publishes an event of a peer as JSON. */
  publishEvent(name: string, body: Published): void {
    this.connection.publish(this.subjects.event(body.group_id, name, body.peer_id), encodeJson(body));
  }

  /** Publishes for the watches of a group; `onUnheard`: called if nobody is subscribed to a watch's subject. */
  watchPublisher(groupId: GroupId, onUnheard: (watchId: string) => void): WatchPublisher {
    return new WatchPublisher(this.connection, (watchId) => this.subjects.watch(groupId, watchId), onUnheard);
  }

  /** For probes whether a process serves the group's subjects. */
  groupProbe(groupId: GroupId): GroupProbe {
    return new GroupProbe(this.connection, this.subjects, groupId);
  }

  /** Announces which history a peer leads. */
  announceHistory(body: HistoryAnnouncement): void {
    this.connection.publish(
      this.subjects.historyAnnouncement(body.group_id, body.peer_id),
      encodeHistoryAnnouncement(body),
    );
  }

  /** Subscribes to the histories that others lead under a group's name. */
  subscribeToHistories(groupId: GroupId, onLed: (body: HistoryAnnouncement) => void): Subscription {
    const subscription = this.connection.subscribe(this.subjects.historyAnnouncement(groupId, '*'), (message) => {
      const body = decodeHistoryAnnouncement(message.data);
      if (body?.group_id !== groupId) return;
      if (message.subject === this.subjects.historyAnnouncement(groupId, body.peer_id)) onLed(body);
      else this.connection.count('other_sender:history');
    });
    return {
      close: () => {
        if (!this.connection.nats.isClosed()) subscription.unsubscribe();
      },
    };
  }
}

/** A received request. One without a reply subject is executed all the same. */
class ReceivedRequest implements Request {
  readonly encoding: Encoding;
  readonly trace: RequestTrace | undefined;
  private readonly sinceMs = performance.now();

  constructor(
    private readonly connection: Connection,
    private readonly message: Msg,
    private readonly headerBytes: number,
    private readonly counts: EndpointCounts,
    private readonly log: LineLog,
  ) {
    counts.requests += 1;
    this.encoding = encodingOf(message.data);
    // Most requests have no headers.
    const head = headerBytes > limits.requestHeaderBytes ? undefined : message.headers;
    this.trace = head === undefined ? undefined : RequestTrace.of(head, message.subject, log);
  }

  get name(): string {
    const { subject } = this.message;
    return subject.slice(subject.lastIndexOf('.') + 1);
  }

  get bytes(): number {
    return this.message.data.length + this.headerBytes;
  }

  get caller(): Caller {
    return callerOf(this.message);
  }

  decode(): unknown {
    if (this.message.data.length <= limits.messageBytes) return decodeRequest(this.message.data).value;
    throw new ConclaveError('EINVAL', `a request has at most ${limits.messageBytes} bytes`);
  }

  drop(): void {}

  reply(body: unknown): boolean {
    return this.replyEncoded(encodeAs(body, this.encoding));
  }

  replyEncoded(data: Uint8Array): boolean {
    if (data.length > this.connection.messageBytes) return false;
    this.count();
    if (this.message.reply) this.connection.publish(this.message.reply, data, this.replyOptions());
    return true;
  }

  refuse(error: ErrorBody): void {
    const line = `${error.code}: ${error.message}`.replace(/[\r\n]+/g, ' ').slice(0, 1024);
    this.count(error);
    this.counts.errors += 1;
    this.counts.lastError = line;
    if (!this.message.reply) {
      // Only the first of each tenfold, so that a flood does not fill the log.
      if (Number.isInteger(Math.log10(this.counts.errors))) {
        const { subject } = this.message;
        this.log.write('warn', 'a request without a reply subject was refused', { subject, err: line });
      }
      return;
    }
    const { head, data } = refusals.of(error, this.encoding, line);
    this.connection.publish(this.message.reply, data, this.replyOptions(head));
  }

  /** The headers of a reply: those of an error, and the trace of the request. */
  private replyOptions(head?: MsgHdrs): PublishOptions | undefined {
    if (this.trace === undefined) return head === undefined ? undefined : { headers: head };
    // Refusals share their headers.
    const traced = headers();
    for (const [key, values] of head ?? []) for (const value of values) traced.append(key, value);
    traced.set(traceHeader, this.trace.traceparent);
    return { headers: traced };
  }

  private count(error?: ErrorBody): void {
    this.trace?.end(error);
    const ms = performance.now() - this.sinceMs;
    this.counts.processingNs += Math.round(ms * 1e6);
    this.counts.times?.record(this.name, ms / 1000, error);
  }
}
