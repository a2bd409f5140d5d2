/**
 * Leases: keys and locks that go when nobody says any more that they should stay.
 *
 * Owns the leases, and which keys and locks are tied to which. Does not touch these: who ends a lease does.
 *
 * All but what `Lease` notes of the clock is replicated state, and follows from the entries alone. A lease ends by an
 * entry, which its leader proposes by its own monotonic clock; a leader that comes to lead, or comes back, begins to
 * count anew. So no jump of any clock ends a lease early, and each failover makes it longer.
 *
 * Invariants:
 * 1. At most `limits.leases` leases are there, each with at most `limits.leaseKeys` keys and
 *    `limits.leaseLocks` locks. Their ids rise.
 * 2. A key is tied to one lease at most: the one that what is stored under it names.
 * 3. An entry ends a lease only if nobody has kept it since the entry was proposed.
 */
import { invariant, type LogIndex, limits } from '@conclave/protocol';
import { compareKeys } from './key-order.js';
import type { LeaseFound, LeaseKeysPage, LeasesPage } from './kv-query.js';
import type { SnapshotRows } from './snapshot-piece.js';
import { ChangedRows } from './state-digest.js';

export interface Lease {
  readonly ttlMs: number;
  /** The index of the entry that granted or kept it last. */
  keptIndex: LogIndex;
  readonly keys: Set<string>;
  /** The locks that are held or waited for by it. */
  readonly locks: Set<string>;
  /** By this peer's clock, not replicated: since when housekeeping sees it as last kept by that entry. */
  seenIndex: LogIndex | 0;
  sinceMs: number;
}

/** Who was not asked for so long has not looked after them; it begins to count anew. */
const longestGapMs = 2000;

export class Leases {
  private readonly leases = new Map<number, Lease>();
  /** For the digest of the state. What is tied to a lease counts with the keys and the locks. */
  readonly changed = new ChangedRows<number>(1, (leaseId) => {
    const lease = this.leases.get(leaseId);
    return lease === undefined ? undefined : rowOf(leaseId, lease);
  });
  private lastLeaseId = 0;
  private lastRestored = 0;
  private lookedMs = Number.NEGATIVE_INFINITY;
  /** The term of the leadership that looked after them last, at this peer. */
  private lookedTerm = 0;

  /** Grants a lease. Answers its id; undefined where there are as many as there may be. */
  grant(index: LogIndex, ttlMs: number): number | undefined {
    if (this.leases.size >= limits.leases) return undefined;
    this.lastLeaseId += 1;
    this.leases.set(this.lastLeaseId, newLease(index, ttlMs));
    this.changed.touch(this.lastLeaseId);
    return this.lastLeaseId;
  }

  /** Gives the lease its whole time again. Answers that; undefined where there is no such lease. */
  keep(leaseId: number, index: LogIndex): number | undefined {
    const lease = this.leases.get(leaseId);
    if (lease === undefined) return undefined;
    lease.keptIndex = index;
    this.changed.touch(leaseId);
    return lease.ttlMs;
  }

  get lastId(): number {
    return this.lastLeaseId;
  }

  /** All of them as they are now, for a snapshot. */
  rows(): SnapshotRows['leases'][] {
    return [...this.leases].map(([leaseId, lease]) => rowOf(leaseId, lease));
  }

  /** Ids go on behind this one. */
  goOnBehind(leaseId: number): void {
    this.lastLeaseId = Math.max(this.lastLeaseId, leaseId);
  }

  /** Of a snapshot, before its leases. */
  restoreLastId(lastLeaseId: number): void {
    this.lastLeaseId = lastLeaseId;
  }

  /** A lease of a snapshot, in the order of their ids and before what is tied to it. Answers whether it can be one. */
  restore(leaseId: number, ttlMs: number, keptIndex: LogIndex): boolean {
    if (leaseId <= this.lastRestored || leaseId > this.lastLeaseId) return false;
    this.lastRestored = leaseId;
    this.leases.set(leaseId, newLease(keptIndex, ttlMs));
    this.changed.touch(leaseId);
    return true;
  }

