/**
 * The node in a process: binds the core to its door on NATS. The door checks and understands requests, numbers them,
 * and hands the core's answers back; beside it stand events, discovery, and starting the core anew.
 */
import {
  type Actor,
  type ActorContext,
  type Connection,
  CoreRunner,
  type EndpointCounts,
  generateId,
  type Health,
  instant,
  MicroService,
  newEndpointCounts,
  newIncarnation,
  type OwnEffect,
  type Request,
  type RequestAddress,
  type RequestServer,
  type ServedSubject,
  type Subscription,
  type WatchPublisher,
} from '@conclave/actor';
import type {
  Core,
  Instant,
  ReplyContext,
  Service,
  UnwatchRequest,
  WatchBegun,
  WatchClosed,
  WatchRequest,
} from '@conclave/actor/core';
import {
  type Api,
  adminCommands,
  type Caller,
  ConclaveError,
  type ConclaveEvent,
  type ErrorBody,
  type GroupUid,
  isAdminCommand,
  limits,
  type Outcome,
  type PeerId,
  readCommands,
  StatusReply,
} from '@conclave/protocol';
import type { NodeEffect, NodeInput } from './core/contract.js';
import type { Divergence } from './core/quarantine.js';
import { OpenRequests, ofRequest } from './open-requests.js';

/** The parts of a `NodeCore` that its shell uses. */
export interface ServingCore extends Core<NodeInput, NodeEffect> {
  health(): Health;
  /** The outcome of a write on the group's subjects that is refused now without being looked at. */
  outcomeOfOverload(at: Instant): Outcome;
  summary(): {
    readonly role: string;
    readonly term: number;
    readonly leader_id: string;
    readonly commit_index: number;
    readonly applied_index: number;
    readonly last_index: number;
    readonly group_uid: GroupUid;
    readonly level: number;
  };
}

export interface NodeActorDependencies {
  /** Makes a core with a state machine of its own, as new. */
  /** @param divergence what the core before this one knew of its state */
  readonly makeCore: (incarnation: string, divergence?: Divergence) => ServingCore;
  /** Understands requests to the state machine. */
  readonly service: Service;
  readonly connection: Connection;
  readonly requests: RequestServer;
  /** Of Conclave, for discovery. */
  readonly version: string;
}

/** Who is asked: the leader, on the group's subjects, or this peer. */
type Asked = 'group' | 'peer';

/** How long the group's leader may take to say who it is. */
const askTimeoutMs = 1000;

const stopping: ErrorBody = { code: 'ESHUTDOWN', message: 'the process is stopping', outcome: 'unknown' };

export class NodeActor implements Actor {
  private core: ServingCore;
  private runner: CoreRunner<NodeInput, NodeEffect>;
  private readonly open: OpenRequests;
  private readonly counts = new Map<string, EndpointCounts>();
  private readonly micro: MicroService;
  private readonly watchPublisher: WatchPublisher;
  private peerDoor: ServedSubject[] = [];
  private groupDoor: ServedSubject[] = [];
  private ledHistories: Subscription | undefined;
  private isStopping = false;
  /** The leader's, where it is heard. */
  private feed: Subscription | undefined;
  /** Which histories are led, where this peer is outside the group. */
  private leaders: Subscription | undefined;

  constructor(
    private readonly context: ActorContext,
    private readonly dependencies: NodeActorDependencies,
  ) {
    [this.core, this.runner] = this.makeRunner();
    this.open = new OpenRequests(() => dependencies.connection.isCongested);
    const { groupId, peerId, incarnation } = context;
    this.watchPublisher = dependencies.requests.watchPublisher(groupId, (watchId) =>
      this.runner.enqueue({ type: 'watch_unheard', watchId }),
    );
    this.micro = new MicroService(
      dependencies.connection,
      dependencies.requests.subjects,
      {
        id: `${incarnation}-${groupId}`,
        version: dependencies.version,
        description: `peer ${peerId} of the Conclave group ${groupId}`,
        metadata: { group_id: groupId, peer_id: peerId },
      },
      () => this.endpoints(),
      () => this.discovered(),
    );
  }

  start(): void {
    this.runner.start({ type: 'start' });
    this.peerDoor = this.openDoors('peer');
    this.micro.start();
  }

