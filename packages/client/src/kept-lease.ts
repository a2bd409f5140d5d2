import { ConclaveError } from '@conclave/protocol';
import type { LeaseApi } from './lease-api.js';

/** A lease is kept so many times in its time. */
const keepsPerTtl = 3;

/**
 * A lease that is kept until it is ended, or lost.
 *
 * `signal` is aborted when it may have ended: at the latest its time after it was last asked to be kept, by the clock of
 * this process. The group ends it no earlier than its time after it was last kept, so this is told first, unless this
 * process stands still: then `isHeld()` tells it, and the token of a lock is what protects.
 */
export class KeptLease {
  private readonly controller = new AbortController();
  private timer: NodeJS.Timeout | undefined;

  private constructor(
    private readonly leases: LeaseApi,
    readonly leaseId: number,
    private readonly ttlMs: number,
    private heldUntilMs: number,
  ) {
    this.keepLater();
  }

  /** Has a lease granted, and keeps it. */
  static async grant(leases: LeaseApi, ttlMs: number, timeoutMs?: number): Promise<KeptLease> {
    const askedMs = performance.now();
    const { lease_id } = await leases.grant(ttlMs, timeoutMs === undefined ? {} : { timeoutMs });
    return new KeptLease(leases, lease_id, ttlMs, askedMs + ttlMs);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  isHeld(): boolean {
    return !this.signal.aborted && performance.now() < this.heldUntilMs;
  }

  /** Ends it, with all that is tied to it. Where that fails it ends by itself, as nobody keeps it. */
  async end(): Promise<void> {
    this.stop(new ConclaveError('ECANCELED', `lease ${this.leaseId} was given back`));
    await this.leases.revoke(this.leaseId);
  }

  private keepLater(): void {
    // A process that has nothing else to do may end, and with it its leases.
    this.timer = setTimeout(() => void this.keep(), this.ttlMs / keepsPerTtl).unref();
  }

  private async keep(): Promise<void> {
    const askedMs = performance.now();
    const leftMs = this.heldUntilMs - askedMs;
    try {
      if (leftMs <= 0) throw new ConclaveError('ETIMEDOUT', `lease ${this.leaseId} was not kept in time`, 'unknown');
      await this.leases.keep(this.leaseId, { timeoutMs: leftMs });
      this.heldUntilMs = askedMs + this.ttlMs;
      if (!this.signal.aborted) this.keepLater();
    } catch (error) {
      this.stop(error as Error);
    }
  }

  private stop(reason: Error): void {
    clearTimeout(this.timer);
    this.controller.abort(reason);
  }
}