  at(leaseId: number): Readonly<Lease> | undefined {
    return this.leases.get(leaseId);
  }

  tie(leaseId: number, key: string): void {
    const lease = this.leases.get(leaseId);
    invariant(lease !== undefined, 'a key is tied to a lease that is there');
    lease.keys.add(key);
    invariant(lease.keys.size <= limits.leaseKeys, 'a lease has a bounded number of keys');
  }

  untie(leaseId: number, key: string): void {
    invariant(this.leases.get(leaseId)?.keys.delete(key) === true, 'a key that is untied was tied');
  }

  /** Whether it has not been kept since that entry. */
  isDue(leaseId: number, keptIndex: number): boolean {
    return this.leases.get(leaseId)?.keptIndex === keptIndex;
  }

  /** Takes a lease away to which nothing is tied any more. */
  delete(leaseId: number): void {
    const lease = this.leases.get(leaseId);
    invariant(lease?.keys.size === 0 && lease.locks.size === 0, 'a lease goes after what is tied to it');
    this.leases.delete(leaseId);
    this.changed.touch(leaseId);
  }

  /** A page of the leases after that one. */
  list(startAfter: number, limit: number): LeasesPage {
    const found: LeaseFound[] = [];
    for (const [leaseId, { ttlMs, keys }] of this.leases) {
      if (leaseId <= startAfter) continue;
      if (found.length === limit) return { leases: found, more: true };
      found.push([leaseId, ttlMs, keys.size]);
    }
    return { leases: found, more: false };
  }

  /** One lease, with a page of its keys in their order; 0 ms where there is none of that id. */
  describe(leaseId: number, startAfter: string, limit: number): LeaseKeysPage {
    const lease = this.leases.get(leaseId);
    if (lease === undefined) return { ttlMs: 0, keys: [], more: false };
    const behind = [...lease.keys].filter((key) => compareKeys(key, startAfter) > 0).sort(compareKeys);
    let room: number = limits.foundBytes;
    const keys = behind.slice(0, limit).filter((key, at) => {
      room -= Buffer.byteLength(key);
      return room >= 0 || at === 0;
    });
    return { ttlMs: lease.ttlMs, keys, more: keys.length < behind.length };
  }

  /**
   * Those that should end: not kept for their time, as seen by the calls of this; with the entries that kept them. As
   * many as have about `limits.leaseKeys` keys. One is named again only after a tenth of its time, as the entry that
   * ends it is on its way. In another term all begins anew: another leader may have counted meanwhile.
   */
  overdue(nowMs: number, term: number): (readonly [number, LogIndex])[] {
    const anew = term !== this.lookedTerm || nowMs - this.lookedMs > longestGapMs;
    this.lookedMs = nowMs;
    this.lookedTerm = term;
    const overdue: (readonly [number, LogIndex])[] = [];
    let keys = 0;
    for (const [leaseId, lease] of this.leases) {
      if (anew || lease.seenIndex !== lease.keptIndex) {
        lease.seenIndex = lease.keptIndex;
        lease.sinceMs = nowMs;
      } else if (nowMs - lease.sinceMs >= lease.ttlMs && keys <= limits.leaseKeys && hasRoom(overdue)) {
        lease.sinceMs = nowMs - lease.ttlMs * 0.9;
        keys += lease.keys.size + lease.locks.size;
        overdue.push([leaseId, lease.keptIndex]);
      }
    }
    return overdue;
  }
}

function rowOf(leaseId: number, { ttlMs, keptIndex }: Lease): SnapshotRows['leases'] {
  return [leaseId, ttlMs, keptIndex];
}

function newLease(keptIndex: LogIndex, ttlMs: number): Lease {
  return { ttlMs, keptIndex, keys: new Set(), locks: new Set(), seenIndex: 0, sinceMs: 0 };
}

function hasRoom({ length }: readonly unknown[]): boolean {
  return length < limits.requestCommands;
}
