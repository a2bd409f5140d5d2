/**
 * Locks: one holder for each name, in the order of the requests, and each time a token that is higher than all before.
 *
 * Owns: the holders and the waiters. A lock is held and waited for by a lease: it ends with the lease.
 *
 * A holder may not know yet that its lease has ended when the next one acquires the lock. The token distinguishes them: it is the
 * group's revision at the acquisition. The protected resource refuses a token lower than the highest that it has seen, and a
 * transaction can compare it.
 *
 * Invariants:
 * 1. A lock exists while a client holds it; only then can other clients wait for it.
 * 2. Holder and waiters, each an owner with a lease, are all different, and their leases exist and know the name.
 * 3. Each acquisition, of any lock, has a token higher than all before.
 * 4. There are at most `limits.locks` locks, each with at most `limits.lockWaiters` waiters.
 */
import { invariant, type LeaseId, limits, type PublicLeaseId, publicPartOf } from '@conclave/protocol';
import { compareKeys } from './key-order.js';
import type { LockFound, LockRow, LocksPage } from './kv-query.js';
import type { LeaseFault, Leases } from './leases.js';
import type { ClaimRow, SnapshotRows } from './snapshot-piece.js';
import { ChangedRows } from './state-digest.js';
import { foundOverheadBytes, inOnePiece } from './stored-value.js';

interface Claim {
  readonly owner: string;
  readonly leaseId: PublicLeaseId;
}

interface Lock {
  holder: Claim;
  token: number;
  waiting: Claim[];
}

/** The outcome of a lock request: a token, 0 without one; or why it is refused. */
export type LockResult = number | LeaseFault | 'too_many_of_lease' | 'too_many_locks' | 'too_many_waiters';

export class Locks {
  private readonly locks = new Map<string, Lock>();
  /** For the digest of the state. */
  readonly changed = new ChangedRows<string>(2, (name) => {
    const lock = this.locks.get(name);
    return lock === undefined ? undefined : rowOfLock(name, lock);
  });

  constructor(
    private readonly leases: Leases,
    private readonly nextRevision: () => number,
  ) {}

  /** The number of locks that are held. */
  get size(): number {
    return this.locks.size;
  }

  /**
   * Requests a lock. Its holder gets the same token again. Others get 0, and wait in the queue, or leave it if `wait` is
   * false.
   */
  lock(name: string, owner: string, leaseId: LeaseId, wait: boolean): LockResult {
    const fault = this.leases.faultOf(leaseId);
    if (fault !== undefined) return fault;
    const claim = { owner: inOnePiece(owner), leaseId: publicPartOf(leaseId) };
    const lock = this.locks.get(name);
    const lease = this.leases.at(claim.leaseId);
    invariant(lease !== undefined, 'a lease that can be used exists');
    if (lock !== undefined && isSame(lock.holder, claim)) return lock.token;
    const place = lock?.waiting.findIndex((one) => isSame(one, claim)) ?? -1;
    if (lock !== undefined && place >= 0) {
      if (!wait) this.leave(name, lock, place);
      return 0;
    }
    if (lock !== undefined && !wait) return 0;
    if (!lease.locks.has(name) && lease.locks.size >= limits.leaseLocks) return 'too_many_of_lease';
    if (lock === undefined)
      return this.locks.size < limits.locks ? this.acquire(inOnePiece(name), claim) : 'too_many_locks';
    if (lock.waiting.length >= limits.lockWaiters) return 'too_many_waiters';
    lock.waiting.push(claim);
    this.changed.touch(name);
    lease.locks.add(inOnePiece(name));
    return 0;
  }

  /**
   * Releases a lock, which the first waiter acquires.
   * @param by the lease of the holder; `force`; undefined: only for a lease without a secret
   * @returns false: it is not held with this token, or not by this lease
   */
  unlock(name: string, token: number, by: LeaseId | 'force' | undefined): boolean | 'no_proof' {
    const lock = this.locks.get(name);
    if (lock === undefined || lock.token !== token) return false;
    if (by === undefined && this.leases.at(lock.holder.leaseId)?.secret !== '') return 'no_proof';
    if (by !== undefined && by !== 'force' && !this.isHeldBy(lock, by)) return false;
    this.grantToNext(name, lock);
    return true;
  }

  private isHeldBy({ holder }: Lock, leaseId: LeaseId): boolean {
    return holder.leaseId === publicPartOf(leaseId) && this.leases.isOwn(leaseId);
  }

  /** The token with which the lock is held; 0: nobody holds it. */
  tokenOf(name: string): number {
    return this.locks.get(name)?.token ?? 0;
  }

