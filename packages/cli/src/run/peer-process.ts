/**
 * A process that hosts actors of one peer: connects, starts them, and stops them in order. What any of them finds wrong
 * ends the process, as a process that is wrong must not go on.
 */
import {
  type Actor,
  type ActorContext,
  Connection,
  drawIncarnation,
  type FailedActor,
  InProcessTransport,
  type LineLog,
  type Listening,
  NatsTransport,
  PeerTransport,
  Requests,
  serveHealth,
} from '@conclave/actor';
import { type ActorKind, type GroupId, Subjects } from '@conclave/protocol';
import { ActorFactory } from './actor-factory.js';
import type { RunOptions } from './run-options.js';

export interface PeerProcessDependencies {
  readonly log: LineLog;
  readonly version: string;
  /** Ends the process; an actor has failed. */
  readonly fail: ActorContext['fail'];
}

interface Hosted {
  readonly actor: Actor;
  readonly health: Listening;
}

/** A process's actors are started in this order: who is asked stands before who asks. */
const startOrder: readonly ActorKind[] = ['log-store', 'ballot-box', 'replicator', 'node'];

export class PeerProcess {
  private readonly hosted: Hosted[] = [];
  private readonly incarnation = drawIncarnation();

  private constructor(
    private readonly options: RunOptions,
    private readonly dependencies: PeerProcessDependencies,
    private readonly connection: Connection,
    /** Of requests and their answers. */
    private readonly door: Connection,
    private readonly transport: PeerTransport,
    private readonly subjects: Subjects,
    private readonly factory: ActorFactory,
  ) {}

  /**
   * Connects and starts; settled when others can reach its actors.
   * @throws Error where the data cannot be opened, or NATS allows too small messages.
   */
  static async start(options: RunOptions, dependencies: PeerProcessDependencies): Promise<PeerProcess> {
    const { log, version } = dependencies;
    const factory = await ActorFactory.open(options, log);
    try {
      const subjects = new Subjects(options.prefix);
      const name = `conclave ${options.peer} ${options.actors.join(',')}`;
      const connection = await Connection.open({ servers: options.nats, name, log });
      const outer = new NatsTransport(connection, subjects, (reason, count) => logDrop(log, reason, count));
      const transport = new PeerTransport(options.peer, new InProcessTransport(), outer, options);
      const door = await openDoor(options, name, connection, log);
      factory.connect({ connection, requests: new Requests(door, subjects, log), version });
      const made = new PeerProcess(options, dependencies, connection, door, transport, subjects, factory);
      made.startActors();
      await connection.settled();
      await door.settled();
      return made;
    } catch (error) {
      await factory.close();
      throw error;
    }
  }

  /** Stops the actors, then closes their data and the connection. */
  async stop(): Promise<void> {
    for (const { actor, health } of this.hosted.toReversed()) {
      health.close();
      await actor.stop();
    }
    await this.factory.close();
    if (this.door !== this.connection) await this.door.close();
    await this.connection.close();
    await this.transport.close();
  }

  private startActors(): void {
    for (const groupId of this.options.groups) {
      for (const kind of startOrder) {
        if (this.options.actors.includes(kind)) this.startActor(groupId, kind);
      }
    }
  }

  private startActor(groupId: GroupId, kind: ActorKind): void {
    const { incarnation, transport } = this;
    const address = { groupId, peerId: this.options.peer, actor: kind, incarnation };
    const { log, fail } = this.dependencies;
    const actor = this.factory.make({ ...address, transport, log, fail });
    const health = serveHealth(this.connection, this.subjects, address, actor, transport);
    this.hosted.push({ actor, health });
    actor.start();
  }
}

/**
 * Requests have a connection of their own, where there is a node that takes them: a flood of them must not stand before
 * what actors say to each other. NATS delivers what goes to one connection in one order.
 */
function openDoor(options: RunOptions, name: string, connection: Connection, log: LineLog): Promise<Connection> {
  if (!options.actors.includes('node')) return Promise.resolve(connection);
  return Connection.open({ servers: options.nats, name: `${name} requests`, log });
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
