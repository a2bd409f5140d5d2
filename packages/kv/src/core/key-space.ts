/**
 * Keys, their values and their revisions, and the leases that they and locks are tied to.
 *
 * Owns: the stored keys, and the group's revision. Does not know which client writes, or why.
 *
 * Invariants:
 * 1. `revision` counts the writes of keys that changed something, and the acquisitions of locks; no two have the same.
 * 2. `order` holds the keys of `stored`, and no others.
 * 3. A key whose `leaseId` is not 0 is among the keys of that lease, and every key of a lease is stored.
 * 4. No stored value shares memory with the message that contained it: a small value would keep a large message.
 */
import {
  type GroupUid,
  historyGap,
  invariant,
  type LeaseId,
  limits,
  type PublicLeaseId,
  publicPartOf,
  type Value,
} from '@conclave/protocol';
import { ChangedKeys } from './changed-keys.js';
import { type HistoryBounds, KeyHistory } from './key-history.js';
import { compareKeys } from './key-order.js';
import { KeySnapshot } from './key-snapshot.js';
import type { FoundKey, FoundValue, RangePage, RangeQuery } from './kv-query.js';
import { type LeaseFault, Leases } from './leases.js';
import { Locks } from './locks.js';
import { SortedKeys } from './sorted-keys.js';
import {
  detached,
  foundOverheadBytes,
  inOnePiece,
  keptValue,
  newlyStored,
  oneCharacterEach,
  type Stored,
  sizeOf,
} from './stored-value.js';

/**
 * Revisions, and ids of leases and sessions, of an epoch begin at its number times this: above all that the epoch before
 * can have issued, unless that issued 10^12 of them.
 */
const epochNumbers = 2 ** 40;

const absent: FoundValue = [null, 0];

export class KeySpace {
  private readonly stored = new Map<string, Stored>();
  private readonly order = new SortedKeys();
  readonly leases = new Leases();
  readonly locks = new Locks(this.leases, () => this.written.addNone());
  /** The group's current history; empty: unknown, as the group has not reached level 1. */
  historyUid: GroupUid | '' = '';
  private written: KeyHistory;
  /** For the digest of the state. */
  readonly changed = new ChangedKeys();
  /** The snapshots that are being read; usually none. */
  private snapshots: readonly KeySnapshot[] = [];

  constructor(private readonly historyBounds: HistoryBounds) {
    this.written = new KeyHistory(0, historyBounds);
  }

  /** The recent writes. The caller sets which entry and which command is applied. */
  get history(): KeyHistory {
    return this.written;
  }

  /** The number of keys. */
  get size(): number {
    return this.stored.size;
  }

  get revision(): number {
    return this.written.revision;
  }

  /** The stored value of the key; do not keep a reference to it. */
  at(key: string): Readonly<Stored> | undefined {
    return this.stored.get(key);
  }

  /** The value and the revision of a key. */
  get(key: string): FoundValue {
    const stored = this.stored.get(key);
    return stored === undefined ? absent : [keptValue(stored), stored.revision];
  }

  /** Sets a key, tied to an existing lease, or to none. @returns its new revision */
  put(key: string, value: Value, leaseId: PublicLeaseId | 0 = 0): number {
    const isBinary = typeof value !== 'string';
    const text = isBinary ? oneCharacterEach(value) : detached(value);
    const stored = this.stored.get(key);
    if (this.snapshots.length > 0) for (const cut of this.snapshots) cut.beforeWrite(key, stored);
    if (stored === undefined) {
      const ownKey = inOnePiece(key);
      const revision = this.written.add(ownKey);
      this.add(newlyStored(ownKey, text, isBinary, revision, leaseId));
      return revision;
    }
    stored.text = text;
    stored.isBinary = isBinary;
    stored.revision = this.written.add(stored.key);
    if (stored.leaseId !== leaseId) this.retie(stored, leaseId);
    this.changed.touch(stored);
    return stored.revision;
  }

  /** Deletes a key. @returns the revision of that; 0: the key did not exist */
  delete(key: string): number {
    const stored = this.stored.get(key);
    if (stored === undefined) return 0;
    this.remove(stored);
    return this.written.add(stored.key);
  }

  /** @param more how many other keys are to be tied. @returns why the key cannot be tied to this lease; undefined: it can */
  tieFault(leaseId: LeaseId, key: string, more = 0): LeaseFault | 'EINVAL' | undefined {
    return this.leases.faultOf(leaseId) ?? this.roomFault(publicPartOf(leaseId), key, more);
  }

  private roomFault(leaseId: PublicLeaseId, key: string, more: number): 'ENOENT' | 'EINVAL' | undefined {
    const lease = this.leases.at(leaseId);
    if (lease === undefined) return 'ENOENT';
    return lease.keys.has(key) || lease.keys.size + more < limits.leaseKeys ? undefined : 'EINVAL';
  }