  find(name: string): LockFound {
    const lock = this.locks.get(name);
    if (lock === undefined) return { holder: null, waiting: 0 };
    const { holder, token, waiting } = lock;
    return { holder: { owner: holder.owner, leaseId: holder.leaseId, token }, waiting: waiting.length };
  }

  /** A page of the locks in the order of their names, after that name: as many as requested and as fit in a reply. */
  list(startAfter: string, limit: number): LocksPage {
    const following = [...this.locks.keys()].filter((name) => startAfter === '' || compareKeys(name, startAfter) > 0);
    const locks: LockRow[] = [];
    let room: number = limits.foundBytes;
    for (const name of following.sort(compareKeys)) {
      const { holder, token, waiting } = this.locks.get(name) as Lock;
      room -= foundOverheadBytes + Buffer.byteLength(name) + Buffer.byteLength(holder.owner);
      if (locks.length === limit || (room < 0 && locks.length > 0)) return { locks, more: true };
      locks.push([name, holder.owner, holder.leaseId, token, waiting.length]);
    }
    return { locks, more: false };
  }

  /** A lease ends: its waiters leave the queues, and its locks go to the next waiters. */
  release(leaseId: PublicLeaseId): void {
    // In an order that does not depend on a snapshot, as tokens follow from it.
    for (const name of [...(this.leases.at(leaseId)?.locks ?? [])].sort(compareKeys)) {
      const lock = this.locks.get(name);
      invariant(lock !== undefined, 'the locks of a lease exist');
      lock.waiting = lock.waiting.filter((one) => one.leaseId !== leaseId);
      this.changed.touch(name);
      if (lock.holder.leaseId === leaseId) this.grantToNext(name, lock);
      else this.forget(leaseId, name);
    }
  }

  /** All locks as they are now, for a snapshot. */
  rows(): SnapshotRows['locks'][] {
    return [...this.locks].map(([name, lock]) => rowOfLock(name, lock));
  }

  /** Restores a lock of a snapshot, after the leases. @returns whether it is valid */
  restore(name: string, token: number, holder: ClaimRow, waiting: readonly ClaimRow[]): boolean {
    const claims = [holder, ...waiting];
    if (this.locks.has(name) || claims.some(([, leaseId]) => this.leases.at(leaseId) === undefined)) return false;
    const ownName = inOnePiece(name);
    const [first, ...others] = claims.map(([owner, leaseId]): Claim => ({ owner: inOnePiece(owner), leaseId }));
    invariant(first !== undefined, 'a lock has a holder');
    this.locks.set(ownName, { holder: first, token, waiting: others });
    this.changed.touch(ownName);
    for (const [, leaseId] of claims) this.leases.at(leaseId)?.locks.add(ownName);
    return true;
  }

  private acquire(name: string, holder: Claim): number {
    const token = this.nextRevision();
    this.locks.set(name, { holder, token, waiting: [] });
    this.changed.touch(name);
    this.leases.at(holder.leaseId)?.locks.add(name);
    return token;
  }

  private leave(name: string, lock: Lock, place: number): void {
    const [gone] = lock.waiting.splice(place, 1);
    this.changed.touch(name);
    invariant(gone !== undefined, 'a waiter that leaves was in the queue');
    if (!isOf(lock, gone.leaseId)) this.forget(gone.leaseId, name);
  }

  private grantToNext(name: string, lock: Lock): void {
    const before = lock.holder.leaseId;
    const next = lock.waiting.shift();
    this.changed.touch(name);
    if (next === undefined) {
      this.locks.delete(name);
    } else {
      lock.holder = next;
      lock.token = this.nextRevision();
    }
    if (next === undefined || !isOf(lock, before)) this.forget(before, name);
  }

  private forget(leaseId: PublicLeaseId, name: string): void {
    this.leases.at(leaseId)?.locks.delete(name);
  }
}

function rowOfLock(name: string, { holder, token, waiting }: Lock): SnapshotRows['locks'] {
  return [name, token, rowOf(holder), waiting.map(rowOf)];
}

function rowOf({ owner, leaseId }: Claim): ClaimRow {
  return [owner, leaseId];
}

function isSame(one: Claim, other: Claim): boolean {
  return one.leaseId === other.leaseId && one.owner === other.owner;
}

/** Whether the lease holds the lock, or waits for it, for any owner. */
function isOf({ holder, waiting }: Lock, leaseId: PublicLeaseId): boolean {
  return holder.leaseId === leaseId || waiting.some((one) => one.leaseId === leaseId);
}
