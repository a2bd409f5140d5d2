/**
 * A fault of a state machine: something in its memory is not as its log says. What is put there no client of a run ever reads, as
 * nobody can tell before the members compare; but digests and snapshots have it, and who is restored from such a snapshot.
 */
import type { KvQuery, KvStateMachine } from '@conclave/kv';

export const stateParts = ['key', 'lock'] as const;
export type StatePart = (typeof stateParts)[number];

const name = '~flipped';

/** The parts of a key-value store that a fault gets at. */
interface Opened {
  readonly keys: {
    restore(key: string, value: string, revision: number, leaseId: number): boolean;
    readonly locks: {
      restore(name: string, token: number, holder: readonly [string, number], waiting: readonly never[]): boolean;
    };
  };
}

/** Puts a key there that was never written, or a lock that nobody has asked for. False: there is no place for it. */
export function flipState(machine: KvStateMachine, part: StatePart): boolean {
  if (isFlipped(machine)) return false;
  const { keys } = machine as unknown as Opened;
  if (part === 'key') return keys.restore(name, 'never written', 0, 0);
  const { leases } = machine.query({ type: 'leases', startAfter: 0, limit: 1 } satisfies KvQuery) as {
    leases: readonly (readonly [number, ...unknown[]])[];
  };
  const [lease] = leases;
  return lease !== undefined && keys.locks.restore(name, 0, ['nobody', lease[0]], []);
}

/** Whether the state is wrong by that. */
export function isFlipped(machine: KvStateMachine): boolean {
  const [found] = machine.query({ type: 'keys', keys: [name] } satisfies KvQuery) as readonly (readonly [
    unknown,
    number,
  ])[];
  const lock = machine.query({ type: 'lock', name } satisfies KvQuery) as { readonly holder: unknown };
  return found?.[0] !== null || lock.holder !== null;
}
