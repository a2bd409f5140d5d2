/**
 * A process that hosts actors of one peer: connects, starts them, and stops them in order. What any of them finds wrong
 * ends the process, as a process that is wrong must not go on.
 */
import {
  type ActorContext,
  Connection,
  type FailedActor,
  InProcessTransport,
  type LineLog,
  NatsTransport,
  PeerTransport,
  RequestServer,
  type Subscription,
  serveHealth,
} from '@conclave/actor';
import { type ActorKind, type GroupId, Subjects } from '@conclave/protocol';
import { loginOfPeer } from '../login.js';
import { ActorFactory } from './actor-factory.js';
import { refuseDuplicateProcess } from './duplicate-process.js';
import { GroupApi } from './group-api.js';
import { GroupListFollower } from './group-list.js';
import { GroupSupervisor, type Hosted } from './group-supervisor.js';
import type { RunOptions } from './run-options.js';

export interface PeerProcessDependencies {
  readonly log: LineLog;
  readonly version: string;
  /** Ends the process; an actor has failed. */
  readonly fail: ActorContext['fail'];
}

export class PeerProcess {
  private readonly host: GroupSupervisor;
  /** Where it is decided which groups there are, or followed. */
  private groups: { close(): Promise<void> | void } | undefined;

  private constructor(
    private readonly options: RunOptions,
    private readonly dependencies: PeerProcessDependencies,
    private readonly connection: Connection,
    /**
     * Of requests and their answers: a flood of them must not stand before what actors say to each other. NATS delivers
     * what goes to one connection in one order.
     */
    private readonly door: Connection,
    private readonly transport: PeerTransport,
    private readonly subjects: Subjects,
    private readonly factory: ActorFactory,
    private readonly requests: RequestServer,
    /** Settled once the storage can neither be written nor read: its actors say so until the process is started anew. */
    readonly storageFailed: Promise<Error>,
  ) {
    this.host = new GroupSupervisor(options.actors, (groupId, kind, incarnation) =>
      this.startActor(groupId, kind, incarnation),
    );
  }

  /**
   * Connects and starts; settled when others can reach its actors.
   * @throws Error where the data cannot be opened, another process serves it already, or NATS allows too small messages.
   */
  static async start(options: RunOptions, dependencies: PeerProcessDependencies): Promise<PeerProcess> {
    const { log, version } = dependencies;
    let failed: (error: Error) => void = () => undefined;
    const storageFailed = new Promise<Error>((resolve) => {
      failed = resolve;
    });
    const factory = await ActorFactory.open(options, log, failed);
    try {
      const subjects = new Subjects(options.prefix);
      const name = `conclave ${options.peer} ${options.actors.join(',')}`;
      const nats = { login: loginOfPeer(options), loginAttempts: options.natsLoginAttempts, log };
      const connection = await Connection.open({ ...nats, name });
      const claim = await claimed(options, connection, subjects);
      // With copies for observers, each is to be seen on its own subject.
      const bundle = options.bundle && !options.mirror;
      const onDropped = (reason: string, count: number) => logDrop(log, reason, count);
      const outer = new NatsTransport(connection, subjects, options.peer, onDropped, { bundle });
      const transport = new PeerTransport(options.peer, new InProcessTransport(), outer, options);
      const door = await Connection.open({ ...nats, name: `${name} requests`, givesWay: true });
      const requests = new RequestServer(door, subjects, log);
      factory.connect({ connection: door, requests, version });
      const made = new PeerProcess(
        options,
        dependencies,
        connection,
        door,
        transport,
        subjects,
        factory,
        requests,
        storageFailed,
      );
      await made.startGroups();
      await connection.settled();
      await door.settled();
      claim.close();
      return made;
    } catch (error) {
      await factory.close();
      throw error;
    }
  }

  /** Stops the actors, then closes their data and the connection. */
  async stop(): Promise<void> {
    await this.groups?.close();
    await this.host.stop();
    await this.factory.close();
    await this.door.close();
    await this.connection.close();
    await this.transport.close();
  }

  /** Whoever hosts the log-stores keeps the list of the groups; the peer's other processes follow it. */
  private async startGroups(): Promise<void> {
    const { connection, requests, subjects, host, options, factory } = this;
    const { log } = this.dependencies;
    const { store } = factory;
    if (store !== undefined) {
      const door = new GroupApi(options, { connection, requests, subjects, host, store, log });
      this.groups = door;
      await door.start();
      return;
    }
    const [groupId, actor] = [options.groups[0] as GroupId, options.actors[0] as ActorKind];
    const fail = (error: unknown) => this.dependencies.fail(error, { groupId, peerId: options.peer, actor, log });
    this.groups = await GroupListFollower.start(options, { connection, requests, subjects, host, log, fail });
  }

  private startActor(groupId: GroupId, kind: ActorKind, incarnation: string): Hosted {
    const { transport } = this;
    const address = { groupId, peerId: this.options.peer, actor: kind, incarnation };
    const { log, fail } = this.dependencies;
    const actor = this.factory.make({ ...address, transport, log, fail });
    const health = serveHealth(this.door, this.subjects, address, actor, transport, [this.connection, this.door]);
    actor.start();
    return { actor, health };
  }
}

/** @throws ConclaveError EBUSY where another process serves these actors; the connection is closed then */
async function claimed(options: RunOptions, connection: Connection, subjects: Subjects): Promise<Subscription> {
  try {
    return await refuseDuplicateProcess(options, connection, subjects);
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** The first drop for a reason, and then at each tenfold, so that a flood does not fill the log. */
function logDrop(log: LineLog, reason: string, count: number): void {
  if (Number.isInteger(Math.log10(count))) log.write('warn', 'messages are dropped', { reason, count });
}

/** Says why an actor stopped. */
export function describeFailure(error: unknown, { log }: FailedActor): void {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  log.write('fatal', `the actor has stopped, and its process with it: ${message}`, { err: name, stack });
}
