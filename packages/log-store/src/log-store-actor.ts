/**
 * Binds the core of a group's log-store to the storage of its process. The storage and the scheduler of its writes are
 * shared by all groups of the process; who made them closes them, after the actors have stopped.
 */
import { type Actor, type ActorContext, CoreRunner, type Health, type OwnEffect } from '@conclave/actor';
import { ConclaveError, type GroupUid, type LogIndex, type StoreId } from '@conclave/protocol';
import {
  chunkKey,
  type FailureCode,
  type Leftovers,
  LogStoreCore,
  type LogStoreEffect,
  type LogStoreInput,
} from './core/index.js';
import type { DiskWatch } from './disk-watch.js';
import type { LogStorage } from './log-storage.js';
import type { WriteScheduler } from './write-scheduler.js';

export interface LogStoreDependencies {
  /** Open. */
  readonly storage: LogStorage;
  /** Over that storage; one per process. */
  readonly scheduler: WriteScheduler;
  /** Measures the disk; one per process. */
  readonly disk: DiskWatch;
  /** The storage cannot write or read now: to be opened again when it can. Undefined: the process ends instead. */
  readonly onStorageFailed?: (error: Error) => void;
}

export class LogStoreActor implements Actor {
  private readonly core: LogStoreCore;
  private readonly runner: CoreRunner<LogStoreInput, LogStoreEffect>;
  /** Settled when nothing of this group is being written. */
  private lastWrite: Promise<void> = Promise.resolve();
  private unwatch = (): void => {};
  private clearing: Promise<void> = Promise.resolve();

  constructor(
    private readonly context: ActorContext,
    private readonly dependencies: LogStoreDependencies,
  ) {
    const isUnverified = dependencies.storage.isUnverified?.(context.groupId);
    this.core = new LogStoreCore({ ...context, diskReserveBytes: dependencies.disk.reserveBytes, isUnverified });
    this.runner = new CoreRunner(this.core, context, (effect) => this.perform(effect));
  }

  start(): void {
    this.runner.start({ type: 'start' });
    this.unwatch = this.dependencies.disk.watch(({ freeBytes, fault }) => {
      if (fault?.type === 'gone') this.onDamage(fault.message);
      else {
        const { message: trouble, stopsWrites = false } = fault ?? {};
        this.runner.enqueue({ type: 'disk', freeBytes, trouble, stopsWrites });
      }
    });
  }

  async stop(): Promise<void> {
    this.unwatch();
    this.runner.stop();
    // Not until the scheduler has nothing left to write: other groups may go on.
    await this.lastWrite;
    await this.clearing;
  }

  /** What is stored of this group is damaged, as was found by who looks through it. */
  onDamage(message: string): void {
    this.runner.enqueue({ type: 'storage_failed', code: 'ECORRUPT', message });
  }

  health(): Health {
    return this.core.health();
  }

  /** Messages that were not taken, by reason. */
  get dropped(): Readonly<Record<string, number>> {
    return this.runner.dropped;
  }

  /** What is durable of the group. */
  summary(): { readonly storeId: StoreId; readonly groupUid: GroupUid; readonly lastIndex: LogIndex } {
    const { storeId, groupUid, lastIndex } = this.core.durableState;
    return { storeId: storeId as StoreId, groupUid, lastIndex };
  }

  private perform(effect: OwnEffect<LogStoreEffect>): void {
    const { storage, scheduler } = this.dependencies;
    switch (effect.type) {
      case 'load':
        this.hand(
          storage.load(this.context.groupId).then((rows) => ({ type: 'loaded', rows })),
          'storage_failed',
        );
        return;
      case 'write':
        this.write(scheduler.submit(effect.operations, effect.note));
        return;
      case 'read':
        this.hand(
          storage
            .readBatches(this.context.groupId, effect.range)
            .then((rows) => ({ type: 'read_done', token: effect.token, rows })),
          'storage_failed',
        );
        return;
      case 'read_chunk':
        this.hand(
          storage
            .get(chunkKey(this.context.groupId, effect.slot, effect.number))
            .then((chunk) => ({ type: 'chunk_read', token: effect.token, chunk })),
          'storage_failed',
        );
        return;
      case 'clear':
        this.clear(effect.leftovers);
        return;
      case 'verified':
        storage.onVerified?.(this.context.groupId).catch((error) => {
          this.runner.log.write('warn', 'that the log is verified could not be kept', { error: messageOf(error) });
        });
        return;
      case 'fail':
        // Damage concerns this group, which says so when it is asked for its health; the others are served on. A
        // storage that cannot write is no use to any: the process ends, and starts from what is durable.
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
    this.hand(
      write.then(() => ({ type: 'written' })),
      'write_failed',
    );
  }

  /** What is not deleted now is deleted another time: it only takes room. */
  private clear(leftovers: Leftovers): void {
    this.clearing = this.dependencies.storage.clear(this.context.groupId, leftovers).catch((error) => {
      this.runner.log.write('warn', 'what a snapshot stands for could not be deleted', { error: messageOf(error) });
    });
  }

  /** Hands the core what comes of an effect. */
  private hand(outcome: Promise<LogStoreInput>, failure: 'write_failed' | 'storage_failed'): void {
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
