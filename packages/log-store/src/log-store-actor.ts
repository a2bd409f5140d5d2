/**
 * Connects the core of one group's log-store to the storage of its process.
 *
 * Does not own the storage and the scheduler of its writes: all groups of the process share them, and their creator closes them
 * after the actors have stopped.
 */
import { type Actor, type ActorContext, CoreRunner, type Health, type OwnEffect } from '@conclave/actor';
import {
  ConclaveError,
  type GroupUid,
  type LogIndex,
  type MetricSample,
  type StoreId,
  sampleOf,
} from '@conclave/protocol';
import {
  chunkKey,
  type FailureCode,
  type Garbage,
  LogStoreCore,
  type LogStoreEffect,
  type LogStoreInput,
} from './core/index.js';
import type { DiskMonitor } from './disk-monitor.js';
import type { LogStorage } from './log-storage.js';
import type { WriteScheduler } from './write-scheduler.js';

export interface LogStoreDependencies {
  /** Already open. */
  readonly storage: LogStorage;
  /** Schedules the writes of `storage`; one per process. */
  readonly scheduler: WriteScheduler;
  /** One per process. */
  readonly disk: DiskMonitor;
  /** Called if the storage cannot write or read: its owner reopens it when that is possible. Undefined: the process exits instead. */
  readonly onStorageFailed?: (error: Error) => void;
}

export class LogStoreActor implements Actor {
  private readonly core: LogStoreCore;
  private readonly runner: CoreRunner<LogStoreInput, LogStoreEffect>;
  /** Resolves when no write of this group is running. */
  private lastWrite: Promise<void> = Promise.resolve();
  private unwatch = (): void => {};
  private purging: Promise<void> = Promise.resolve();

  constructor(
    private readonly context: ActorContext,
    private readonly dependencies: LogStoreDependencies,
  ) {
    const isUnverified = dependencies.storage.isUnverified?.(context.groupId);
    this.core = new LogStoreCore({ ...context, diskReserveBytes: dependencies.disk.reserveBytes, isUnverified });
    this.runner = new CoreRunner(this.core, context, (effect) => this.perform(effect), undefined, false);
  }

  start(): void {
    this.runner.start({ type: 'start' });
    this.unwatch = this.dependencies.disk.watch(({ freeBytes, fault }) => {
      if (fault?.type === 'gone') this.onDamage(fault.message);
      else {
        const { message: problem, stopsWrites = false } = fault ?? {};
        this.runner.enqueue({ type: 'disk', freeBytes, problem, stopsWrites });
      }
    });
  }

  async stop(): Promise<void> {
    this.unwatch();
    this.runner.stop();
    // Other groups may keep the scheduler busy longer.
    await this.lastWrite;
    await this.purging;
  }

  /** The scrubber has found damage in this group's data. */
  onDamage(message: string): void {
    this.runner.enqueue({ type: 'storage_failed', code: 'ECORRUPT', message });
  }

  health(): Health {
    return this.core.health();
  }

  /** Messages that were not accepted, by reason. */
  get dropped(): Readonly<Record<string, number>> {
    return this.runner.dropped;
  }

  samples(): readonly MetricSample[] {
    const { base, lastIndex, term } = this.core.durableState;
    return [
      ...this.runner.samples(),
      sampleOf('conclave_log_store_base_index', base.index, {}),
      sampleOf('conclave_log_store_last_index', lastIndex, {}),
      sampleOf('conclave_log_store_term', term, {}),
    ];
  }

  /** The durable state of the group. */
  summary(): { readonly storeId: StoreId; readonly groupUid: GroupUid; readonly lastIndex: LogIndex } {
    const { storeId, groupUid, lastIndex } = this.core.durableState;
    return { storeId: storeId as StoreId, groupUid, lastIndex };
  }

  private perform(effect: OwnEffect<LogStoreEffect>): void {
    const { storage, scheduler } = this.dependencies;
    switch (effect.type) {
      case 'load':
        this.submit(
          storage.load(this.context.groupId).then((rows) => ({ type: 'loaded', rows })),
          'storage_failed',
        );
        return;
      case 'write':
        this.write(scheduler.submit(effect.operations, effect.group));
        return;
      case 'read':
        this.submit(
          storage
            .readBatches(this.context.groupId, effect.range)
            .then((rows) => ({ type: 'read_done', token: effect.token, rows })),
          'storage_failed',
        );
        return;
      case 'read_chunk':
        this.submit(
          storage
            .get(chunkKey(this.context.groupId, effect.slot, effect.number))
            .then((chunk) => ({ type: 'chunk_read', token: effect.token, chunk })),
          'storage_failed',
        );
        return;
      case 'purge':
        this.purge(effect.garbage);
        return;
      case 'verified':
        storage.onVerified?.(this.context.groupId).catch((error) => {
          this.runner.log.write('warn', 'could not record that the log is verified', { error: messageOf(error) });
        });
        return;
      case 'fail':
        // Damage concerns this group only, and its health reports it; the other groups continue. A storage that cannot write or read
        // concerns all groups: it is reopened, or the process exits and restarts from what is durable.
        if (effect.code === 'EIO') this.onStorageFailed(new Error(effect.message));
        return;
    }
  }

  private onStorageFailed(error: Error): void {
    const { onStorageFailed } = this.dependencies;
    if (onStorageFailed === undefined) this.context.fail(error, this.failed);
    else onStorageFailed(error);
  }

  private write(write: Promise<void>): void {
    this.lastWrite = write.catch(() => undefined);
    // A message received by now is synced with this write, or was synced before.
    if (!this.runner.spans.isEmpty) void this.lastWrite.then(this.runner.spans.take());
    this.submit(
      write.then(() => ({ type: 'written' })),
      'write_failed',
    );
  }

  /** A failure does no harm: the garbage only uses disk space, and is deleted later. If the storage is broken, its next write fails, too. */
  private purge(garbage: Garbage): void {
    this.purging = this.dependencies.storage.purge(this.context.groupId, garbage).catch((error) => {
      this.runner.log.write('warn', 'could not delete what a snapshot has replaced', { error: messageOf(error) });
    });
  }

  /** Passes the outcome of an effect to the core. */
  private submit(outcome: Promise<LogStoreInput>, failure: 'write_failed' | 'storage_failed'): void {
    outcome.then(
      (input) => this.runner.enqueue(input),
      (error) => this.runner.enqueue({ type: failure, code: failureCode(error), message: messageOf(error) }),
    );
  }

  private get failed() {
    const { groupId, peerId, actor } = this.context;
    return { groupId, peerId, actor, log: this.runner.log };
  }
}

function failureCode(error: unknown): FailureCode {
  return error instanceof ConclaveError && error.code === 'ECORRUPT' ? 'ECORRUPT' : 'EIO';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
