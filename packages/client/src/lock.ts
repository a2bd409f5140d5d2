import { ConclaveError } from '@conclave/protocol';
import { KeptLease } from './kept-lease.js';
import type { LeaseApi } from './lease-api.js';
import type { LockApi } from './lock-api.js';

export interface LockOptions {
  /** How long the lock outlives this process, or its connection, at most about: 10 s unless given. */
  readonly ttlMs?: number;
  /** How long to wait in the queue for it; 0, unless given: not at all. */
  readonly waitMs?: number;
  /** What this holder is called, for people. */
  readonly owner?: string;
}

const defaultTtlMs = 10_000;
const defaultOwner = 'client';
/** Who waits asks whether its turn has come: often at first, then less. */
const firstPauseMs = 20;
const longestPauseMs = 500;

/** A lock that is held, by a lease that is kept, until it is released, or lost. */
export class Lock {
  private constructor(
    readonly name: string,
    /**
     * Higher than that of every earlier holder. Send it along to what the lock protects, which must refuse one that is
     * lower than it has seen; or compare it in a transaction: `[name, 'lock', '=', token]`.
     */
    readonly token: number,
    private readonly lease: KeptLease,
  ) {}

  /** @throws ConclaveError EBUSY: another holds it still. */
  static async acquire(leases: LeaseApi, locks: LockApi, name: string, options: LockOptions = {}): Promise<Lock> {
    const { ttlMs = defaultTtlMs, waitMs = 0, owner = defaultOwner } = options;
    const untilMs = performance.now() + waitMs;
    const lease = await KeptLease.grant(leases, ttlMs);
    try {
      const { token } = await locks.acquire(name, owner, lease.leaseId, { wait: waitMs > 0 });
      return new Lock(name, token || (await turnOf(locks, name, lease, untilMs)), lease);
    } catch (error) {
      // Ends the waiting, too. The error tells more than one of this would.
      await lease.end().catch(() => undefined);
      throw error;
    }
  }

  /**
   * Aborted when the lock is released, or may have been lost: its lease has ended, or could not be kept in time. Its
   * `reason` is a `ConclaveError`. Stop what the lock protects then. It comes by the clock of this process, and so may come
   * late where that stands still: what must not happen twice needs the token.
   */
  get signal(): AbortSignal {
    return this.lease.signal;
  }

  /** Whether it is held still, as far as this process can know. */
  isHeld(): boolean {
    return this.lease.isHeld();
  }

  /** Gives it back, and its lease. Where that fails it is passed on when the lease ends. */
  release(): Promise<void> {
    return this.lease.end();
  }
}

/** The token, when the turn has come. */
async function turnOf(locks: LockApi, name: string, lease: KeptLease, untilMs: number): Promise<number> {
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 1.5, longestPauseMs)) {
    const { holder } = await locks.get(name);
    // Each lock has a lease of its own, so the owner needs no look.
    if (holder?.lease_id === lease.leaseId) return holder.token;
    lease.signal.throwIfAborted();
    const leftMs = untilMs - performance.now();
    if (leftMs <= 0) {
      throw new ConclaveError('EBUSY', `${holder?.owner ?? 'another'} holds ${JSON.stringify(name)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, Math.min(pauseMs, leftMs)));
  }
}
