/**
 * Leases: keys and locks that go when nobody says any more that they should stay.
 *
 * Owns the leases, and which keys and locks are tied to which. Does not touch these: who ends a lease does.
 *
 * All but what `Lease` notes of the clock is replicated state, and follows from the entries alone. A lease ends by an
 * entry, which its leader proposes by its own monotonic clock. A leader that comes to lead, or comes back, counts on from what
 * an earlier one has put into the log of the time that is left, from the whole where it has put nothing. So no jump
 * of any clock ends a lease early.
 *
 * Invariants:
 * 1. At most `limits.leases` leases are there, each with at most `limits.leaseKeys` keys and
 *    `limits.leaseLocks` locks. Ids that are numbers rise.
 * 2. A key is tied to one lease at most: the one that what is stored under it names.
 * 3. An entry ends a lease only if nobody has kept it since the entry was proposed. The same holds of time that is left.
 * 4. Only who sends the whole id of a lease keeps it, ties to it or locks by it. The public part is what leases are known by
 *    everywhere else.
 */

import type { LeaderClock } from '@conclave/actor/core';
import {
  type AnyLeaseId,
  invariant,
  type LeaseId,
  type LogIndex,
  limits,
  type PublicLeaseId,
  publicPartOf,
  secretPartOf,
} from '@conclave/protocol';
import { compareKeys } from './key-order.js';
import type { LeaseFound, LeaseKeysPage, LeasesPage } from './kv-query.js';
import type { SnapshotRows } from './snapshot-piece.js';
import { SortedKeys } from './sorted-keys.js';
import { ChangedRows } from './state-digest.js';
import { detached } from './stored-value.js';

export interface Lease {
  /** Empty where its id is a number. */
  readonly secret: string;
  readonly ttlMs: number;
  /** The index of the entry that granted or kept it last. */
  keptIndex: LogIndex;
  /** What was left of its time when a leader put that into the log last, since it was kept; `ttlMs` where none did. */
  remainingMs: number;
  /** It was granted in an earlier history: it ends at its time, and cannot be kept or used. */
  isOfEarlierHistory: boolean;
  readonly keys: Set<string>;
  /** The locks that are held or waited for by it. */
  readonly locks: Set<string>;
  /** By this peer's clock, not replicated: since when housekeeping sees it as last kept by that entry. */
  seenIndex: LogIndex | 0;
  sinceMs: number;
  /** When it was last named as overdue. */
  namedMs: number;
}

/** Why a lease cannot be used. */
export type LeaseFault = 'ENOENT' | 'EHISTORY';

/** What a leader finds when it looks after the leases. */
export interface LeasesDue {
  /** Those that should end, with the entries that kept them last. */
  readonly overdue: (readonly [PublicLeaseId, LogIndex])[];
  /** What is left of the time of others, for a leader to come. */
  readonly remaining: (readonly [PublicLeaseId, LogIndex, number])[];
}

/** Who was not asked for so long has not looked after them; it begins to count anew. */
const longestGapMs = 2000;
/**
 * The time that is left goes into the log when it has become less by so much, or by this part of the lease's time, whichever
 * is more: what a change of the leader can add to a lease. A lease that is kept more often costs nothing.
 */
const shortestStepMs = 5000;
const stepsPerTtl = 8;
/** To which it is rounded up. */
const remainingUnitMs = 100;

export class Leases {
  private readonly leases = new Map<PublicLeaseId, Lease>();
  /** Ids that are no numbers, in their order. */
  private readonly texts = new SortedKeys();
  /** For the digest of the state. What is tied to a lease counts with the keys and the locks. */
  readonly changed = new ChangedRows<PublicLeaseId>(1, (name) => {
    const lease = this.leases.get(name);
    return lease === undefined ? undefined : rowOf(name, lease);
  });
  private lastLeaseId = 0;
  private lastRestored = 0;
  private lookedMs = Number.NEGATIVE_INFINITY;
  /** The term of the leadership that looked after them last, at this peer. */
  private lookedTerm = 0;
  /** Where the next look goes on with what is left, as one entry holds a bounded part of it. */
  private remainingFrom = 0;

  /**
   * Grants a lease. Answers its id; undefined where there are as many as there may be.
   * @param leaseId the id that the leader drew, from feature level 1 on; without one it is the next number
   */
  grant(index: LogIndex, ttlMs: number, leaseId?: LeaseId): LeaseId | undefined {
    if (this.leases.size >= limits.leases) return undefined;
    if (typeof leaseId === 'string') {
      if (this.leases.has(publicPartOf(leaseId))) return undefined;
      this.add(leaseId, newLease(index, ttlMs, leaseId));
      return detached(leaseId);
    }
    this.lastLeaseId += 1;
    this.add(this.lastLeaseId, newLease(index, ttlMs));
    return this.lastLeaseId;
  }

