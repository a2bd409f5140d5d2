/** Reads the acknowledged writes from one peer, from its own state machine. */
import type { PeerId, Value } from '@conclave/protocol';
import type { AdminClient } from '../admin-client.js';
import { isTransient, retryUntil } from '../retry-until.js';
import { valueFor } from './writers.js';

const keysARequest = 1_000;
const requestTimeoutMs = 10_000;
const catchUpTimeoutMs = 60_000;

export interface Verified {
  readonly appliedIndex: number;
  readonly read: number;
  readonly missing: readonly string[];
}

/**
 * Waits until the peer has applied all entries up to `commitIndex`, then compares the value of every key.
 * @param valueBytes the size of a value, as for the writers
 */
export async function verifyPeer(
  adminClient: AdminClient,
  peerId: PeerId,
  commitIndex: number,
  keys: readonly string[],
  valueBytes: number,
): Promise<Verified> {
  const appliedIndex = await retryUntil(
    `${peerId} has applied all that is committed`,
    catchUpTimeoutMs,
    async () => {
      const status = await adminClient.admin('status', {}, { peerId, timeoutMs: requestTimeoutMs });
      return status.applied_index >= commitIndex ? status.applied_index : undefined;
    },
    isTransient,
  );
  const missing: string[] = [];
  for (let from = 0; from < keys.length; ) {
    const some = keys.slice(from, from + keysARequest);
    const values = await readKeys(adminClient, peerId, some);
    values.forEach((value, index) => {
      const key = some[index];
      if (key !== undefined && value !== valueFor(key, valueBytes)) missing.push(key);
    });
    // A reply may contain fewer keys than requested, but at least one.
    from += Math.max(1, values.length);
  }
  return { appliedIndex, read: keys.length, missing };
}

async function readKeys(adminClient: AdminClient, peerId: PeerId, keys: readonly string[]): Promise<(Value | null)[]> {
  const { found } = await retryUntil(
    `${peerId} answers`,
    requestTimeoutMs,
    () =>
      adminClient.kv('batch_get', { keys: [...keys], consistency: 'stale' }, { peerId, timeoutMs: requestTimeoutMs }),
    isTransient,
  );
  return found.map(([value]) => value);
}
