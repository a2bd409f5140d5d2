/**
 * The node in its process: connects the core to NATS. Requests are handled by `requests/request-handler.ts`; this file adds the
 * subjects, events, service discovery, and restarts of the core.
 */
import {
  type Actor,
  type ActorContext,
  type Connection,
  CoreRunner,
  type EndpointCounts,
  type GroupProbe,
  generateId,
  type Health,
  instant,
  isMeasuring,
  MicroService,
  newEndpointCounts,
  newIncarnation,
  type OwnEffect,
  type RequestAddress,
  type RequestServer,
  RequestTimes,
  type ServedSubject,
  type Subscription,
  type WatchPublisher,
} from '@conclave/actor';
import { type Core, FixedHistogram, type Instant, type Service, type StateMachine } from '@conclave/actor/core';
import {
  type Api,
  bucketsOf,
  type ConclaveEvent,
  type ErrorBody,
  type EventName,
  type GroupUid,
  type MetricSample,
  type PeerId,
  StatusReply,
  sampleOf,
} from '@conclave/protocol';
import type { Divergence, NodeEffect, NodeInput } from './core/inputs-and-effects.js';
import type { NodeMeasurements } from './core/node-core.js';
import { nodeSamples } from './node-samples.js';
import type { CountedCore, ProcessAppends } from './process-appends.js';
import type { Addressee } from './requests/parse-request.js';
import { type RequestedCore, RequestHandler } from './requests/request-handler.js';
import { newApplyHistogram, timeApplies } from './timed-state-machine.js';

/** The parts of a `NodeCore` that its process uses. */
export interface ServingCore extends Core<NodeInput, NodeEffect>, RequestedCore {
  readonly uncommittedAppends: number;
  health(): Health;
  measurements(at: Instant): NodeMeasurements;
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
  /**
   * Makes a core with a new state machine.
   * @param timed returns the same state machine, whose applies are timed
   * @param divergence what the previous core knew of its state
   */
  readonly makeCore: (
    incarnation: string,
    timed: (stateMachine: StateMachine) => StateMachine,
    divergence?: Divergence,
  ) => ServingCore;
  /** The appends of all nodes of the process. */
  readonly appends: ProcessAppends;
  /** Parses requests to the state machine. */
  readonly service: Service;
  readonly connection: Connection;
  readonly requests: RequestServer;
  /** The version of Conclave, for service discovery. */
  readonly version: string;
}

/** How long the group's leader may take to answer. */
const askTimeoutMs = 1000;

const stopping: ErrorBody = { code: 'ESHUTDOWN', message: 'the process is stopping', outcome: 'unknown' };

export class NodeActor implements Actor {
  private core: ServingCore;
  private counted: CountedCore;
  private runner: CoreRunner<NodeInput, NodeEffect>;
  private readonly requests: RequestHandler;
  private readonly counts = new Map<string, EndpointCounts>();
  private readonly times = { admin: new RequestTimes('admin'), kv: new RequestTimes('kv') };
  private readonly applySeconds = newApplyHistogram();
  private readonly snapshotSeconds = new FixedHistogram();
  private readonly events = new Map<EventName, number>();
  private readonly micro: MicroService;
  private readonly watchPublisher: WatchPublisher;
  private readonly groupProbe: GroupProbe;
  private peerSubjects: ServedSubject[] = [];
  private groupSubjects: ServedSubject[] = [];
  private ledHistories: Subscription | undefined;
  /** The leader's feed, while it is subscribed to. */
  private feed: Subscription | undefined;
  /** The announcements of leaders, while this peer is outside the group. */
  private leaders: Subscription | undefined;

  constructor(
    private readonly context: ActorContext,
    private readonly dependencies: NodeActorDependencies,
  ) {
    [this.core, this.counted, this.runner] = this.makeRunner();
    this.requests = this.makeRequestHandler();
    const { groupId, peerId, incarnation } = context;
    this.watchPublisher = dependencies.requests.watchPublisher(groupId, (watchId) =>
      this.runner.enqueue({ type: 'watch_without_subscribers', watchId }),
    );
    this.groupProbe = dependencies.requests.groupProbe(groupId);
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
    this.peerSubjects = this.serveSubjects('peer');
    this.micro.start();
  }

