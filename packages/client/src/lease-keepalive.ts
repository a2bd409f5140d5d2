import { ConclaveError, type LeaseId, publicPartOf } from '@conclave/protocol';
import type { LeaseApi } from './lease-api.js';

/** A lease is renewed this many times in its time. */
const renewalsPerTtl = 3;
/** One attempt to renew takes at most this part of the lease's time, so that a lost message costs no lease. */
const attemptsPerTtl = 6;
const longestAttemptMs = 10_000;
/** The pause after a failed attempt: this part of the lease's time, within these bounds. */
const pausesPerTtl = 20;
const shortestPauseMs = 20;
const longestPauseMs = 1000;

/** How a lease is kept. */
export interface KeepOptions {
  readonly timeoutMs?: number;
  /**
   * Whether to keep the lease even if its time is over by the clock of this process, until the group replies that it has ended: for a
   * lease that only holds a place in a queue. `confirm` ends this.
   */
  readonly keepPastExpiry?: boolean;
}

/** Returns why what the lease protects has been lost; undefined: it has not. */
export type LossCheck = () => Promise<ConclaveError | undefined>;

/**
 * A lease that is renewed until it is ended, or lost.
 *
 * It is lost only if the group replies that there is no such lease (ENOENT), or none in this history (EHISTORY); or if its time is over,
 * counted from when the last successful renewal was sent, on the monotonic clock of this process. After any other failure it retries
 * until then. The group ends the lease no earlier, so `signal` is aborted first, unless this process was paused: then `isHeld()` returns
 * false, and only the token of a lock protects.
 */
export class LeaseKeepalive {
  private readonly controller = new AbortController();
  private renewTimer: NodeJS.Timeout | undefined;
  private endTimer: NodeJS.Timeout | undefined;
  private readonly overdueListeners = new Set<(leftMs: number) => void>();
  private lossCheck: LossCheck | undefined;
  private readonly ignoreHistories: () => void;
  /** The last failure, for people. */
  private problem = '';

  private constructor(
    private readonly leases: LeaseApi,
    readonly leaseId: LeaseId,
    private readonly ttlMs: number,
    private heldUntilMs: number,
    private keepsPastExpiry: boolean,
  ) {
    this.renewLater(this.ttlMs / renewalsPerTtl);
    this.scheduleExpiry();
    this.ignoreHistories = leases.onHistoryChange((groupUid) => {
      this.stop(
        new ConclaveError('EHISTORY', `lease ${publicPartOf(leaseId)} was of history ${groupUid}, which has ended`),
      );
    });
  }

  /** Requests a lease, and keeps it alive. */
  static async grant(leases: LeaseApi, ttlMs: number, options: KeepOptions = {}): Promise<LeaseKeepalive> {
    const { timeoutMs, keepPastExpiry = false } = options;
    const sentMs = performance.now();
    const { lease_id } = await leases.grant(ttlMs, timeoutMs === undefined ? {} : { timeoutMs });
    return new LeaseKeepalive(leases, lease_id, ttlMs, sentMs + ttlMs, keepPastExpiry);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  isHeld(): boolean {
    return !this.signal.aborted && performance.now() < this.heldUntilMs;
  }

  /** How long it is still held if it cannot be renewed, in milliseconds; 0: it is not held. */
  leftMs(): number {
    return this.signal.aborted ? 0 : Math.max(0, this.heldUntilMs - performance.now());
  }

  /** Calls back each time that an attempt to renew it has failed, with `leftMs()`. */
  onOverdue(listener: (leftMs: number) => void): void {
    this.overdueListeners.add(listener);
  }

  /** Runs with each renewal; one that fails is repeated with the next. */
  checkWithRenewals(lossCheck: LossCheck): void {
    this.lossCheck = lossCheck;
  }

  /**
   * From now on the lease's time counts. If it is over already, the lease is renewed first.
   * @throws ConclaveError if it could not be renewed within that time, or has been lost
   */
  async confirm(timeoutMs: number): Promise<void> {
    this.signal.throwIfAborted();
    if (!this.isHeld()) {
      const sentMs = performance.now();
      await this.leases.keep(this.leaseId, { timeoutMs });
      this.heldUntilMs = sentMs + this.ttlMs;
    }
    this.signal.throwIfAborted();
    this.keepsPastExpiry = false;
    this.scheduleExpiry();
  }

  /** Ends it, with all that is tied to it. If that fails it ends by itself, as it is no longer renewed. */
  async end(): Promise<void> {
    this.stop(new ConclaveError('ECANCELED', `lease ${publicPartOf(this.leaseId)} was released`));
    await this.leases.revoke(this.leaseId);
  }

  private renewLater(afterMs: number): void {
    // A process that has nothing else to do may exit, and its leases end.
    this.renewTimer = setTimeout(() => void this.renew(), afterMs).unref();
  }

  private async renew(): Promise<void> {
    const sentMs = performance.now();
    if (this.lossCheck !== undefined) void this.checkLoss(this.lossCheck);
    const attemptMs = Math.min(this.ttlMs / attemptsPerTtl, longestAttemptMs);
    try {
      await this.leases.keep(this.leaseId, { timeoutMs: attemptMs });
    } catch (error) {
      return this.onFailure(error as ConclaveError);
    }
    // A lease that was not held any more is lost, even if the group still has it: `isHeld` has returned false.
    if (this.endIfExpired() || this.signal.aborted) return;
    this.problem = '';
    this.heldUntilMs = sentMs + this.ttlMs;
    this.scheduleExpiry();
    this.renewLater(this.ttlMs / renewalsPerTtl);
  }

  private onFailure(error: ConclaveError): void {
    if (this.signal.aborted) return;
    // ESHUTDOWN: this client was closed.
    if (isEnd(error) || error.code === 'ESHUTDOWN') return this.stop(error);
    this.problem = `${error.code}: ${error.message}`;
    if (this.endIfExpired()) return;
    for (const listener of this.overdueListeners) listener(this.leftMs());
    this.renewLater(Math.min(Math.max(this.ttlMs / pausesPerTtl, shortestPauseMs), longestPauseMs));
  }

  private async checkLoss(lossCheck: LossCheck): Promise<void> {
    const loss = await lossCheck().catch(() => undefined);
    if (loss === undefined || this.signal.aborted) return;
    this.stop(loss);
    await this.leases.revoke(this.leaseId).catch(() => undefined);
  }

  private scheduleExpiry(): void {
    clearTimeout(this.endTimer);
    if (this.keepsPastExpiry || this.signal.aborted) return;
    const leftMs = Math.max(0, Math.ceil(this.heldUntilMs - performance.now()));
    this.endTimer = setTimeout(() => this.endIfExpired() || this.scheduleExpiry(), leftMs).unref();
  }

  /** @returns whether its time is over */
  private endIfExpired(): boolean {
    if (this.keepsPastExpiry || performance.now() < this.heldUntilMs) return false;
    const text = `lease ${publicPartOf(this.leaseId)} was not renewed in time`;
    this.stop(new ConclaveError('ETIMEDOUT', this.problem === '' ? text : `${text}: ${this.problem}`, 'unknown'));
    return true;
  }

  private stop(reason: Error): void {
    clearTimeout(this.renewTimer);
    clearTimeout(this.endTimer);
    this.ignoreHistories();
    this.controller.abort(reason);
  }
}

/** Whether the group reports by this error that there is no such lease. */
export function isEnd(error: unknown): boolean {
  return error instanceof ConclaveError && (error.code === 'ENOENT' || error.code === 'EHISTORY');
}
