import { ConclaveError, publicPartOf } from '@conclave/protocol';
import type { LeaseApi } from './lease-api.js';
import { isEnd, LeaseKeepalive } from './lease-keepalive.js';
import type { LockApi } from './lock-api.js';

export interface LockOptions {
  /** About how long the lock outlives this process, or its connection: 10 s by default. */
  readonly ttlMs?: number;
  /**
   * How long to wait for the lock, from the call on, whatever happens to the group meanwhile: its place in the queue is kept through
   * changes of the leader. 0 by default: it does not wait, and the calls have the client's time-out.
   */
  readonly waitMs?: number;
  /** The name of this holder, for people. */
  readonly owner?: string;
  /** Called if the wait takes longer than a second, and again when what it waits for has changed. */
  readonly onWait?: (wait: LockWait) => void;
  /**
   * Ends the wait: the place in the queue is given up, and then the call fails with the signal's reason. It has no effect on a lock that
   * is held.
   */
  readonly signal?: AbortSignal;
}

/** What a wait for a lock waits for: another client to release it, or a group that does not reply, for this reason. */
export type LockWait = { readonly holder: string } | { readonly problem: string };

const defaultTtlMs = 10_000;
const defaultOwner = 'client';
/** A waiting client asks for the holder: often at first, then less. */
const firstPauseMs = 20;
const longestPauseMs = 500;
/** How often the wait looks whether it waits for something else. */
const reportMs = 1000;
/** How long a call that begins at the end of the wait may take. */
const shortestCallMs = 200;

/** A lock that is held, by a lease that is kept, until it is released, or lost. */
export class Lock {
  private constructor(
    readonly name: string,
    /**
     * Higher than that of every earlier holder. Pass it to the protected resource, which must refuse a token lower than the highest it has
     * seen; or compare it in a transaction: `[name, 'lock', '=', token]`.
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
   * @param problem returns why the group does not reply at the moment; undefined: it replies, as far as known
   * @throws ConclaveError EBUSY: another client still holds it. ETIMEDOUT: the group did not reply within `waitMs`. The reason of
   * `signal` if that is aborted.
   */
  static async acquire(
    leases: LeaseApi,
    locks: LockApi,
    name: string,
    options: LockOptions,
    problem: () => string | undefined,
  ): Promise<Lock> {
    options.signal?.throwIfAborted();
    const wait = new Wait(options, problem);
    try {
      return await Lock.acquireWithin(wait, leases, locks, name, options);
    } finally {
      wait.end();
    }
  }

  private static async acquireWithin(
    wait: Wait,
    leases: LeaseApi,
    locks: LockApi,
    name: string,
    options: LockOptions,
  ): Promise<Lock> {
    for (;;) {
      const granting = LeaseKeepalive.grant(leases, options.ttlMs ?? defaultTtlMs, {
        ...wait.callOptions(),
        keepPastExpiry: true,
      });
      const lease = await wait.unlessAborted(granting, (late) => late.end());
      try {
        const token = await wait.unlessAborted(tokenOf(locks, name, options.owner ?? defaultOwner, lease, wait));
        await wait.unlessAborted(lease.confirm(wait.confirmMs()));
        return new Lock(name, token, lease, locks);
      } catch (error) {
        const ended = lease.end().catch(() => undefined);
        if (wait.isAborted) {
          await ended;
          throw error;
        }
        // The lease has ended, and with it the place in the queue; the wait continues with another lease.
        if (isEnd(error) && wait.hasTimeLeft()) {
          await wait.pause(longestPauseMs);
          continue;
        }
        // As the group has just replied, wait until the place in the queue is given up.
        if (error instanceof ConclaveError && error.code === 'EBUSY') await ended;
        throw error;
      }
    }
  }

  /**
   * Aborted when the lock is released or lost: its lease has ended, or could not be renewed in time, or the lock was taken by force, which
   * the next renewal detects. Its `reason` is a `ConclaveError`. Then stop what the lock protects. It depends on the clock of this
   * process, and so may be late after a pause of the process: what must not happen twice needs the token.
   */
  get signal(): AbortSignal {
    return this.lease.signal;
  }

  /** Whether it is still held, as far as this process can know. */
  isHeld(): boolean {
    return this.lease.isHeld();
  }

  /** How long it is still held if its lease cannot be renewed, in milliseconds; 0: it is not held. */
  leftMs(): number {
    return this.lease.leftMs();
  }

  /** Calls back each time that an attempt to renew the lease has failed, with `leftMs()`. */
  onOverdue(listener: (leftMs: number) => void): void {
    this.lease.onOverdue(listener);
  }

  /** Releases it, and ends its lease. If that fails, the next client gets it when the lease ends. */
  release(): Promise<void> {
    return this.lease.end();
  }
}

/** The wait for a lock. */
class Wait {
  private readonly waitMs: number;
  private readonly untilMs: number;
  private readonly timer: NodeJS.Timeout | undefined;
  /** What was reported last, as JSON. */
  private reported = '';
  /** The owner that held the lock when the group replied last; undefined: unknown. */
  holder: string | undefined;

  private readonly signal: AbortSignal | undefined;

  constructor(
    { waitMs = 0, onWait, signal }: LockOptions,
    private readonly problem: () => string | undefined,
  ) {
    this.signal = signal;
    this.waitMs = waitMs;
    this.untilMs = performance.now() + waitMs;
    if (waitMs > 0 && onWait !== undefined) this.timer = setInterval(() => this.report(onWait), reportMs).unref();
  }

  end(): void {
    clearInterval(this.timer);
  }

  get isAborted(): boolean {
    return this.signal?.aborted === true;
  }

  /**
   * Settles as `step` does, or rejects with the signal's reason as soon as that is aborted.
   * @param undo is called with the result of a step that settles after that
   */
  unlessAborted<T>(step: Promise<T>, undo: (result: T) => Promise<void> = async () => undefined): Promise<T> {
    const { signal } = this;
    if (signal === undefined) return step;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        reject(signal.reason);
        step.then(undo).catch(() => undefined);
      };
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      step.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    });
  }

  private report(onWait: (wait: LockWait) => void): void {
    const [problem, { holder }] = [this.problem(), this];
    const wait = problem !== undefined ? { problem } : holder !== undefined ? { holder } : undefined;
    const text = JSON.stringify(wait);
    if (wait === undefined || text === this.reported) return;
    this.reported = text;
    onWait(wait);
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

  /** No call takes longer than the wait, except a last one that begins just before its end; without a wait, the client's own time-out. */
  callOptions(): { readonly timeoutMs?: number } {
    return this.isQueued ? { timeoutMs: Math.max(shortestCallMs, this.leftMs()) } : {};
  }

  /** Resolves after this time, or at the end of the wait. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, Math.min(ms, this.leftMs())));
  }

  /** How long the last step may take. */
  confirmMs(): number {
    return Math.max(1000, this.leftMs());
  }
}

/** @returns the token, once the lease holds the lock */
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
    // Each lock has its own lease, so the owner need not be compared.
    if (holder?.lease_id === publicPartOf(lease.leaseId)) return holder.token;
    wait.holder = holder?.owner;
    lease.signal.throwIfAborted();
    if (wait.isAborted) return 0;
    if (!wait.hasTimeLeft()) {
      throw new ConclaveError('EBUSY', `${holder?.owner ?? 'another'} holds ${JSON.stringify(name)}`);
    }
    await wait.pause(pauseMs);
  }
}