  async stop(): Promise<void> {
    this.micro.close();
    this.feed?.close();
    this.leaders?.close();
    this.watchPublisher.close();
    this.groupProbe.close();
    this.runner.stop();
    this.counted.release();
    this.ledHistories?.close();
    this.requests.stop(stopping);
    await Promise.all([...this.peerSubjects, ...this.groupSubjects].map((subject) => subject.close()));
  }

  health(): Health {
    return this.core.health();
  }

  get dropped(): Readonly<Record<string, number>> {
    return this.runner.dropped;
  }

  samples(): readonly MetricSample[] {
    return [
      ...this.runner.samples(),
      ...nodeSamples(this.core.measurements(instant())),
      bucketsOf('conclave_apply_seconds', this.applySeconds.buckets, {}),
      bucketsOf('conclave_node_snapshot_seconds', this.snapshotSeconds.buckets, {}),
      ...[...this.events].map(([event, count]) => sampleOf('conclave_events_total', count, { event })),
      sampleOf('conclave_requests_open', this.requests.open.size, {}),
      ...this.times.admin.samples(),
      ...this.times.kv.samples(),
    ];
  }

  private makeRunner(divergence?: Divergence): [ServingCore, CountedCore, CoreRunner<NodeInput, NodeEffect>] {
    const timed = (stateMachine: StateMachine) => {
      if (isMeasuring) timeApplies(stateMachine, this.applySeconds);
      return stateMachine;
    };
    const core = this.dependencies.makeCore(newIncarnation(), timed, divergence);
    const counted = this.dependencies.appends.count(core);
    return [core, counted, new CoreRunner(counted, this.context, (effect) => this.perform(effect))];
  }

  private makeRequestHandler(): RequestHandler {
    const { service, connection } = this.dependencies;
    let lastId = 0;
    return new RequestHandler({
      service,
      core: () => this.core,
      now: instant,
      generateId,
      nextRequestId: () => ++lastId,
      publish: (event) => this.publish(event),
      isCongested: () => connection.isCongested,
      messageBytes: () => connection.messageBytes,
      onParseFailed: (name, error) =>
        this.runner.log.write('error', 'a request could not be understood', { name, err: String(error) }),
    });
  }

  // ---- what the core asks for --------------------------------------------------------------------

  private perform(effect: OwnEffect<NodeEffect>): void {
    switch (effect.type) {
      case 'reply':
        this.requests.open.reply(effect.requestId, effect.result);
        break;
      case 'refuse':
        this.requests.open.refuse(effect.requestId, effect.error);
        break;
      case 'trace':
        this.requests.open.reach(effect.requestId, effect.stage, effect.index);
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
      case 'leave_subjects':
        closeAll(this.peerSubjects);
        this.peerSubjects = [];
        break;
      case 'subscribe_led_histories':
        this.leaders?.close();
        this.leaders = effect.isWanted ? this.subscribeToHistories(this.runner) : undefined;
        break;
      case 'subscribe_feed':
        this.subscribeToFeed(effect.peerId, this.runner);
        break;
      case 'ask_group':
        void this.askGroup(effect, this.runner);
        break;
      case 'probe_group':
        this.probeGroup(effect.probeId, this.runner);
        break;
      case 'restart':
        this.restart(effect.reason, effect.divergence);
    }
  }

  private publish(event: ConclaveEvent): void {
    const { groupId, peerId } = this.context;
    const { term } = this.core.summary();
    this.events.set(event.name, (this.events.get(event.name) ?? 0) + 1);
    if (event.name === 'snapshot_taken') this.snapshotSeconds.record(event.detail.took_ms / 1000);
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
    // A single change that is too large as JSON: no message holds more than one such change.
    const { service } = this.dependencies;
    const omitted = body.changes.length;
    const changes = body.changes.flatMap((change) => service.fitChange?.(change) ?? []);
    if (this.watchPublisher.publish(watchId, { ...body, changes: [...changes], omitted }, encoding)) return;
    this.watchPublisher.publish(watchId, { ...body, changes: [], omitted }, encoding);
  }

  private serveGroup(serve: boolean): void {
    if (serve === this.groupSubjects.length > 0) return;
    closeAll(this.groupSubjects);
    this.ledHistories?.close();
    this.groupSubjects = serve ? this.serveSubjects('group') : [];
    this.ledHistories = serve ? this.subscribeToHistories(this.runner) : undefined;
  }