  /** Gives the lease its whole time again. Answers that, or why it cannot be. */
  keep(leaseId: LeaseId, index: LogIndex): number | LeaseFault {
    const fault = this.faultOf(leaseId);
    if (fault !== undefined) return fault;
    const lease = this.at(publicPartOf(leaseId)) as Lease;
    lease.keptIndex = index;
    lease.remainingMs = lease.ttlMs;
    this.changed.touch(publicPartOf(leaseId));
    return lease.ttlMs;
  }

  /** Why the holder of this id cannot use the lease; undefined: it can. */
  faultOf(leaseId: LeaseId): LeaseFault | undefined {
    if (!this.isOwn(leaseId)) return 'ENOENT';
    return this.at(publicPartOf(leaseId))?.isOfEarlierHistory === true ? 'EHISTORY' : undefined;
  }

  /** Whether there is such a lease, with that secret. */
  isOwn(leaseId: LeaseId): boolean {
    return this.leases.get(publicPartOf(leaseId))?.secret === secretPartOf(leaseId);
  }

  get lastId(): number {
    return this.lastLeaseId;
  }

  /** All of them as they are now, for a snapshot. */
  rows(): SnapshotRows['leases'][] {
    return [...this.leases].map(([name, lease]) => rowOf(name, lease));
  }

  /** Ids go on behind this one. */
  goOnBehind(leaseId: number): void {
    this.lastLeaseId = Math.max(this.lastLeaseId, leaseId);
  }

  /** Another history begins: those that are there end at their time, and are of no use until then. */
  endHistory(): void {
    for (const [name, lease] of this.leases) {
      lease.isOfEarlierHistory = true;
      this.changed.touch(name);
    }
  }

  /** Of a snapshot, before its leases. */
  restoreLastId(lastLeaseId: number): void {
    this.lastLeaseId = lastLeaseId;
  }

  /** A lease of a snapshot, in their order and before what is tied to it. Answers whether it can be one. */
  restore([
    leaseId,
    ttlMs,
    keptIndex,
    remainingMs = ttlMs,
    isOfEarlierHistory = false,
  ]: SnapshotRows['leases']): boolean {
    if (this.leases.has(publicPartOf(leaseId)) || remainingMs > ttlMs) return false;
    if (typeof leaseId === 'number') {
      if (leaseId <= this.lastRestored || leaseId > this.lastLeaseId) return false;
      this.lastRestored = leaseId;
    }
    this.add(leaseId, { ...newLease(keptIndex as LogIndex, ttlMs, leaseId), remainingMs, isOfEarlierHistory });
    return true;
  }

  at(name: PublicLeaseId): Readonly<Lease> | undefined {
    return this.leases.get(name);
  }

  tie(name: PublicLeaseId, key: string): void {
    const lease = this.leases.get(name);
    invariant(lease !== undefined, 'a key is tied to a lease that is there');
    lease.keys.add(key);
    invariant(lease.keys.size <= limits.leaseKeys, 'a lease has a bounded number of keys');
  }

  untie(name: PublicLeaseId, key: string): void {
    invariant(this.leases.get(name)?.keys.delete(key) === true, 'a key that is untied was tied');
  }

  /** Whether it has not been kept since that entry. */
  isDue(name: PublicLeaseId, keptIndex: number): boolean {
    return this.leases.get(name)?.keptIndex === keptIndex;
  }

  /** So much of its time was left when the entry of this was proposed; without effect where it has been kept since. */
  setRemaining(name: PublicLeaseId, keptIndex: number, remainingMs: number): void {
    const lease = this.leases.get(name);
    if (lease?.keptIndex !== keptIndex) return;
    lease.remainingMs = Math.min(lease.remainingMs, remainingMs);
    this.changed.touch(name);
  }

  /** Takes a lease away to which nothing is tied any more. */
  delete(name: PublicLeaseId): void {
    const lease = this.leases.get(name);
    invariant(lease?.keys.size === 0 && lease.locks.size === 0, 'a lease goes after what is tied to it');
    this.leases.delete(name);
    if (typeof name === 'string') this.texts.delete(name);
    this.changed.touch(name);
  }

  /** A page of the leases after that one, numbers first; 0: from the first one on. */
  list(startAfter: PublicLeaseId | 0, limit: number): LeasesPage {
    const found: LeaseFound[] = [];
    for (const name of this.namesAfter(startAfter)) {
      if (found.length === limit) return { leases: found, more: true };
      const { ttlMs, keys } = this.at(name) as Lease;
      found.push([name, ttlMs, keys.size]);
    }
    return { leases: found, more: false };
  }

