/** Carries out what log-stores ask of their disks: after a while, not at all, or badly. It decides nothing. */
import type { Leftovers, LogStoreCore, LogStoreEffect } from '@conclave/log-store';
import { ConclaveError, type PeerId } from '@conclave/protocol';
import { InvariantViolation } from '../invariants/invariant-violation.js';
import type { Actor, ProcessKind } from './actor.js';
import type { ActorHost } from './actor-host.js';
import type { Random } from './random.js';
import type { VirtualDisks } from './virtual-disks.js';

const usualDelayMs = 2;
const measureEveryMs = 3000;
/** From here on a disk is called slow. */
const slowMs = 50;

type Outcome = { readonly type: string };

/** What the driver needs of the mesh. */
export interface DiskHost extends ActorHost {
  readonly disks: VirtualDisks;
  actor(peerId: PeerId, processKind: ProcessKind): Actor | undefined;
  crash(peerId: PeerId, processKind: ProcessKind): void;
}

export class DiskDriver {
  /** Where they are not the usual ones: up to how many milliseconds an access takes. */
  private readonly delays = new Map<PeerId, number>();
  private readonly failing = new Set<PeerId>();
  /** Bytes that are free, where that was ever said. */
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

  /** So much room the peer's disk has from now on. */
  setFree(peerId: PeerId, freeBytes: number): void {
    this.free.set(peerId, freeBytes);
    const actor = this.mesh.actor(peerId, 'log-store');
    if (actor?.isUp === true) this.measure(actor);
  }

  /** As the shell of a log-store does when it starts, and every few seconds. */
  measure(actor: Actor): void {
    const freeBytes = this.free.get(actor.peerId);
    if (freeBytes === undefined) return;
    const { generation } = actor;
    this.mesh.hand(actor, () => {
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

  /** What was handed to the disk may be there after the crash, or not. */
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
      case 'clear':
        return this.clear(actor, effect.leftovers);
      case 'fail':
        return this.onFailed(actor, effect.code, effect.message);
      default:
        throw new Error(`unknown effect ${JSON.stringify(effect)}`);
    }
  }

  /** Some time, in its own order; not at all where the process crashes before. */
  private clear(actor: Actor, leftovers: Leftovers): void {
    const { generation, peerId } = actor;
    this.mesh.after(this.random(peerId).next() * (this.delays.get(peerId) ?? usualDelayMs), () => {
      if (actor.generation === generation) this.mesh.disks.clear(peerId, leftovers);
    });
  }

  /** @param isSync whether what is durable may be another afterwards */
  private later(actor: Actor, outcome: () => Outcome, isSync: boolean): void {
    const { generation, peerId } = actor;
    const delayMs = this.delays.get(peerId);
    if (delayMs !== undefined && delayMs >= slowMs) this.mesh.coverage.count('access of a slow disk');
    this.mesh.after(this.random(peerId).next() * (delayMs ?? usualDelayMs), () => {
      if (actor.generation !== generation) return;
      const outcomeInput = this.tried(outcome);
      this.mesh.hand(actor, () => {
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
    // It cannot be told whether it is there.
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