  /** Subscribes to the announcements of which histories under this group's name have a leader. */
  private subscribeToHistories(runner: CoreRunner<NodeInput, NodeEffect>): Subscription {
    return this.dependencies.requests.subscribeToHistories(this.context.groupId, (body) =>
      runner.enqueue({ type: 'led_history', body }),
    );
  }

  /** Subscribes to this leader's feed instead of another; empty: to none. */
  private subscribeToFeed(peerId: PeerId | '', runner: CoreRunner<NodeInput, NodeEffect>): void {
    this.feed?.close();
    this.feed = undefined;
    if (peerId === '') return;
    const { groupId, transport } = this.context;
    const feed = transport.subscribeToPeerFeed({ groupId, peerId, name: 'feed.append' }, (message, bytes) =>
      runner.deliver(message, bytes),
    );
    this.feed = feed;
    void feed.ready.then(() => {
      if (this.feed === feed) runner.enqueue({ type: 'feed_subscribed', peerId });
    });
  }

  private async askGroup(
    { askId, round }: Extract<NodeEffect, { type: 'ask_group' }>,
    runner: CoreRunner<NodeInput, NodeEffect>,
  ): Promise<void> {
    const { requests } = this.dependencies;
    const { groupId } = this.context;
    const subject = requests.subject({ groupId, api: 'admin' }, 'status');
    const [reply, hosts] = await Promise.all([requests.ask(subject, {}, askTimeoutMs), requests.hostsOf(groupId)]);
    const parsed = StatusReply.safeParse(reply);
    const status = parsed.success ? parsed.data : null;
    // A core that was replaced meanwhile has stopped, and accepts no input.
    runner.enqueue({ type: 'group_answered', askId, round, status, hosts });
  }

  private probeGroup(probeId: number, runner: CoreRunner<NodeInput, NodeEffect>): void {
    this.groupProbe.send(() => runner.enqueue({ type: 'group_unserved', probeId }));
  }

  private restart(reason: string, divergence: Divergence | undefined): void {
    this.runner.log.write('warn', 'the node restarts', { reason });
    this.runner.stop();
    this.counted.release();
    this.feed?.close();
    this.feed = undefined;
    this.leaders?.close();
    this.leaders = undefined;
    this.serveGroup(false);
    this.requests.open.refuseAll({
      code: 'EPERM',
      message: `this peer’s node restarts: ${reason}`,
      outcome: 'unknown',
    });
    [this.core, this.counted, this.runner] = this.makeRunner(divergence);
    this.runner.start({ type: 'start' });
  }

  // ---- requests ----------------------------------------------------------------------------------

  private serveSubjects(addressee: Addressee): ServedSubject[] {
    const apis: readonly Api[] = ['admin', 'kv'];
    return apis.map((api) => {
      const counts = newEndpointCounts(this.times[api]);
      const name = endpointName(addressee, api);
      this.counts.set(name, this.counts.get(name) ?? counts);
      return this.dependencies.requests.serve(
        this.address(addressee, api),
        this.counts.get(name) ?? counts,
        (request) => this.requests.receive(addressee, api, request, (parse) => this.runner.enqueueRequest(parse)),
      );
    });
  }

  // ---- discovery ---------------------------------------------------------------------------------

  private endpoints(): { name: string; subject: string; counts: EndpointCounts }[] {
    const served: readonly Addressee[] = this.groupSubjects.length > 0 ? ['peer', 'group'] : ['peer'];
    return served.flatMap((addressee) =>
      (['admin', 'kv'] as const).map((api) => {
        const name = endpointName(addressee, api);
        const subject = this.dependencies.requests.subject(this.address(addressee, api));
        return { name, subject, counts: this.counts.get(name) ?? newEndpointCounts() };
      }),
    );
  }

  private discovered(): unknown {
    const summary = this.core.summary();
    return { ...summary, lag: Math.max(0, summary.commit_index - summary.applied_index) };
  }

  private address(addressee: Addressee, api: Api): RequestAddress {
    const { groupId, peerId } = this.context;
    return addressee === 'group' ? { groupId, api } : { groupId, peerId, api };
  }
}

function endpointName(addressee: Addressee, api: Api): string {
  return `${addressee}-${api}`;
}

function closeAll(subjects: readonly ServedSubject[]): void {
  for (const subject of subjects) void subject.close();
}