  async stop(): Promise<void> {
    this.micro.close();
    this.feed?.close();
    this.leaders?.close();
    this.watchPublisher.close();
    this.runner.stop();
    this.ledHistories?.close();
    this.isStopping = true;
    this.open.refuseAll(stopping);
    await Promise.all([...this.peerDoor, ...this.groupDoor].map((door) => door.close()));
  }

  health(): Health {
    return this.core.health();
  }

  get dropped(): Readonly<Record<string, number>> {
    return this.runner.dropped;
  }

  private makeRunner(divergence?: Divergence): [ServingCore, CoreRunner<NodeInput, NodeEffect>] {
    const core = this.dependencies.makeCore(newIncarnation(), divergence);
    return [core, new CoreRunner(core, this.context, (effect) => this.perform(effect))];
  }

  // ---- what the core asks for --------------------------------------------------------------------

  private perform(effect: OwnEffect<NodeEffect>): void {
    switch (effect.type) {
      case 'reply':
        this.open.reply(effect.requestId, effect.result);
        break;
      case 'refuse':
        this.open.refuse(effect.requestId, effect.error);
        break;
      case 'event':
        this.publish(effect.event);
        break;
      case 'publish':
        this.publishWatch(effect);
        break;
      case 'publish_led_history':
        this.dependencies.requests.announceHistory(effect.body);
        break;
      case 'serve':
        this.serveGroup(effect.group);
        break;
      case 'leave_door':
        closeAll(this.peerDoor);
        this.peerDoor = [];
        break;
      case 'hear_leaders':
        this.leaders?.close();
        this.leaders = effect.hear ? this.hearLedHistories(this.runner) : undefined;
        break;
      case 'hear_feed':
        this.hearFeed(effect.peerId, this.runner);
        break;
      case 'ask_group':
        void this.askGroup(effect, this.runner);
        break;
      case 'restart':
        this.restart(effect.reason, effect.divergence);
    }
  }

  private publish(event: ConclaveEvent): void {
    const { groupId, peerId } = this.context;
    const { term } = this.core.summary();
    this.dependencies.requests.publishEvent(event.name, {
      group_id: groupId,
      peer_id: peerId,
      term,
      time: new Date().toISOString(),
      ...event.detail,
    });
  }

  private publishWatch({ watchId, encoding, body }: Extract<NodeEffect, { type: 'publish' }>): void {
    if (this.watchPublisher.publish(watchId, body, encoding)) return;
    // One change that is too large as JSON: more do not come together so.
    const { service } = this.dependencies;
    const omitted = body.changes.length;
    const changes = body.changes.flatMap((change) => service.fitChange?.(change) ?? []);
    if (this.watchPublisher.publish(watchId, { ...body, changes: [...changes], omitted }, encoding)) return;
    this.watchPublisher.publish(watchId, { ...body, changes: [], omitted }, encoding);
  }

  private serveGroup(serve: boolean): void {
    if (serve === this.groupDoor.length > 0) return;
    closeAll(this.groupDoor);
    this.ledHistories?.close();
    this.groupDoor = serve ? this.openDoors('group') : [];
    this.ledHistories = serve ? this.hearLedHistories(this.runner) : undefined;
  }

  /** Hears which histories are led under this group's name. */
  private hearLedHistories(runner: CoreRunner<NodeInput, NodeEffect>): Subscription {
    return this.dependencies.requests.subscribeToHistories(this.context.groupId, (body) =>
      runner.enqueue({ type: 'led_history', body }),
    );
  }

  /** Hears this leader's appends instead of whose were heard so far; empty: nobody's. */
  private hearFeed(peerId: PeerId | '', runner: CoreRunner<NodeInput, NodeEffect>): void {
    this.feed?.close();
    this.feed = undefined;
    if (peerId === '') return;
    const { groupId, transport } = this.context;
    const feed = transport.subscribeToPeerFeed({ groupId, peerId, name: 'feed.append' }, (message, bytes) =>
      runner.deliver(message, bytes),
    );
    this.feed = feed;
    void feed.ready.then(() => {
      if (this.feed === feed) runner.enqueue({ type: 'hearing_feed', peerId });
    });
  }

