/** Executes the disk effects of log-stores: with delays, failures, and losses in crashes. It decides nothing. */
import type { Garbage, LogStoreCore, LogStoreEffect } from '@conclave/log-store';
import { ConclaveError, type PeerId } from '@conclave/protocol';
import { InvariantViolation } from '../invariants/invariant-violation.js';
import type { Actor, ProcessKind } from './actor.js';
import type { ActorHost } from './actor-host.js';
import type { Random } from './random.js';
import type { VirtualDisks } from './virtual-disks.js';

const usualDelayMs = 2;
const measureEveryMs = 3000;
/** From this delay on a disk counts as slow. */
const slowMs = 50;

type Outcome = { readonly type: string };

/** What the driver needs of the mesh. */
export interface DiskHost extends ActorHost {
  readonly disks: VirtualDisks;
  actor(peerId: PeerId, processKind: ProcessKind): Actor | undefined;
  crash(peerId: PeerId, processKind: ProcessKind): void;
}

export class DiskDriver {
  /** Maximum milliseconds of an access, if not the usual ones. */
  private readonly delays = new Map<PeerId, number>();
  private readonly failing = new Set<PeerId>();
  /** The free bytes of the disks for which they were set. */
  private readonly free = new Map<PeerId, number>();

  private readonly chances = new Map<PeerId, Random>();

  constructor(private readonly mesh: DiskHost) {}

  setDelay(peerId: PeerId, delayMs: number): void {
    this.delays.set(peerId, delayMs);
  }

  /** The peer's next write fails. */
  failNext(peerId: PeerId): void {
    this.failing.add(peerId);
  }

  /** Sets the free space of the peer's disk. */
  setFree(peerId: PeerId, freeBytes: number): void {
    this.free.set(peerId, freeBytes);
    const actor = this.mesh.actor(peerId, 'log-store');
    if (actor?.isUp === true) this.measure(actor);
  }

  /** Reports the free space, as the shell of a log-store does when it starts and every few seconds. */
  measure(actor: Actor): void {
    const freeBytes = this.free.get(actor.peerId);
    if (freeBytes === undefined) return;
    const { generation } = actor;
    this.mesh.runOrDefer(actor, () => {
      if (actor.generation === generation) this.mesh.step(actor, { type: 'disk', freeBytes }, 'disk');
    });
    this.mesh.after(measureEveryMs, () => {
      if (actor.generation === generation && this.free.get(actor.peerId) === freeBytes) this.measure(actor);
    });
  }

  clearFaults(): void {
    this.delays.clear();
    this.failing.clear();
    for (const peerId of this.free.keys()) this.setFree(peerId, Number.MAX_SAFE_INTEGER);
  }

  /** A write in progress survives the crash, or is lost. */
  crash(actor: Actor): void {
    if (actor.writing === undefined) return;
    const survives = this.random(actor.peerId).chance(0.5);
    this.mesh.coverage.count(survives ? 'write kept though its process crashed' : 'unsynced write lost in a crash');
    if (survives) actor.writing();
    actor.writing = undefined;
  }

  perform(actor: Actor, effect: LogStoreEffect): void {
    const { peerId } = actor;
    const { disks } = this.mesh;
    switch (effect.type) {
      case 'load':
        return this.later(actor, () => ({ type: 'loaded', rows: disks.load(peerId) }), true);
      case 'write':
        actor.writing = () => disks.write(peerId, effect.operations);
        return this.later(actor, () => this.written(actor), true);
      case 'read':
        return this.later(
          actor,
          () => ({ type: 'read_done', token: effect.token, rows: disks.read(peerId, effect.range) }),
          false,
        );
      case 'read_chunk':
        return this.later(
          actor,
          () => ({
            type: 'chunk_read',
            token: effect.token,
            chunk: disks.readChunk(peerId, effect.slot, effect.number),
          }),
          false,
        );
      case 'purge':
        return this.clear(actor, effect.garbage);
      case 'fail':
        return this.onFailed(actor, effect.code, effect.message);
      default:
        throw new Error(`unknown effect ${JSON.stringify(effect)}`);
    }
  }

  /** Clears garbage some time later, in any order; never if the process crashes before. */
  private clear(actor: Actor, garbage: Garbage): void {
    const { generation, peerId } = actor;
    this.mesh.after(this.random(peerId).next() * (this.delays.get(peerId) ?? usualDelayMs), () => {
      if (actor.generation === generation) this.mesh.disks.clear(peerId, garbage);
    });
  }

  /** @param isSync whether it may change what is durable */
  private later(actor: Actor, outcome: () => Outcome, isSync: boolean): void {
    const { generation, peerId } = actor;
    const delayMs = this.delays.get(peerId);
    if (delayMs !== undefined && delayMs >= slowMs) this.mesh.coverage.count('access of a slow disk');
    this.mesh.after(this.random(peerId).next() * (delayMs ?? usualDelayMs), () => {
      if (actor.generation !== generation) return;
      const outcomeInput = this.tried(outcome);
      this.mesh.runOrDefer(actor, () => {
        this.mesh.step(actor, outcomeInput, 'disk');
        if (isSync && actor.isUp) this.mesh.observer.onSynced?.(peerId, actor.core as unknown as LogStoreCore);
      });
    });
  }

  private written(actor: Actor): Outcome {
    const { writing, peerId } = actor;
    actor.writing = undefined;
    if (!this.failing.delete(peerId)) {
      writing?.();
      return { type: 'written' };
    }
    // It is unknown whether it was written.
    if (this.random(peerId).chance(0.5)) writing?.();
    this.mesh.coverage.count('write failed');
    return { type: 'write_failed', code: 'EIO', message: 'the disk is broken' } as Outcome;
  }

  private random(peerId: PeerId): Random {
    const known = this.chances.get(peerId);
    if (known !== undefined) return known;
    const random = this.mesh.random.stream(`disk of ${peerId}`);
    this.chances.set(peerId, random);
    return random;
  }

  private tried(outcome: () => Outcome): Outcome {
    try {
      return outcome();
    } catch (error) {
      if (!(error instanceof ConclaveError)) throw error;
      return { type: 'storage_failed', code: error.code, message: error.message } as Outcome;
    }
  }

  private onFailed(actor: Actor, code: string, message: string): void {
    if (code === 'EIO') return this.mesh.crash(actor.peerId, actor.processKind);
    // The process stays up: it serves other groups.
    if (!this.mesh.disks.isDamaged(actor.peerId)) {
      throw new InvariantViolation('storage-is-intact', `${actor.name} takes its disk for damaged: ${message}`);
    }
    this.mesh.coverage.count('flipped bit found');
  }
}
