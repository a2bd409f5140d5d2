/** Makes the actors of a process, each with the core of its kind, and holds what they share: the log-stores' LevelDB, and how fast snapshots go out. */
import path from 'node:path';
import {
  type Actor,
  type ActorContext,
  type Connection,
  CoreRunner,
  type LineLog,
  PlainActor,
  type Requests,
} from '@conclave/actor';
import { BallotBoxCore } from '@conclave/ballot-box';
import { KvService, KvStateMachine } from '@conclave/kv';
import {
  DiskWatch,
  LevelLogStorage,
  LogStoreActor,
  type LogStoreDependencies,
  WriteScheduler,
} from '@conclave/log-store';
import { NodeActor, NodeCore } from '@conclave/node';
import { ReplicatorGroupCore, SnapshotThrottle } from '@conclave/replicator';
import { type RunOptions, snapshotOptions } from './run-options.js';

/** What a node needs beside its core. */
export interface Outside {
  readonly connection: Connection;
  readonly requests: Requests;
  readonly version: string;
}

/** What the log-stores of all groups share. */
interface Data extends LogStoreDependencies {
  readonly storage: LevelLogStorage;
}

const MiB = 1024 * 1024;

export class ActorFactory {
  private outside: Outside | undefined;
  readonly snapshotThrottle: SnapshotThrottle;

  private constructor(
    private readonly options: RunOptions,
    private readonly data: Data | undefined,
  ) {
    const bytesPerSecond = options.snapshotMbPerSecond * MiB;
    this.snapshotThrottle = new SnapshotThrottle({ bytesPerSecond, burstMs: options.heartbeatIntervalMs });
  }

  /** Opens the data, where a log-store is among the actors. @throws Error where they cannot be opened. */
  static async open(options: RunOptions, log: LineLog): Promise<ActorFactory> {
    if (!options.actors.includes('log-store')) return new ActorFactory(options, undefined);
    const folder = path.resolve(options.dataDir ?? path.join('conclave-data', options.peer));
    const warn = (text: string, fields: Readonly<Record<string, unknown>>) => log.write('warn', text, fields);
    const storage = new LevelLogStorage({ folder, warn });
    await storage.open();
    log.write('info', 'the data are open', { folder });
    const disk = new DiskWatch({ folder, reserveBytes: options.diskReserveMb * MiB, warn });
    return new ActorFactory(options, { storage, scheduler: new WriteScheduler(storage), disk });
  }

  connect(outside: Outside): void {
    this.outside = outside;
  }

  make(context: ActorContext): Actor {
    switch (context.actor) {
      case 'node':
        return this.makeNode(context);
      case 'log-store':
        return this.makeLogStore(context);
      case 'replicator': {
        const core = new ReplicatorGroupCore({ ...context, ...this.options }, this);
        return new PlainActor(new CoreRunner(core, context, (effect: never) => effect));
      }
      case 'ballot-box': {
        const core = new BallotBoxCore(context);
        return new PlainActor(new CoreRunner(core, context, (effect: never) => effect));
      }
    }
  }

  async close(): Promise<void> {
    await this.data?.storage.close();
  }

  private makeNode(context: ActorContext): Actor {
    if (this.outside === undefined) throw new Error('a node is made before there is a connection');
    const { groupId, peerId } = context;
    return new NodeActor(context, {
      ...this.outside,
      service: new KvService(),
      makeCore: (incarnation) =>
        new NodeCore(
          { ...this.options, ...snapshotOptions(this.options), groupId, peerId, incarnation },
          { stateMachine: new KvStateMachine(this.options) },
        ),
    });
  }

  private makeLogStore(context: ActorContext): Actor {
    if (this.data === undefined) throw new Error('a log-store is made without its data');
    return new LogStoreActor(context, this.data);
  }
}
