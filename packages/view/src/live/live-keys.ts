/** Keys, leases and locks of a live group, through a client of the application's library. */
import type { ConclaveClient } from '@conclave/client';
import { limits } from '@conclave/protocol';
import type { KeyPage, KeyReader, KeyValue, LeaseRow, LockRow } from '../server/key-reader.js';

/** Keys, leases or locks of one page. */
const pageSize = 100;
const timeoutMs = 5000;
/** The leases whose remaining time is requested from the leader: each with its own request. */
const maxDetails = 50;

export class LiveKeys implements KeyReader {
  constructor(private readonly client: ConclaveClient) {}

  async list(prefix: string, after: string | undefined): Promise<KeyPage> {
    const options = {
      limit: pageSize,
      keysOnly: true,
      timeoutMs,
      ...(after === undefined ? {} : { startAfter: after }),
    };
    const { found, more, revision } = await this.client.kv.range(prefix, options);
    return { keys: found.map(([key, , keyRevision]) => ({ key, revision: keyRevision })), more, revision };
  }

  async get(key: string): Promise<KeyValue | undefined> {
    const { value, revision } = await this.client.kv.get(key, { timeoutMs });
    return value === null ? undefined : keyValue(key, value, revision);
  }

  async leases(): Promise<readonly LeaseRow[]> {
    const { leases } = await this.client.leases.list({ limit: pageSize, timeoutMs });
    return Promise.all(
      leases.map(async ([lease, ttlMs], index) => {
        if (index >= maxDetails) return { lease: String(lease), ttlMs, remainingMs: null, keys: [] };
        const { remaining_ms, keys } = await this.client.leases.get(lease, { limit: limits.recordFields, timeoutMs });
        return { lease: String(lease), ttlMs, remainingMs: remaining_ms ?? null, keys };
      }),
    );
  }

  async locks(): Promise<readonly LockRow[]> {
    const { locks } = await this.client.locks.list({ limit: pageSize, timeoutMs });
    return Promise.all(
      locks.map(async ([name, owner, lease, token, waiting], index) => {
        const details = index < maxDetails ? await this.client.leases.get(lease, { limit: 1, timeoutMs }) : undefined;
        return { name, owner, lease: String(lease), token, waiting, remainingMs: details?.remaining_ms ?? null };
      }),
    );
  }

  async *watch(key: string, signal: AbortSignal): AsyncGenerator<KeyValue | undefined> {
    yield await this.get(key);
    for await (const event of this.client.watch(key, { state: true, signal })) {
      // A watch is of a prefix: other keys may begin with this one.
      if ('key' in event && event.key !== key) continue;
      if (event.type === 'put') {
        yield {
          ...keyValue(key, event.value, event.revision),
          ...(event.leaseId === undefined ? {} : { lease: String(event.leaseId) }),
        };
      } else if (event.type !== 'current') yield undefined;
    }
  }
}

function keyValue(key: string, value: string | Uint8Array, revision: number): KeyValue {
  const bytes = Buffer.from(value);
  return { key, value: bytes.toString('base64'), revision, bytes: bytes.length };
}
