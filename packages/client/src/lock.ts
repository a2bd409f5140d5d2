import { ConclaveError, publicPartOf } from '@conclave/protocol';
import type { LeaseApi } from './lease-api.js';
import { isEnd, LeaseKeepalive } from './lease-keepalive.js';
import type { LockApi } from './lock-api.js';

export interface LockOptions {
  /** How long the lock outlives this process, or its connection, at most about: 10 s unless given. */
  readonly ttlMs?: number;
  /**
   * How long to wait for the lock, from the call on, whatever happens to the group meanwhile: its place in the queue is kept
   * through changes of the leader. 0, unless given: it is not waited for, and the calls have the client's time-out.
   */
  readonly waitMs?: number;
  /** What this holder is called, for people. */
  readonly owner?: string;
}

const defaultTtlMs = 10_000;
const defaultOwner = 'client';
/** A waiting client asks whether its turn has come: often at first, then less. */
const firstPauseMs = 20;
const longestPauseMs = 500;
/** A call that begins at the end of the wait may take so long. */
const shortestCallMs = 200;

/** A lock that is held, by a lease that is kept, until it is released, or lost. */
export class Lock {
  private constructor(
    readonly name: string,
    /**
     * Higher than that of every earlier holder. Send it along to what the lock protects, which must refuse one that is
     * lower than it has seen; or compare it in a transaction: `[name, 'lock', '=', token]`.
     */
    readonly token: number,
    private readonly lease: LeaseKeepalive,
    locks: LockApi,
  ) {
    lease.checkWithRenewals(async () => {
      const { holder } = await locks.getForHolder(name);
      if (holder?.token === token) return undefined;
      const now = holder === null ? 'nobody holds it now' : `${holder.owner} holds it now, with token ${holder.token}`;
      return new ConclaveError('ENOENT', `the lock ${JSON.stringify(name)} was taken from token ${token}: ${now}`);
    });
  }

  /**
   * @throws ConclaveError EBUSY: another holds it still. ETIMEDOUT: the group did not answer within `waitMs`.
   */
  static async acquire(leases: LeaseApi, locks: LockApi, name: string, options: LockOptions = {}): Promise<Lock> {
    const wait = new Wait(options.waitMs ?? 0);
    for (;;) {
      const lease = await LeaseKeepalive.grant(leases, options.ttlMs ?? defaultTtlMs, {
        ...wait.callOptions(),
        keepPastExpiry: true,
      });
      try {
        const token = await tokenOf(locks, name, options.owner ?? defaultOwner, lease, wait);
        await lease.confirm(wait.confirmMs());
        return new Lock(name, token, lease, locks);
      } catch (error) {
        const ended = lease.end().catch(() => undefined);
        // The lease has ended, and with it the place in the queue: the wait has not.
        if (isEnd(error) && wait.hasTimeLeft()) {
          await wait.pause(longestPauseMs);
          continue;
        }
        // A group that has just answered has the place given back before the caller goes on.
        if (error instanceof ConclaveError && error.code === 'EBUSY') await ended;
        throw error;
      }
    }
  }

  /**
   * Aborted when the lock is released, or has been lost: its lease has ended, or could not be renewed in time, or the lock
   * was taken away by force, which the next renewal finds out. Its `reason` is a `ConclaveError`. Stop what the lock protects
   * then. It comes by the clock of this process, and so may come late where that was stopped: what must not happen
   * twice needs the token.
   */
  get signal(): AbortSignal {
    return this.lease.signal;
  }

  /** Whether it is held still, as far as this process can know. */
  isHeld(): boolean {
    return this.lease.isHeld();
  }

  /** For how long it is held still if its lease cannot be renewed, in milliseconds; 0: it is not held. */
  leftMs(): number {
    return this.lease.leftMs();
  }

  /** Calls back each time that an attempt to renew the lease has failed, with `leftMs()`. */
  onOverdue(listener: (leftMs: number) => void): void {
    this.lease.onOverdue(listener);
  }

  /** Gives it back, and its lease. Where that fails it is passed on when the lease ends. */
  release(): Promise<void> {
    return this.lease.end();
  }
}

/** How long a lock is waited for. */
class Wait {
  private readonly untilMs: number;

  constructor(private readonly waitMs: number) {
    this.untilMs = performance.now() + waitMs;
  }

  get isQueued(): boolean {
    return this.waitMs > 0;
  }

  leftMs(): number {
    return this.untilMs - performance.now();
  }

  hasTimeLeft(): boolean {
    return this.leftMs() > 0;
  }

  /** No call takes longer than the wait, but for a last one that began just before its end; without a wait it has the client's own time-out. */
  callOptions(): { readonly timeoutMs?: number } {
    return this.isQueued ? { timeoutMs: Math.max(shortestCallMs, this.leftMs()) } : {};
  }

  /** Settled after so long, or when the wait is over. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, Math.min(ms, this.leftMs())));
  }

  /** What the last step may take. */
  confirmMs(): number {
    return Math.max(1000, this.leftMs());
  }
}

/** The token, once the lease holds the lock. */
async function tokenOf(
  locks: LockApi,
  name: string,
  owner: string,
  lease: LeaseKeepalive,
  wait: Wait,
): Promise<number> {
  const { token } = await locks.acquire(name, owner, lease.leaseId, {
    wait: wait.isQueued,
    ...wait.callOptions(),
  });
  if (token > 0) return token;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 1.5, longestPauseMs)) {
    const { holder } = await locks.get(name, wait.callOptions());
    // Each lock has a lease of its own, so the owner needs no look.
    if (holder?.lease_id === publicPartOf(lease.leaseId)) return holder.token;
    lease.signal.throwIfAborted();
    if (!wait.hasTimeLeft()) {
      throw new ConclaveError('EBUSY', `${holder?.owner ?? 'another'} holds ${JSON.stringify(name)}`);
    }
    await wait.pause(pauseMs);
  }
}
