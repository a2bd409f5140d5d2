/**
 * A fault of a state machine: its memory differs from its log. No client of a run reads what is added, since nothing
 * can detect it before the members compare digests; but digests and snapshots contain it, and so does a state restored
 * from such a snapshot.
 */
import type { KvQuery, KvStateMachine } from '@conclave/kv';

export const stateParts = ['key', 'lock'] as const;
export type StatePart = (typeof stateParts)[number];

const name = '~flipped';

/** The parts of a key-value store that the fault changes. */
interface Opened {
  readonly keys: {
    restore(key: string, value: string, revision: number, leaseId: number): boolean;
    readonly locks: {
      restore(name: string, token: number, holder: readonly [string, number], waiting: readonly never[]): boolean;
    };
  };
}

/** State machines that the fault was added to, or that were restored from a snapshot since: no entry adds it. */
const suspects = new WeakSet<KvStateMachine>();

/** The state was restored from a snapshot, which may contain the fault. */
export function suspectState(machine: KvStateMachine): void {
  suspects.add(machine);
}

/** Adds a key that was never written, or a lock that nobody requested. Returns false if that is not possible. */
export function corruptState(machine: KvStateMachine, part: StatePart): boolean {
  if (isCorrupted(machine)) return false;
  suspects.add(machine);
  const { keys } = machine as unknown as Opened;
  if (part === 'key') return keys.restore(name, 'never written', 0, 0);
  const { leases } = machine.query({ type: 'leases', startAfter: 0, limit: 1 } satisfies KvQuery) as {
    leases: readonly (readonly [number, ...unknown[]])[];
  };
  const [lease] = leases;
  return lease !== undefined && keys.locks.restore(name, 0, ['nobody', lease[0]], []);
}

/** Whether the state has this fault. */
export function isCorrupted(machine: KvStateMachine): boolean {
  if (!suspects.has(machine)) return false;
  const [found] = machine.query({ type: 'keys', keys: [name] } satisfies KvQuery) as readonly (readonly [
    unknown,
    number,
  ])[];
  const lock = machine.query({ type: 'lock', name } satisfies KvQuery) as { readonly holder: unknown };
  const hasFault = found?.[0] !== null || lock.holder !== null;
  if (!hasFault) suspects.delete(machine);
  return hasFault;
}
