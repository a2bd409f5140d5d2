/** Creates the cores of a run: those of production. */
import type { StateMachine, StateMachineRestore } from '@conclave/actor/core';
import { BallotBoxCore } from '@conclave/ballot-box';
import { KvStateMachine } from '@conclave/kv';
import { LogStoreCore } from '@conclave/log-store';
import { type Divergence, NodeCore } from '@conclave/node';
import {
  type ActorKind,
  decode,
  defaultDiskReserveBytes,
  defaultLevelSettleMs,
  defaultSnapshotBytesPerSecond,
  defaultSnapshots,
  defaultTimes,
  type GroupId,
  type Levels,
  levelsOfFirstVersion,
  limits,
  type PeerId,
  supportedLevels,
} from '@conclave/protocol';
import { ReplicatorGroupCore, SnapshotThrottle } from '@conclave/replicator';
import type { WrittenEntry } from '../model/model-state.js';
import type { AnyCore } from './actor.js';
import { isCorrupted, suspectState } from './corrupted-state.js';
import type { Coverage } from './coverage.js';
import type { RunObserver } from './run-observer.js';
import { electionTimeoutOf } from './virtual-clock.js';

export const groupId = 'main' as GroupId;

/** `old`: it supports feature level 0 only, and its state machine skips unknown commands, as that of the first version does. */
export type Build = 'old' | 'new';

const levelsOf: Readonly<Record<Build, Levels>> = { old: levelsOfFirstVersion, new: supportedLevels };

export interface CoreSettings {
  /** After which time an idle session of a client expires. */
  readonly clientSessionMs: number;
  /** Whether messages between actors are encoded, decoded and parsed in transit, which is slower. */
  readonly wire: boolean;
  /** A snapshot is taken after this many bytes of applied entries. */
  readonly snapshotLogBytes: number;
  /** And after this many milliseconds. */
  readonly snapshotIntervalMs: number;
  /** Entries before a snapshot that the log keeps. */
  readonly snapshotMarginEntries: number;
  /** Of a chunk of a snapshot, and of a piece of the state machine in it. */
  readonly snapshotChunkBytes: number;
  /** How fast a replicator sends snapshots. */
  readonly snapshotBytesPerSecond: number;
  /** Which build all processes begin with. */
  readonly build: Build;
  readonly levelSettleMs: number;
  /** The peer with a longer election timeout than all others; undefined: none. */
  readonly slowerPeer: PeerId | undefined;
}

export const usualSettings: CoreSettings = {
  clientSessionMs: defaultTimes.clientSessionMs,
  wire: false,
  ...defaultSnapshots,
  snapshotChunkBytes: limits.snapshotChunkBytes,
  snapshotBytesPerSecond: defaultSnapshotBytesPerSecond,
  build: 'new',
  levelSettleMs: defaultLevelSettleMs,
  slowerPeer: undefined,
};

export class CoreFactory {
  private generated = 0;
  private readonly builds = new Map<string, Build>();
  private readonly machines = new Map<AnyCore, KvStateMachine>();

  constructor(
    private readonly settings: CoreSettings,
    private readonly coverage: Coverage,
    private readonly observer: Required<Pick<RunObserver, 'onApplied' | 'onResult' | 'onDigest' | 'onRestored'>>,
  ) {}

  setBuild(peerId: PeerId, kind: ActorKind, build: Build): void {
    this.builds.set(`${peerId}.${kind}`, build);
  }

  buildOf(peerId: PeerId, kind: ActorKind): Build {
    return this.builds.get(`${peerId}.${kind}`) ?? this.settings.build;
  }

  electionTimeoutMs(peerId: PeerId): number {
    return electionTimeoutOf(peerId, this.settings.slowerPeer);
  }