  private async askGroup(
    { askId, round }: Extract<NodeEffect, { type: 'ask_group' }>,
    runner: CoreRunner<NodeInput, NodeEffect>,
  ): Promise<void> {
    const { requests } = this.dependencies;
    const { groupId } = this.context;
    const subject = requests.subject({ groupId, api: 'admin' }, 'status');
    const [answer, hosts] = await Promise.all([requests.ask(subject, {}, askTimeoutMs), requests.hostsOf(groupId)]);
    const parsed = StatusReply.safeParse(answer);
    const status = parsed.success ? parsed.data : null;
    // A core that was replaced meanwhile has stopped, and takes nothing any more.
    runner.enqueue({ type: 'group_answered', askId, round, status, hosts });
  }

  private restart(reason: string, divergence: Divergence | undefined): void {
    this.runner.log.write('warn', 'the node starts over', { reason });
    this.runner.stop();
    this.feed?.close();
    this.feed = undefined;
    this.leaders?.close();
    this.leaders = undefined;
    this.serveGroup(false);
    this.open.refuseAll({ code: 'EPERM', message: `this peer’s node starts over: ${reason}`, outcome: 'unknown' });
    [this.core, this.runner] = this.makeRunner(divergence);
    this.runner.start({ type: 'start' });
  }

  // ---- the door ----------------------------------------------------------------------------------

  private openDoors(asked: Asked): ServedSubject[] {
    const doors: readonly Api[] = ['admin', 'kv'];
    return doors.map((door) => {
      const counts = newEndpointCounts();
      const name = endpointName(asked, door);
      this.counts.set(name, this.counts.get(name) ?? counts);
      return this.dependencies.requests.serve(this.address(asked, door), this.counts.get(name) ?? counts, (request) =>
        this.onRequest(asked, door, request),
      );
    });
  }

  /** Takes a request in, or refuses it, before it is decoded: its turn comes behind what actors say to each other. */
  private onRequest(asked: Asked, door: Api, request: Request): void {
    const reads = this.changesNothing(door, request.name);
    if (this.isStopping) return request.refuse(ofRequest(stopping, !reads));
    const id = this.open.add(request, reads, () =>
      asked === 'peer' ? 'not_done' : this.core.outcomeOfOverload(instant()),
    );
    if (id !== undefined) this.runner.enqueueRequest(() => this.read(asked, door, request, id));
  }

  private changesNothing(door: Api, name: string): boolean {
    if (door === 'admin') return isAdminCommand(name) && readCommands.includes(name);
    return this.dependencies.service.reads?.(name) ?? false;
  }

  /** Decodes a request. @returns what the core is given; undefined: the request is refused */
  private read(asked: Asked, door: Api, request: Request, id: number): NodeInput | undefined {
    try {
      return door === 'admin' ? this.readAdmin(asked, request, id) : this.readService(asked, request, id);
    } catch (error) {
      this.open.refuse(id, this.refusal(error, request).toBody());
      return undefined;
    }
  }

  /** What to answer where the door threw; nothing of the request has been done by then. */
  private refusal(error: unknown, request: Request): ConclaveError {
    if (error instanceof ConclaveError) return error;
    this.runner.log.write('error', 'a request could not be understood', { name: request.name, err: String(error) });
    return new ConclaveError('ESTATEMACHINE', 'the request could not be understood');
  }

  private readAdmin(asked: Asked, request: Request, requestId: number): NodeInput {
    const { name } = request;
    if (!isAdminCommand(name)) throw new ConclaveError('ENOENT', `there is no command ${JSON.stringify(name)}`);
    const { answeredBy, request: schema } = adminCommands[name];
    if (!answeredBy.includes(asked)) {
      const where = asked === 'group' ? '<group>.<peer>.admin' : '<group>.admin';
      throw new ConclaveError('ENOENT', `${name} is a command on ${where}`);
    }
    const parsed = schema.safeParse(request.decode());
    if (!parsed.success) throw new ConclaveError('EINVAL', describe(parsed.error.issues));
    const writes = !readCommands.includes(name);
    // A restore is one command, `bootstrap`: its chunks change nothing by themselves.
    const isAudited = writes && name !== 'restore_chunk';
    const onAnswered = (error: ErrorBody | undefined) => this.publish(audited(name, request.caller, error));
    this.open.understand(requestId, { reply: (result) => result, writes, ...(isAudited ? { onAnswered } : {}) });
    return { type: 'admin', requestId, door: asked, command: name, body: parsed.data };
  }

