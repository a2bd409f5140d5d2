/**
 * A process that hosts actors of one peer: connects, starts them, and stops them in order. If an actor throws, the process ends,
 * because a faulty process must not continue.
 */
import {
  type ActorContext,
  Connection,
  type FailedActor,
  InProcessTransport,
  type LineLog,
  NatsTransport,
  PeerTransport,
  type ProcessLog,
  RequestServer,
  samplesOf,
  serveHealth,
  serveMetrics,
} from '@conclave/actor';
import {
  type ActorKind,
  type GroupId,
  type MetricSample,
  type PeerId,
  type ProcessSamples,
  Subjects,
} from '@conclave/protocol';
import { loginOfPeer } from '../login.js';
import { ActorFactory } from './actor-factory.js';
import { refuseDuplicateProcess } from './duplicate-process.js';
import { GroupApi } from './group-api.js';
import { GroupListFollower } from './group-list.js';
import { GroupSupervisor, type Hosted } from './group-supervisor.js';
import { ProcessApi } from './process-api.js';
import { ProcessMetrics } from './process-metrics.js';
import type { RunOptions } from './run-options.js';

export interface PeerProcessDependencies {
  readonly log: ProcessLog;
  readonly version: string;
  /** Ends the process; an actor has failed. */
  readonly fail: ActorContext['fail'];
}

/** The health of an actor. */
export interface ActorState {
  readonly groupId: GroupId;
  readonly kind: ActorKind;
  readonly healthy: boolean;
  readonly reason: string;
}

/** The metrics of an actor. */
export interface ActorSamples {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  readonly kind: ActorKind;
  readonly samples: readonly MetricSample[];
}

export class PeerProcess {
  private readonly host: GroupSupervisor;
  /** Serves the group commands, or follows the list of groups. */
  private groups: { close(): Promise<void> | void } | undefined;
  private readonly api: ProcessApi;

  private constructor(
    private readonly options: RunOptions,
    private readonly dependencies: PeerProcessDependencies,
    private readonly connection: Connection,
    /**
     * For requests and their replies: many requests must not delay messages between actors, and NATS delivers the messages of one
     * connection in order.
     */
    private readonly requestConnection: Connection,
    private readonly transport: PeerTransport,
    private readonly subjects: Subjects,
    private readonly factory: ActorFactory,
    private readonly requests: RequestServer,
    private readonly metrics: ProcessMetrics,
    /** Resolves once the storage can neither be written nor read: its actors report that until they are started again. */
    readonly storageFailed: Promise<Error>,
  ) {
    this.host = new GroupSupervisor(options.actors, (groupId, kind, incarnation, isFirst) =>
      this.startActor(groupId, kind, incarnation, isFirst),
    );
    const { log } = dependencies;
    const groups = () => [...new Set(this.host.actors.map(({ groupId }) => groupId))];
    this.api = new ProcessApi(options, { requests, subjects, log, groups });
  }

  /**
   * Connects and starts; resolves when other processes can reach its actors.
   * @throws Error if the data cannot be opened, another process serves the peer already, or NATS does not allow large enough
   * messages
   */
  static async start(options: RunOptions, dependencies: PeerProcessDependencies): Promise<PeerProcess> {
    const { log, version } = dependencies;
    let failed: (error: Error) => void = () => undefined;
    const storageFailed = new Promise<Error>((resolve) => {
      failed = resolve;
    });
    const factory = await ActorFactory.open(options, log, failed);
    const opened: Connection[] = [];
    let made: PeerProcess | undefined;
    try {
      const subjects = new Subjects(options.prefix);
      const name = `conclave ${options.peer} ${options.actors.join(',')}`;
      const nats = { login: loginOfPeer(options), loginAttempts: options.natsLoginAttempts, log };
      const connection = await Connection.open({ ...nats, name });
      opened.push(connection);
      const claim = await refuseDuplicateProcess(options, connection, subjects);
      // With `mirror`, each copy must be visible on its own subject.
      const bundle = options.bundle && !options.mirror;
      const onDropped = (reason: string, count: number) => logDrop(log, reason, count);
      const outer = new NatsTransport(connection, subjects, options.peer, onDropped, { bundle });
      const transport = new PeerTransport(options.peer, new InProcessTransport(), outer, options);
      const requestConnection = await Connection.open({ ...nats, name: `${name} requests`, pausesReading: true });
      opened.push(requestConnection);
      const requests = new RequestServer(requestConnection, subjects, log);
      factory.connect({ connection: requestConnection, requests, version });
      const connections = { actors: connection, requests: requestConnection };
      const metrics = new ProcessMetrics({ options, version, connections, transport, nats: outer, factory });
      made = new PeerProcess(
        options,
        dependencies,
        connection,
        requestConnection,
        transport,
        subjects,
        factory,
        requests,
        metrics,
        storageFailed,
      );
      await made.startGroups();
      await connection.settled();
      await requestConnection.settled();
      claim.close();
      return made;
    } catch (error) {
      // An actor that is left open would reply for this peer, and the next start would consider it another process.
      if (made !== undefined) await made.stop();
      else {
        await factory.close();
        for (const each of opened) await each.close();
      }
      throw error;
    }
  }

