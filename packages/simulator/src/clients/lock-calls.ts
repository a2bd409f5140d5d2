/**
 * Locks in a run: each client uses a lease of its own, which it never keeps, so that a lease sometimes ends while it
 * holds a lock; and the token that it received, which may be outdated.
 */
import type { Settlement } from '@conclave/client';
import type { KvReply, LeaseId } from '@conclave/protocol';
import type { Coverage } from '../mesh/coverage.js';
import type { RecordedCall } from './history.js';
import type { VirtualClient } from './virtual-client.js';

/** As long as a few elections. */
const ttlMs = 4000;

const noToken: Settlement = {
  outcome: 'not_done',
  error: { code: 'ENOENT', message: 'the client has received no token', outcome: 'not_done' },
};

type Settled = (settlement: Settlement, groupUid?: string) => void;

export class LockCalls {
  /** By client. */
  private readonly leases = new Map<string, LeaseId>();
  /** By client and lock: the last token that the client received. */
  private readonly tokens = new Map<string, number>();
  /** By lock: the last token that any client received. */
  private readonly seen = new Map<string, number>();

  call(client: VirtualClient, recorded: RecordedCall, settled: Settled): void {
    if (recorded.operation === 'unlock') return this.unlock(client, recorded, settled);
    const leaseId = this.leases.get(client.name);
    if (leaseId !== undefined) return this.lock(client, recorded, leaseId, settled);
    client.call({ operation: 'lease_grant', ttlMs }, (settlement) => {
      if (settlement.outcome !== 'done') return settled({ ...settlement, outcome: 'not_done' });
      const { lease_id } = settlement.result as KvReply<'lease_grant'>;
      this.leases.set(client.name, lease_id);
      this.lock(client, recorded, lease_id, settled);
    });
  }

  /** A new client has this name from now on. */
  forget(name: string): void {
    this.leases.delete(name);
    for (const id of this.tokens.keys()) if (id.startsWith(`${name} `)) this.tokens.delete(id);
  }

  count({ operation, result }: RecordedCall, coverage: Coverage): void {
    const changed = result?.changed === true;
    if (operation === 'lock') coverage.count(changed ? 'lock acquired' : 'lock waited for');
    else coverage.count(changed ? 'lock released' : 'lock lost before its release');
  }

  private lock(client: VirtualClient, recorded: RecordedCall, leaseId: LeaseId, settled: Settled): void {
    recorded.leaseId = leaseId;
    const { name } = client;
    const call = { operation: 'lock', name: recorded.key, owner: name, leaseId, wait: true } as const;
    client.call(call, (settlement, groupUid) => {
      if (settlement.outcome === 'done') {
        const { acquired, token } = settlement.result as KvReply<'lock'>;
        if (acquired) {
          this.tokens.set(`${name} ${recorded.key}`, token);
          this.seen.set(recorded.key, token);
        }
      } else if (hasEnded(settlement.error.code) && this.leases.get(name) === leaseId) {
        // It has ended: the next call grants another one.
        this.leases.delete(name);
      }
      settled(settlement, groupUid);
    });
  }

  private unlock(client: VirtualClient, { key }: RecordedCall, settled: Settled): void {
    const token = this.tokens.get(`${client.name} ${key}`);
    if (token === undefined) return this.tryWithoutProof(client, key, settled);
    client.call({ operation: 'unlock', name: key, token, leaseId: this.leases.get(client.name) }, settled);
  }

  /**
   * Tries to release another client's lock with its token, which is no secret, and without a lease. Feature level 1
   * refuses that.
   */
  private tryWithoutProof(client: VirtualClient, key: string, settled: Settled): void {
    const token = this.seen.get(key);
    if (token === undefined) return settled(noToken);
    client.call({ operation: 'unlock', name: key, token }, settled);
  }
}

/** Whether the error means that the lease does not exist any more. */
function hasEnded(code: string): boolean {
  return code === 'ENOENT' || code === 'EHISTORY';
}
