/** Makes the cores of a run: the ones of production, or others in their place, such as mutants. */
import type { StateMachine } from '@conclave/actor/core';
import { BallotBoxCore } from '@conclave/ballot-box';
import { KvStateMachine } from '@conclave/kv';
import { LogStoreCore } from '@conclave/log-store';
import { NodeCore } from '@conclave/node';
import {
  type ActorKind,
  defaultDiskReserveBytes,
  defaultSnapshotBytesPerSecond,
  defaultSnapshots,
  defaultTimes,
  type GroupId,
  type LogIndex,
  type PeerId,
} from '@conclave/protocol';
import { ReplicatorGroupCore, SnapshotThrottle } from '@conclave/replicator';
import type { AnyCore } from './actor.js';
import type { Coverage } from './coverage.js';

export const groupId = 'main' as GroupId;

export interface CoreSettings {
  /** `catchup_margin`. */
  readonly margin: number;
  /** When a client's session expires that did nothing. */
  readonly clientSessionMs: number;
  /** Whether messages between actors are encoded, decoded and parsed on the way. It takes its time. */
  readonly wire: boolean;
}

export const usualSettings: CoreSettings = {
  margin: 1000,
  clientSessionMs: defaultTimes.clientSessionMs,
  wire: false,
};

/** A replicator's process hosts one group here, and has a throttle of its own. */
function newThrottle(): SnapshotThrottle {
  return new SnapshotThrottle({
    bytesPerSecond: defaultSnapshotBytesPerSecond,
    burstMs: defaultTimes.heartbeatIntervalMs,
  });
}

export class CoreFactory {
  private drawn = 0;
  private readonly machines = new Map<AnyCore, KvStateMachine>();

  constructor(
    private readonly settings: CoreSettings,
    private readonly coverage: Coverage,
    private readonly onApplied: (life: object, index: LogIndex, payload: Uint8Array) => void,
  ) {}

  make(peerId: PeerId, kind: ActorKind): AnyCore {
    this.drawn += 1;
    const incarnation = `id${this.drawn}`;
    const options = {
      groupId,
      peerId,
      incarnation,
      ...defaultTimes,
      ...defaultSnapshots,
      catchupMargin: this.settings.margin,
    };
    switch (kind) {
      case 'node': {
        const machine = new KvStateMachine({ clientSessionMs: this.settings.clientSessionMs });
        const core = new NodeCore(options, { stateMachine: this.watched(machine) }) as unknown as AnyCore;
        this.machines.set(core, machine);
        return core;
      }
      case 'replicator':
        return new ReplicatorGroupCore(options, { snapshotThrottle: newThrottle() }) as unknown as AnyCore;
      case 'ballot-box':
        return new BallotBoxCore(options) as unknown as AnyCore;
      case 'log-store':
        return new LogStoreCore({ ...options, diskReserveBytes: defaultDiskReserveBytes }) as unknown as AnyCore;
    }
  }

  /** The state machine of a node's core. */
  machineOf(core: AnyCore): KvStateMachine | undefined {
    return this.machines.get(core);
  }

  forget(core: AnyCore): void {
    this.machines.delete(core);
  }

  private watched(machine: KvStateMachine): StateMachine {
    return {
      apply: (index, payload, command) => {
        this.onApplied(machine, index, payload);
        const result = machine.apply(index, payload, command);
        if ('expired' in result && result.expired > 0) this.coverage.count('client session expired', result.expired);
        return result;
      },
      query: (query) => machine.query(query),
      snapshot: () => machine.snapshot(),
      restore: () => machine.restore(),
      get history() {
        return machine.history;
      },
      housekeeping: (nowMs, term) => machine.housekeeping(nowMs, term),
    };
  }
}
