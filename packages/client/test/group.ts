/** A group of one over real NATS: the api and the state machine of the store, without Raft between them. */
import type { WatchRequest } from '@conclave/actor/core';
import { KvService, KvStateMachine } from '@conclave/kv';
import {
  asLogIndex,
  ConclaveError,
  decodeRequest,
  type Encoding,
  type ErrorBody,
  encodeAs,
  type GroupUid,
} from '@conclave/protocol';
import type { Msg, NatsConnection, Subscription } from 'nats';

const replyContext = { groupUid: 'history-1' as GroupUid };

/** What is done with a request: answered, carried out without an answer, or answered with an error. */
export type Behaviour = 'answer' | 'carry_out_silently' | ErrorBody;

export class Group {
  /** For each request in turn; then all are answered. */
  readonly behaviours: Behaviour[] = [];
  /** The operations asked for, in order. */
  readonly operations: string[] = [];
  /** The commands of batches, in order. */
  readonly commands: string[] = [];
  stateMachine = new KvStateMachine();
  private readonly service = new KvService();
  private subscriptions: Subscription[] = [];
  private index = 0;
  /** The watches, and the first revision that each has not been sent. */
  readonly watches = new Map<string, { readonly selector: unknown; next: number }>();
  /** Every watch is refused with this. */
  refuseWatches: ErrorBody | undefined;
  /** False: as an older version, it takes ids of one token alone. */
  takesOwners = true;
  /** Its feature level. */
  level = 0;
  /** So many messages to watchers get lost. */
  lose = 0;

  constructor(
    private readonly connection: NatsConnection,
    private readonly prefix = 'conclave.main',
  ) {}

  /** Settled when the server knows that this answers. */
  async lead(): Promise<void> {
    const callback = (_error: Error | null, message: Msg) => this.onRequest(message);
    this.subscriptions = ['kv.*', 'n1.kv.*', 'n1.admin.*'].map((end) =>
      this.connection.subscribe(`${this.prefix}.${end}`, { callback }),
    );
    await this.connection.flush();
  }

  async stepDown(): Promise<void> {
    for (const subscription of this.subscriptions) subscription.unsubscribe();
    await this.connection.flush();
  }

  /** The state is lost, and with it all sessions. */
  forget(): void {
    this.stateMachine = new KvStateMachine();
  }

  private onRequest(message: Msg): void {
    const { value, encoding } = decodeRequest(message.data);
    const operation = message.subject.split('.').at(-1) as string;
    this.operations.push(operation);
    const { commands = [] } = value as { readonly commands?: readonly (readonly [number, string])[] };
    this.commands.push(...commands.map(([, name]) => name));
    const behaviour = this.behaviours.shift() ?? 'answer';
    if (typeof behaviour === 'object') return this.respond(message, { error: behaviour }, encoding);
    const reply = operation === 'get_leader' ? { leader_id: 'n1', term: 3 } : this.carryOut(operation, value);
    if (behaviour === 'answer') this.respond(message, reply, encoding);
  }

  private carryOut(operation: string, body: unknown): unknown {
    try {
      const request = this.service.parse(operation, body, { level: this.level, generateId });
      if (request.type === 'read') return request.reply(this.stateMachine.query(request.query), replyContext);
      if (request.type === 'watch') return this.onWatch(request);
      if (request.type === 'unwatch') {
        return request.reply({ closed: this.watches.delete(request.watchId) }, replyContext);
      }
      this.index += 1;
      const result = this.stateMachine.apply(asLogIndex(this.index), request.payload, request.command);
      for (const watchId of this.watches.keys()) this.notify(watchId);
      return request.reply(result, replyContext);
    } catch (error) {
      if (error instanceof ConclaveError) return { error: error.toBody() };
      throw error;
    }
  }

  private onWatch({ watchId, selector, from, reply }: WatchRequest): unknown {
    const { refuseWatches: refused } = this;
    if (refused !== undefined) throw new ConclaveError(refused.code, refused.message, refused.outcome);
    if (!this.takesOwners && watchId.includes('.')) {
      throw new ConclaveError('EINVAL', 'watch_id: letters, digits, _ and - alone');
    }
    const { first, revision } = this.stateMachine.history;
    const next = from ?? this.watches.get(watchId)?.next ?? revision + 1;
    if (next < first) throw new ConclaveError('ECOMPACTED', `known from ${first} on`);
    this.watches.set(watchId, { selector, next });
    // The changes reach the watcher before the reply does, or after it.
    if (this.index % 2 === 0) this.notify(watchId);
    else setImmediate(() => this.notify(watchId));
    return reply({ after: next - 1, revision, renewMs: 15_000 }, replyContext);
  }

  /** Sends a watcher the changes, or an error. */
  notify(watchId: string, error?: ErrorBody): void {
    const watch = this.watches.get(watchId);
    if (watch === undefined) return;
    const { history } = this.stateMachine;
    const max = { changes: 3, bytes: 1_000_000, revisions: 1_000_000 };
    do {
      const { changes, upTo } = history.changes(watch.selector, watch.next, max);
      const body = { after: watch.next - 1, revision: upTo, changes, ...(error === undefined ? {} : { error }) };
      watch.next = upTo + 1;
      this.lose -= 1;
      if (this.lose < 0) this.connection.publish(`${this.prefix}.watch.${watchId}`, encodeAs(body, 'msgpack'));
    } while (watch.next <= history.revision);
  }

  private respond(message: Msg, reply: unknown, encoding: Encoding): void {
    message.respond(encodeAs(reply, encoding));
  }
}

let ids = 0;

function generateId(): string {
  ids += 1;
  return `id-${ids}`.padEnd(22, '-');
}
