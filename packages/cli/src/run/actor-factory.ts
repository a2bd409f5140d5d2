/**
 * Creates the actors of a process, each with the core of its kind, and owns what they share: the log-stores' LevelDB, and the
 * limit on the rate of sent snapshots.
 */
import { type Actor, type ActorContext, CoreRunner, type LineLog, PlainActor } from '@conclave/actor';
import { BallotBoxCore } from '@conclave/ballot-box';
import {
  DiskMonitor,
  HostedGroups,
  LevelLogStorage,
  LogStoreActor,
  type LogStoreDependencies,
  Scrubber,
  WriteScheduler,
} from '@conclave/log-store';
import {
  asLogIndex,
  bucketsOf,
  type GroupId,
  limits,
  type MetricSample,
  noGroupUid,
  type StoreId,
  sampleOf,
} from '@conclave/protocol';
import { ReplicatorGroupCore, SnapshotThrottle } from '@conclave/replicator';
import type { GroupStore } from './group-api.js';
import type { NodeMaker, Outside } from './node-maker.js';
import { dataFolder, type RunOptions } from './run-options.js';

/** What the log-stores of all groups share. */
interface Data extends LogStoreDependencies {
  readonly storage: LevelLogStorage;
  readonly groups: HostedGroups;
}

const MiB = 1024 * 1024;
/** The first scrub begins this long after the start, when peers that restarted together have caught up. */
const firstScrubMs = 600_000;
/** What the scrub could not read is read again after this time. */
const scrubRetryMs = 60_000;

export class ActorFactory {
  private outside: Outside | undefined;
  private scrubber: Scrubber | undefined;
  private readonly logStores = new Map<GroupId, LogStoreActor>();
  readonly snapshotThrottle: SnapshotThrottle;

  private constructor(
    private readonly options: RunOptions,
    private readonly data: Data | undefined,
    private readonly nodes: NodeMaker | undefined,
  ) {
    const bytesPerSecond = options.snapshotMbPerSecond * MiB;
    this.snapshotThrottle = new SnapshotThrottle({ bytesPerSecond, burstMs: options.heartbeatIntervalMs });
  }

  /**
   * Loads the code of the nodes if a node is among the actors, and opens the data if a log-store is.
   * @throws Error if they cannot be loaded or opened
   */
  static async open(options: RunOptions, log: LineLog, onStorageFailed: (error: Error) => void): Promise<ActorFactory> {
    // The other processes of a peer need not keep this code in memory; it is the largest part (decision 0136).
    const nodes = options.actors.includes('node')
      ? await (await import('./node-maker.js')).NodeMaker.load(options)
      : undefined;
    if (!options.actors.includes('log-store')) return new ActorFactory(options, undefined, nodes);
    const folder = dataFolder(options);
    const warn = (text: string, fields: Readonly<Record<string, unknown>>) => log.write('warn', text, fields);
    const storage = new LevelLogStorage({ folder, warn });
    await storage.open();
    log.write('info', 'the data are open', { folder });
    const fault = () => storage.fault();
    const { levelFolder: storeFolder } = storage;
    const disk = new DiskMonitor({ folder, storeFolder, reserveBytes: options.diskReserveMb * MiB, warn, fault });
    const groups = await HostedGroups.open(storage).catch(async (error) => {
      await storage.close();
      throw error;
    });
    const scheduler = new WriteScheduler(storage);
    const factory = new ActorFactory(options, { storage, scheduler, disk, groups, onStorageFailed }, nodes);
    factory.scrub(log);
    return factory;
  }

  /** The stored list of groups, if a log-store is among the actors. */
  get store(): GroupStore | undefined {
    const { data } = this;
    if (data === undefined) return undefined;
    return {
      groups: data.groups,
      writes: data.scheduler.counts,
      stored: (groupId) => {
        const summary = this.logStores.get(groupId)?.summary();
        return {
          store_id: summary?.storeId ?? ('' as StoreId),
          group_uid: summary?.groupUid ?? noGroupUid,
          last_index: summary?.lastIndex ?? asLogIndex(0),
        };
      },
    };
  }

  /** The metrics of the store; none without log-stores. */
  samples(): MetricSample[] {
    const { data } = this;
    if (data === undefined) return [];
    const { freeBytes, storeBytes } = data.disk;
    return [
      bucketsOf('conclave_sync_seconds', data.scheduler.syncSeconds.buckets, {}),
      sampleOf('conclave_store_writes_total', data.scheduler.counts.submitted, {}),
      ...(storeBytes === undefined ? [] : [sampleOf('conclave_store_bytes', storeBytes, {})]),
      ...(freeBytes === undefined ? [] : [sampleOf('conclave_disk_free_bytes', freeBytes, {})]),
    ];
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
    this.scrubber?.stop();
    await this.data?.storage.close();
  }

  /** Starts the regular scrub of the stored data. */
  private scrub(log: LineLog): void {
    const { data, options, logStores } = this;
    if (data === undefined) return;
    const scrubOptions = {
      intervalMs: options.scrubIntervalMs ?? options.scrubIntervalHours * 3_600_000,
      firstAfterMs: firstScrubMs,
      bytesPerSecond: limits.scrubBytesPerSecond,
      retryMs: scrubRetryMs,
    };
    this.scrubber = new Scrubber(scrubOptions, {
      read: (key, maxBytes) => data.storage.scrubbedRows(key, maxBytes),
      damagedTables: (onRead) => data.storage.damagedTables(onRead),
      onDamage: (groupId, message) => {
        log.write('error', 'the scrub has found damage', { reason: message });
        for (const [id, store] of logStores) if (groupId === undefined || groupId === id) store.onDamage(message);
      },
      onFailure: (message) => log.write('warn', 'the scrub cannot read what is stored now', { reason: message }),
      onPass: (rows, bytes) => log.write('info', 'all that is stored was read and checked', { rows, bytes }),
    });
    this.scrubber.start();
  }

  private makeNode(context: ActorContext): Actor {
    const { nodes, outside } = this;
    if (outside === undefined) throw new Error('a node is made before there is a connection');
    if (nodes === undefined) throw new Error('a node is made without its code');
    return nodes.make(context, outside);
  }

  private makeLogStore(context: ActorContext): Actor {
    if (this.data === undefined) throw new Error('a log-store is made without its data');
    const made = new LogStoreActor(context, this.data);
    this.logStores.set(context.groupId, made);
    return made;
  }
}