  /** Stops the actors, then closes their data and the connections. */
  async stop(): Promise<void> {
    this.metrics.stop();
    await this.api.close();
    await this.groups?.close();
    await this.host.stop();
    await this.factory.close();
    await this.requestConnection.close();
    await this.connection.close();
    await this.transport.close();
  }

  /** Whether each actor works, and if not, why. */
  health(): ActorState[] {
    return this.host.actors.map(({ groupId, kind, actor }) => ({ groupId, kind, ...actor.health() }));
  }

  /** The metrics of the process and of all its actors. */
  collect(): { readonly process: ProcessSamples; readonly actors: ActorSamples[] } {
    const { peer: peerId } = this.options;
    return {
      process: this.metrics.collect(),
      actors: this.host.actors.map(({ groupId, kind, actor }) => ({
        groupId,
        peerId,
        kind,
        samples: samplesOf(actor),
      })),
    };
  }

  /** Why a connection to NATS does not work; undefined: both work. */
  get natsProblem(): string | undefined {
    const broken = [this.connection, this.requestConnection].filter(({ traffic }) => !traffic.isConnected);
    if (broken.length === 0) return undefined;
    // Each finds out by itself why it is not connected, one sooner than the other.
    return broken.map(({ problem }) => problem).find((problem) => problem !== undefined) ?? 'not connected to NATS';
  }

  /** The process of the log-stores owns the list of groups; the peer's other processes follow it. */
  private async startGroups(): Promise<void> {
    const { connection, requests, subjects, host, options, factory } = this;
    const { log } = this.dependencies;
    const { store } = factory;
    if (store !== undefined) {
      const api = new GroupApi(options, { connection, requests, subjects, host, store, log });
      this.groups = api;
      await api.start();
      return;
    }
    const [groupId, actor] = [options.groups[0] as GroupId, options.actors[0] as ActorKind];
    const fail = (error: unknown) => this.dependencies.fail(error, { groupId, peerId: options.peer, actor, log });
    this.groups = await GroupListFollower.start(options, { connection, requests, subjects, host, log, fail });
  }

  private startActor(groupId: GroupId, kind: ActorKind, incarnation: string, isFirst: boolean): Hosted {
    const { transport } = this;
    const address = { groupId, peerId: this.options.peer, actor: kind, incarnation };
    const { log, fail } = this.dependencies;
    const actor = this.factory.make({ ...address, transport, log, fail });
    const health = serveHealth(this.requestConnection, this.subjects, address, actor, transport, [
      this.connection,
      this.requestConnection,
    ]);
    const ofProcess = isFirst ? () => this.metrics.collect() : undefined;
    const metrics = serveMetrics(this.requestConnection, this.subjects, address, actor, ofProcess);
    actor.start();
    const close = (): void => {
      health.close();
      metrics.close();
    };
    return { kind, actor, requests: { close } };
  }
}

/** Logs the first drop for a reason, and the 10th, the 100th and so on, so that many drops do not fill the log. */
function logDrop(log: LineLog, reason: string, count: number): void {
  if (Number.isInteger(Math.log10(count))) log.write('warn', 'messages are dropped', { reason, count });
}

/** Logs why an actor stopped. */
export function describeFailure(error: unknown, { log }: FailedActor): void {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  log.write('fatal', `the actor has stopped, and its process with it: ${message}`, { err: name, stack });
}
