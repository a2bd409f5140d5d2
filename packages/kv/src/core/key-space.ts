/**
 * Keys, their values and their revisions, and the leases that they and locks are tied to.
 *
 * Owns what is stored under each key, and the group's revision. Does not know who writes, or why.
 *
 * Invariants:
 * 1. `revision` counts the writes of keys that changed something, and the acquisitions of locks; no two have the same.
 * 2. `order` holds the keys of `stored`, and no others.
 * 3. A key whose `leaseId` is not 0 is among the keys of that lease, and every key of a lease is there.
 * 4. Nothing that is kept shares memory with the message that it came in: a small value would pin a large one.
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
import { KeyCut } from './key-cut.js';
import { type HistoryBounds, KeyHistory } from './key-history.js';
import { compareKeys } from './key-order.js';
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
 * Revisions, and ids of leases and sessions, of an epoch begin at so many times its number: above all that the one before
 * it can have given out, unless that had 10^12 of them.
 */
const epochNumbers = 2 ** 40;

const absent: FoundValue = [null, 0];

export class KeySpace {
  private readonly stored = new Map<string, Stored>();
  private readonly order = new SortedKeys();
  readonly leases = new Leases();
  readonly locks = new Locks(this.leases, () => this.written.addNone());
  /** The history that the group is in; empty: its entries do not say, as the group has not reached level 1. */
  historyUid: GroupUid | '' = '';
  private written: KeyHistory;
  /** For the digest of the state. */
  readonly changed = new ChangedKeys();
  /** Of the snapshots that are being drawn; hardly ever is there one. */
  private cuts: readonly KeyCut[] = [];

  constructor(private readonly historyBounds: HistoryBounds) {
    this.written = new KeyHistory(0, historyBounds);
  }

  /** What has been written lately. It is to be told which entry is applied, and which command of it carried out. */
  get history(): KeyHistory {
    return this.written;
  }

  get revision(): number {
    return this.written.revision;
  }

  /** What is stored under the key; not to be kept. */
  at(key: string): Readonly<Stored> | undefined {
    return this.stored.get(key);
  }

  /** The value and the revision of a key. */
  get(key: string): FoundValue {
    const stored = this.stored.get(key);
    return stored === undefined ? absent : [keptValue(stored), stored.revision];
  }

  /** Sets a key, tied to a lease that is there, or to none. Answers the revision that it has now. */
  put(key: string, value: Value, leaseId: PublicLeaseId | 0 = 0): number {
    const isBinary = typeof value !== 'string';
    const text = isBinary ? oneCharacterEach(value) : detached(value);
    const stored = this.stored.get(key);
    if (this.cuts.length > 0) for (const cut of this.cuts) cut.beforeWrite(key, stored);
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

  /** Deletes a key. Answers the revision of that; 0 where there was nothing to delete. */
  delete(key: string): number {
    const stored = this.stored.get(key);
    if (stored === undefined) return 0;
    this.remove(stored);
    return this.written.add(stored.key);
  }

  /** Why the key cannot be tied to this lease; undefined: it can. `more`: so many keys besides are to be. */
  tieFault(leaseId: LeaseId, key: string, more = 0): LeaseFault | 'EINVAL' | undefined {
    return this.leases.faultOf(leaseId) ?? this.roomFault(publicPartOf(leaseId), key, more);
  }

  private roomFault(leaseId: PublicLeaseId, key: string, more: number): 'ENOENT' | 'EINVAL' | undefined {
    const lease = this.leases.at(leaseId);
    if (lease === undefined) return 'ENOENT';
    return lease.keys.has(key) || lease.keys.size + more < limits.leaseKeys ? undefined : 'EINVAL';
  }

  /** Ends a lease, deletes its keys and passes its locks on. Answers whether it was there. */
  endLease(leaseId: PublicLeaseId): boolean {
    const lease = this.leases.at(leaseId);
    if (lease === undefined) return false;
    // In an order that a snapshot need not tell, as revisions come of it.
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

  /** Values with their revisions, for the first of these keys: for as many as an answer may hold, for one at least. */
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

  /** One page of the keys with a prefix: as many as were asked for and as an answer may hold, one at least. */
  range({ prefix, startAfter, limit, keysOnly }: RangeQuery): RangePage {
    const found: FoundKey[] = [];
    const { revision } = this;
    const goesOn = startAfter !== undefined && compareKeys(startAfter, prefix) >= 0;
    let room: number = limits.foundBytes;
    for (const key of this.order.from(goesOn ? startAfter : prefix, !goesOn)) {
      if (!key.startsWith(prefix)) break;
      const stored = this.stored.get(key);
      invariant(stored !== undefined, 'a key that has a place is there');
      room -= foundOverheadBytes + Buffer.byteLength(key) + (keysOnly ? 0 : sizeOf(stored));
      if (found.length === limit || (room < 0 && found.length > 0)) return { found, more: true, revision };
      found.push([key, keysOnly ? null : keptValue(stored), stored.revision]);
    }
    return { found, more: false, revision };
  }

  /** The keys as they are now, to be drawn while writes go on; `endCut` when that is over. */
  cut(): KeyCut {
    const cut = new KeyCut(this.stored, this.order);
    this.cuts = [...this.cuts, cut];
    return cut;
  }

  endCut(cut: KeyCut): void {
    this.cuts = this.cuts.filter((one) => one !== cut);
  }

  /**
   * Goes on with numbers that no epoch before has given out: clients may still hold locks and sessions, and watch from
   * revisions, that a reset has lost. What has changed before is no longer known.
   */
  beginEpoch(epoch: number): void {
    const from = epoch * epochNumbers;
    if (this.revision >= from) return;
    this.written = new KeyHistory(from, this.historyBounds);
    this.leases.goOnBehind(from);
  }

  /**
   * Goes on with numbers above `base`; or where that is not above all that it has given out, as the clock behind it was wrong, with
   * numbers far above those, as the lost end of the history before may have gone further. What has changed before is no longer known.
   */
  beginHistory(base: number): void {
    const known = Math.max(this.revision, this.leases.lastId);
    const from = base > known ? base : known + historyGap;
    this.written = new KeyHistory(from, this.historyBounds);
    this.leases.goOnBehind(from);
    this.leases.endHistory();
  }

  /** Where the numbers of this epoch begin. */
  get epochBegin(): number {
    return this.revision - (this.revision % epochNumbers);
  }

  /** Of a snapshot, before anything else of it. */
  restoreRevision(revision: number): void {
    this.written = new KeyHistory(revision, this.historyBounds);
  }

  /** A key of a snapshot, after the leases. Answers whether it can be one. */
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
    for (const cut of this.cuts) cut.beforeDelete(key, stored);
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