  /**
   * One lease, with a page of its keys in their order; 0 ms where there is none of that id.
   * @param clock of the leader: what is left is told only by it
   */
  describe(leaseId: AnyLeaseId, startAfter: string, limit: number, clock?: LeaderClock): LeaseKeysPage {
    const name = publicPartOf(leaseId);
    const lease = this.leases.get(name);
    const secret = secretPartOf(leaseId);
    if (lease === undefined || (secret !== '' && secret !== lease.secret)) {
      return { name, ttlMs: 0, remainingMs: null, keys: [], more: false };
    }
    const behind = [...lease.keys].filter((key) => compareKeys(key, startAfter) > 0).sort(compareKeys);
    let room: number = limits.foundBytes;
    const keys = behind.slice(0, limit).filter((key, at) => {
      room -= Buffer.byteLength(key);
      return room >= 0 || at === 0;
    });
    const remainingMs = clock === undefined ? null : this.remainingOf(lease, clock);
    return { name, ttlMs: lease.ttlMs, remainingMs, keys, more: keys.length < behind.length };
  }

  /**
   * Looks after them. Overdue are those that were not kept for their time, as seen by the calls of this: as many as have about
   * `limits.leaseKeys` keys. One is named again only after a tenth of its time, as the entry that ends it is on its way. In
   * another term the count starts from what the log says, as another leader may have counted meanwhile.
   */
  due(nowMs: number, term: number): LeasesDue {
    const anew = term !== this.lookedTerm || nowMs - this.lookedMs > longestGapMs;
    this.lookedMs = nowMs;
    this.lookedTerm = term;
    const due: LeasesDue = { overdue: [], remaining: [] };
    let keys = 0;
    for (const [name, lease] of this.leases) {
      if (anew || lease.seenIndex !== lease.keptIndex) {
        lease.seenIndex = lease.keptIndex;
        lease.sinceMs = nowMs - (lease.ttlMs - lease.remainingMs);
        lease.namedMs = Number.NEGATIVE_INFINITY;
      } else if (isOver(lease, nowMs) && keys <= limits.leaseKeys && hasRoom(due.overdue)) {
        lease.namedMs = nowMs;
        keys += lease.keys.size + lease.locks.size;
        due.overdue.push([name, lease.keptIndex]);
      }
    }
    this.findRemaining(nowMs, due);
    return due;
  }

  private findRemaining(nowMs: number, { remaining }: LeasesDue): void {
    let place = 0;
    for (const [name, lease] of this.leases) {
      place += 1;
      if (place <= this.remainingFrom) continue;
      const leftMs = lease.ttlMs - (nowMs - lease.sinceMs);
      if (leftMs <= 0 || leftMs > lease.remainingMs - Math.max(shortestStepMs, lease.ttlMs / stepsPerTtl)) continue;
      if (!hasRoom(remaining)) {
        this.remainingFrom = place - 1;
        return;
      }
      remaining.push([name, lease.keptIndex, Math.ceil(leftMs / remainingUnitMs) * remainingUnitMs]);
    }
    this.remainingFrom = 0;
  }

  private remainingOf(lease: Lease, { nowMs, term }: LeaderClock): number {
    if (term !== this.lookedTerm || lease.seenIndex !== lease.keptIndex) return lease.remainingMs;
    return Math.max(0, Math.round(lease.ttlMs - (nowMs - lease.sinceMs)));
  }

  private add(leaseId: LeaseId, lease: Lease): void {
    const name = publicPartOf(leaseId);
    this.leases.set(name, lease);
    this.changed.touch(name);
    if (typeof name === 'string') this.texts.add(name);
  }

  private *namesAfter(startAfter: PublicLeaseId | 0): Generator<PublicLeaseId, void> {
    if (typeof startAfter === 'number') {
      for (const name of this.leases.keys()) if (typeof name === 'number' && name > startAfter) yield name;
    }
    yield* this.texts.from(typeof startAfter === 'number' ? '' : startAfter, false);
  }
}

function rowOf(
  name: PublicLeaseId,
  { secret, ttlMs, keptIndex, remainingMs, isOfEarlierHistory }: Lease,
): SnapshotRows['leases'] {
  const leaseId = typeof name === 'number' ? name : `${name}.${secret}`;
  if (isOfEarlierHistory) return [leaseId, ttlMs, keptIndex, remainingMs, true];
  return remainingMs === ttlMs ? [leaseId, ttlMs, keptIndex] : [leaseId, ttlMs, keptIndex, remainingMs];
}

function newLease(keptIndex: LogIndex, ttlMs: number, leaseId: LeaseId = 0): Lease {
  return {
    secret: detached(secretPartOf(leaseId)),
    ttlMs,
    keptIndex,
    remainingMs: ttlMs,
    isOfEarlierHistory: false,
    keys: new Set(),
    locks: new Set(),
    seenIndex: 0,
    sinceMs: 0,
    namedMs: Number.NEGATIVE_INFINITY,
  };
}

/** Whether its time is over, and it was not named lately. */
function isOver({ ttlMs, sinceMs, namedMs }: Lease, nowMs: number): boolean {
  return nowMs - sinceMs >= ttlMs && nowMs - namedMs >= ttlMs / 10;
}

function hasRoom({ length }: readonly unknown[]): boolean {
  return length < limits.requestCommands;
}
