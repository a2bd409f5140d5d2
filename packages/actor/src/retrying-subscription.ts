/**
 * A subscription that is retried while NATS refuses it. Permissions change while a process runs: by a reload of the server, or with
 * another login. The NATS client forgets a subscription that was refused.
 *
 * Owns: the client's subscription, and whether NATS refuses it. Invariant: at most one subscription of the client is open, so that no
 * message is received twice.
 */
import { violationOf } from '@conclave/protocol/login';
import type { Msg, NatsConnection, Subscription } from 'nats';

/** Between two retries: doubled each time. Each retry that fails is a line in the log of the NATS server. */
const firstPauseMs = 2000;
const longestPauseMs = 60_000;

export interface SubscriptionListener {
  /** Must not throw: the client stops reading if it does. */
  readonly onMessage: (message: Msg) => void;
  /** `refusal` is undefined if it failed for another reason than permissions; then it is not retried. */
  readonly onFailed: (subscription: RetryingSubscription, error: Error) => void;
  readonly onPermitted: (subscription: RetryingSubscription) => void;
}

export class RetryingSubscription {
  private current: Subscription;
  private refused: string | undefined;
  private refusals = 0;
  private pauseMs = firstPauseMs;
  private retryAtMs = 0;
  private isRetrying = false;
  private isEnded = false;

  constructor(
    private readonly nats: NatsConnection,
    readonly subject: string,
    private readonly listener: SubscriptionListener,
  ) {
    this.current = this.subscribe();
  }

  /** What NATS does not permit, for people; undefined: nothing, as far as is known. */
  get refusal(): string | undefined {
    return this.refused;
  }

  get isClosed(): boolean {
    return this.isEnded;
  }

  unsubscribe(): void {
    this.isEnded = true;
    if (!this.current.isClosed() && !this.nats.isClosed()) this.current.unsubscribe();
  }

  /** As `unsubscribe`; settled when everything that the server had sent has been received. */
  async drain(): Promise<void> {
    this.isEnded = true;
    if (!this.current.isClosed()) await this.current.drain();
  }

  /** After a new connection, perhaps with another login: the next retry need not wait. */
  retrySoon(): void {
    this.pauseMs = firstPauseMs;
    this.retryAtMs = 0;
  }

  /** Subscribes again if NATS refused the subscription and enough time has passed. */
  async retry(nowMs: number): Promise<void> {
    if (this.refused === undefined || this.isEnded || this.isRetrying || nowMs < this.retryAtMs) return;
    this.isRetrying = true;
    const refusalsBefore = this.refusals;
    try {
      // One that was made before the connection was lost is open still, and was made again with the next connection.
      if (this.current.isClosed()) this.current = this.subscribe();
      await this.nats.flush();
      if (this.refusals === refusalsBefore) this.onPermitted();
    } catch {
      // The connection was lost: retried with the next one.
    } finally {
      this.isRetrying = false;
    }
    this.retryAtMs = nowMs + this.pauseMs;
    this.pauseMs = Math.min(2 * this.pauseMs, longestPauseMs);
  }

  private subscribe(): Subscription {
    return this.nats.subscribe(this.subject, {
      callback: (error, message) => {
        if (error === null) this.listener.onMessage(message);
        else this.onFailed(error);
      },
    });
  }

  private onFailed(error: Error): void {
    this.refused = violationOf(error)?.message;
    this.refusals += 1;
    this.listener.onFailed(this, error);
  }

  private onPermitted(): void {
    this.refused = undefined;
    this.retrySoon();
    if (!this.isEnded) this.listener.onPermitted(this);
  }
}