  /** Ends a lease, deletes its keys and grants its locks to the next waiters. @returns whether the lease existed */
  endLease(leaseId: PublicLeaseId): boolean {
    const lease = this.leases.at(leaseId);
    if (lease === undefined) return false;
    // In an order that does not depend on a snapshot, as revisions follow from it.
    for (const key of [...lease.keys].sort(compareKeys)) {
      const stored = this.stored.get(key);
      invariant(stored !== undefined, 'a key of a lease is there');
      this.remove(stored);
      this.written.addDelete(stored.key);
    }
    this.locks.release(leaseId);
    this.leases.delete(leaseId);
    return true;
  }

  /** Values with their revisions, of the first of these keys: as many as fit in a reply, at least one. */
  find(keys: readonly string[]): FoundValue[] {
    const found: FoundValue[] = [];
    let room: number = limits.foundBytes;
    for (const key of keys) {
      const stored = this.stored.get(key);
      room -= foundOverheadBytes + (stored === undefined ? 0 : sizeOf(stored));
      if (room < 0 && found.length > 0) break;
      found.push(stored === undefined ? absent : [keptValue(stored), stored.revision]);
    }
    return found;
  }

  /** One page of the keys with a prefix: as many as requested and as fit in a reply, at least one. */
  range({ prefix, startAfter, limit, keysOnly }: RangeQuery): RangePage {
    const found: FoundKey[] = [];
    const { revision } = this;
    const continues = startAfter !== undefined && compareKeys(startAfter, prefix) >= 0;
    let room: number = limits.foundBytes;
    for (const key of this.order.from(continues ? startAfter : prefix, !continues)) {
      if (!key.startsWith(prefix)) break;
      const stored = this.stored.get(key);
      invariant(stored !== undefined, 'a key in the order is stored');
      room -= foundOverheadBytes + Buffer.byteLength(key) + (keysOnly ? 0 : sizeOf(stored));
      if (found.length === limit || (room < 0 && found.length > 0)) return { found, more: true, revision };
      found.push([key, keysOnly ? null : keptValue(stored), stored.revision]);
    }
    return { found, more: false, revision };
  }

  /** A snapshot of the keys, to be read while writes continue; call `endSnapshot` when it has been read. */
  beginSnapshot(): KeySnapshot {
    const cut = new KeySnapshot(this.stored, this.order);
    this.snapshots = [...this.snapshots, cut];
    return cut;
  }

  endSnapshot(cut: KeySnapshot): void {
    this.snapshots = this.snapshots.filter((one) => one !== cut);
  }

  /**
   * Continues with numbers that no earlier epoch has issued: clients may still have locks, sessions and revisions that a reset has
   * lost. Earlier changes are dropped.
   */
  beginEpoch(epoch: number): void {
    const from = epoch * epochNumbers;
    if (this.revision >= from) return;
    this.written = new KeyHistory(from, this.historyBounds);
    this.leases.startIdsAfter(from);
  }

  /**
   * Continues with numbers above `base`; or, if that is not above all issued numbers because a clock was wrong, with numbers far
   * above those, as the lost end of the history before may have issued more. Earlier changes are dropped.
   */
  beginHistory(base: number): void {
    const known = Math.max(this.revision, this.leases.lastId);
    const from = base > known ? base : known + historyGap;
    this.written = new KeyHistory(from, this.historyBounds);
    this.leases.startIdsAfter(from);
    this.leases.endHistory();
  }

  /** The first number of this epoch. */
  get epochBegin(): number {
    return this.revision - (this.revision % epochNumbers);
  }

  /** Restores the revision of a snapshot, before everything else of it. */
  restoreRevision(revision: number): void {
    this.written = new KeyHistory(revision, this.historyBounds);
  }

  /** Restores a key of a snapshot, after the leases. @returns whether it is valid */
  restore(key: string, value: Value, revision: number, leaseId: PublicLeaseId | 0): boolean {
    if (this.stored.has(key) || revision > this.revision) return false;
    if (leaseId !== 0 && this.roomFault(leaseId, key, 0) !== undefined) return false;
    const isBinary = typeof value !== 'string';
    const text = isBinary ? oneCharacterEach(value) : detached(value);
    this.add(newlyStored(inOnePiece(key), text, isBinary, revision, leaseId));
    return true;
  }

  private add(stored: Stored): void {
    const { key, leaseId } = stored;
    this.stored.set(key, stored);
    this.changed.touch(stored);
    this.order.add(key);
    if (leaseId !== 0) this.leases.tie(leaseId, key);
  }

  private remove(stored: Stored): void {
    const { key, leaseId } = stored;
    for (const cut of this.snapshots) cut.beforeDelete(key, stored);
    if (leaseId !== 0) this.leases.untie(leaseId, key);
    this.stored.delete(key);
    this.changed.remove(stored);
    this.order.delete(key);
  }

  private retie(stored: Stored, leaseId: PublicLeaseId | 0): void {
    if (stored.leaseId !== 0) this.leases.untie(stored.leaseId, stored.key);
    if (leaseId !== 0) this.leases.tie(leaseId, stored.key);
    stored.leaseId = leaseId;
  }
}