  private readService(asked: Asked, request: Request, requestId: number): NodeInput {
    const { level } = this.core.summary();
    const understood = this.dependencies.service.parse(request.name, request.decode(), { level, generateId });
    if (understood.type === 'watch') return this.readWatch(asked, request, requestId, understood);
    if (understood.type === 'unwatch') return this.readUnwatch(asked, requestId, understood);
    const { groupUid } = understood;
    const { service, connection } = this.dependencies;
    const fit = (reply: unknown) => service.fitReply?.(request.name, reply, connection.messageBytes);
    if (understood.type === 'read') {
      const { query } = understood;
      const consistency = understood.consistency ?? (asked === 'peer' ? 'stale' : 'linearizable');
      const isStale = consistency === 'stale';
      const replyToRead = (result: unknown) => understood.reply(result, { ...this.replyContext(), isStale });
      this.open.understand(requestId, { reply: replyToRead, writes: false, fit });
      return { type: 'read', requestId, door: asked, consistency, query, groupUid };
    }
    this.refusePeersDoor(asked, 'a write');
    const { payload, command, version } = understood;
    if (payload.length > limits.entryBytes) {
      throw new ConclaveError('EINVAL', `a request makes an entry of at most ${limits.entryBytes} bytes`);
    }
    const reply = (result: unknown) => {
      for (const event of understood.events?.(result) ?? []) this.publish(event);
      return understood.reply(result, this.replyContext());
    };
    this.open.understand(requestId, { reply, writes: true, fit });
    return { type: 'propose', requestId, payload, command, version, groupUid };
  }

  private readWatch(asked: Asked, { encoding }: Request, requestId: number, understood: WatchRequest): NodeInput {
    this.refusePeersDoor(asked, 'a watch');
    const { watchId, selector, from, groupUid, reply } = understood;
    const makeReply = (result: unknown) => reply(result as WatchBegun, this.replyContext());
    this.open.understand(requestId, { reply: makeReply, writes: false });
    return { type: 'watch', requestId, watchId, selector, from, groupUid, encoding };
  }

  private readUnwatch(asked: Asked, requestId: number, understood: UnwatchRequest): NodeInput {
    this.refusePeersDoor(asked, 'a watch');
    const { watchId, groupUid, reply } = understood;
    const makeReply = (result: unknown) => reply(result as WatchClosed, this.replyContext());
    this.open.understand(requestId, { reply: makeReply, writes: false });
    return { type: 'unwatch', requestId, watchId, groupUid };
  }

  private replyContext(): ReplyContext {
    return { groupUid: this.core.summary().group_uid };
  }

  private refusePeersDoor(asked: Asked, what: string): void {
    if (asked === 'group') return;
    const { leader_id } = this.core.summary();
    throw new ConclaveError('EPERM', `${what} goes to <group>.kv, which the leader answers`, 'not_done', leader_id);
  }

  // ---- discovery ---------------------------------------------------------------------------------

  private endpoints(): { name: string; subject: string; counts: EndpointCounts }[] {
    const served: readonly Asked[] = this.groupDoor.length > 0 ? ['peer', 'group'] : ['peer'];
    return served.flatMap((asked) =>
      (['admin', 'kv'] as const).map((door) => {
        const name = endpointName(asked, door);
        const subject = this.dependencies.requests.subject(this.address(asked, door));
        return { name, subject, counts: this.counts.get(name) ?? newEndpointCounts() };
      }),
    );
  }

  private discovered(): unknown {
    const summary = this.core.summary();
    return { ...summary, lag: Math.max(0, summary.commit_index - summary.applied_index) };
  }

  private address(asked: Asked, door: Api): RequestAddress {
    const { groupId, peerId } = this.context;
    return asked === 'group' ? { groupId, api: door } : { groupId, peerId, api: door };
  }
}

/** What an admin command came to, for observers. */
function audited(command: string, caller: Caller, error: ErrorBody | undefined): ConclaveEvent<'admin_command'> {
  const outcome = error?.outcome ?? 'done';
  return { name: 'admin_command', detail: { command, outcome, code: error?.code ?? '', caller } };
}

function endpointName(asked: Asked, door: Api): string {
  return `${asked}-${door}`;
}

function closeAll(doors: readonly ServedSubject[]): void {
  for (const door of doors) void door.close();
}

/** What is wrong with a request, in a line. */
function describe(issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[]): string {
  return issues
    .slice(0, 3)
    .map(({ path, message }) => (path.length === 0 ? message : `${path.map(String).join('.')}: ${message}`))
    .join('; ');
}