  /** @param divergence what the previous core of the same process knew of its state */
  make(peerId: PeerId, kind: ActorKind, divergence?: Divergence): AnyCore {
    this.generated += 1;
    const incarnation = `id${this.generated}`;
    const { clientSessionMs, slowerPeer: _, ...snapshots } = this.settings;
    const build = this.buildOf(peerId, kind);
    const levels = levelsOf[build];
    const electionTimeoutMs = this.electionTimeoutMs(peerId);
    const options = { groupId, peerId, incarnation, ...defaultTimes, electionTimeoutMs, ...snapshots, levels };
    switch (kind) {
      case 'node': {
        const machine = new KvStateMachine({ clientSessionMs, snapshotPieceBytes: snapshots.snapshotChunkBytes });
        const stateMachine = this.watched(machine, build);
        const core = new NodeCore(options, { stateMachine, divergence }) as unknown as AnyCore;
        this.machines.set(core, machine);
        return core;
      }
      case 'replicator':
        return new ReplicatorGroupCore(options, { snapshotThrottle: this.newThrottle() }) as unknown as AnyCore;
      case 'ballot-box':
        return new BallotBoxCore(options) as unknown as AnyCore;
      case 'log-store':
        return new LogStoreCore({ ...options, diskReserveBytes: defaultDiskReserveBytes }) as unknown as AnyCore;
    }
  }

  /** Here a replicator's process serves one group, with its own throttle. */
  private newThrottle(): SnapshotThrottle {
    const { snapshotBytesPerSecond: bytesPerSecond } = this.settings;
    return new SnapshotThrottle({ bytesPerSecond, burstMs: defaultTimes.heartbeatIntervalMs });
  }

  /** The state machine of a node's core. */
  machineOf(core: AnyCore): KvStateMachine | undefined {
    return this.machines.get(core);
  }

  forget(core: AnyCore): void {
    this.machines.delete(core);
  }

  private watched(machine: KvStateMachine, build: Build): StateMachine {
    return {
      apply: (index, payload, command, level = 0) => {
        this.observer.onApplied(machine, index, payload);
        const isKnown = level <= levelsOf[build].highest;
        const result = isKnown ? machine.apply(index, payload, command, level) : { refused: 'not known' };
        if ('expired' in result) this.countExpired(payload);
        if (!isCorrupted(machine)) {
          this.observer.onResult(index, result);
          this.observer.onDigest(index, machine.digest());
        }
        return result;
      },
      digest: () => machine.digest(),
      beginEpoch: (epoch) => machine.beginEpoch(epoch),
      beginHistory: (history) => machine.beginHistory(history),
      query: (query, clock) => machine.query(query, clock),
      snapshot: () => machine.snapshot(),
      restore: () => this.watchedRestore(machine),
      get history() {
        return machine.history;
      },
      housekeeping: (nowMs, term, level) => machine.housekeeping(nowMs, term, level),
    };
  }

  private countExpired(payload: Uint8Array): void {
    const { expire = [], expire_leases = [], remaining = [] } = decode(payload) as WrittenEntry;
    if (expire.length > 0) this.coverage.count('client session expired', expire.length);
    if (expire_leases.length > 0) this.coverage.count('lease ended at its time', expire_leases.length);
    if (remaining.length > 0) this.coverage.count('remaining time of a lease logged', remaining.length);
  }

  private watchedRestore(machine: KvStateMachine): StateMachineRestore {
    const restore = machine.restore();
    return {
      take: (piece) => restore.take(piece),
      end: () => {
        restore.end();
        suspectState(machine);
        this.coverage.count('state restored from a snapshot');
        if (isCorrupted(machine)) this.coverage.count('corrupted state restored from a snapshot');
        else this.observer.onDigest(undefined, machine.digest());
        this.observer.onRestored(machine, () => [...piecesOf(machine)]);
      },
    };
  }
}

export function* piecesOf(machine: KvStateMachine): Generator<Uint8Array> {
  const pieces = machine.snapshot();
  for (let next = pieces.next(); next.done !== true; next = pieces.next()) yield next.value;
}
