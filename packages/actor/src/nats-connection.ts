/**
 * A process's connection to NATS: it tries the servers in the given order, without end; detects a frozen server; and bounds what
 * waits to be written. The client library bounds nothing itself: it keeps what is published while it is disconnected, and what a
 * server does not read.
 */
import { ConclaveError, DropCounter, limits } from '@conclave/protocol';
import { findServer, inboxOf, LoginError, type NatsLogin, violationOf } from '@conclave/protocol/login';
import { connect, type Msg, type NatsConnection, type PublishOptions, type Status } from 'nats';
import type { LineLog } from './actor-log.js';
import { RetryingSubscription } from './retrying-subscription.js';

export interface NatsOptions {
  /** The servers, the preferred one first, and the login. */
  readonly login: NatsLogin;
  /** Consecutive rejected logins before it gives up; 0: never. Unreachable servers are retried without end. */
  readonly loginAttempts?: number;
  /** The client name that the server shows to operators. */
  readonly name: string;
  readonly log: LineLog;
  /**
   * Whether reading yields to other input of this process after some milliseconds of each turn of the event loop, and while much
   * waits to be written. For requests, which others may send in any number.
   */
  readonly givesWay?: boolean;
  /** How long a server may take to reply before the next one is tried. */
  readonly dialTimeoutMs?: number;
  /** The connection is closed if the server has sent nothing for three to four of these. */
  readonly pingIntervalMs?: number;
}

const reconnectWaitMs = 100;
const reconnectJitterMs = 100;
const defaultDialTimeoutMs = 2000;
const defaultPingIntervalMs = 2000;
export const defaultLoginAttempts = 10;
/** The pause after the first rejected login, before the first success; doubled each time. */
const firstLoginPauseMs = 100;
const longestLoginPauseMs = 2000;
/** How long a connection with `givesWay` reads in one turn of the event loop. */
const readingMs = 4;
/** How often it checks whether less waits to be written. */
const congestedMs = 5;
/** How long a server may take to deliver what it had sent before an unsubscribe. */
const drainMs = 1000;
/** After this many ping intervals without a message or a reply, the connection is closed. */
const silentRounds = 3;
/**
 * The library's own pings are practically disabled: it accepts only replies to them, not messages, as a sign that the server
 * works.
 */
const libraryPingIntervalMs = 2 ** 31 - 1;

/** Private parts of the client, used to find out whether something can be published, and to close a connection that hangs. */
interface Inside {
  readonly protocol: {
    readonly connected: boolean;
    readonly transport?: {
      readonly socket?: { readonly writableLength: number; pause(): void; resume(): void; destroy(): void };
    };
  };
}

/** Why nothing can be published now. */
type Obstacle = 'disconnected' | 'outbound_full';

export class Connection {
  private readonly tally = new DropCounter();
  private reconnected = 0;
  private closing = false;
  private readonly watch: NodeJS.Timeout;
  private silent = 0;
  private heardMessages = 0;
  private heardWaitingBytes = 0;
  /** When this turn of the event loop began to read from it. */
  private readingSinceMs: number | undefined;
  private isPaused = false;

  /** Why the login is rejected now, or no server is reached. */
  private loginProblem: string | undefined;
  private isDiagnosing = false;
  /** The client reports each attempt that fails as a loss, and as many connections as losses once one succeeds. */
  private isLost = false;
  /** The subscriptions that NATS does not permit at the moment. */
  private readonly refused = new Set<RetryingSubscription>();

  private constructor(
    readonly nats: NatsConnection,
    private readonly options: NatsOptions,
  ) {
    void this.logStatus();
    this.watch = setInterval(() => this.onPingTime(), options.pingIntervalMs ?? defaultPingIntervalMs);
    this.watch.unref();
    void nats.closed().then(() => clearInterval(this.watch));
  }

  /**
   * Waits for the first server that replies.
   * @throws ConclaveError ELOGIN if the login was rejected `loginAttempts` times in a row
   * @throws Error if that server does not allow messages as large as Conclave's
   */
  static async open(options: NatsOptions): Promise<Connection> {
    const { login, name, log } = options;
    log.write('info', 'connecting to NATS', { servers: login.servers, login: login.kind });
    const timeout = options.dialTimeoutMs ?? defaultDialTimeoutMs;
    const taken = await untilTaken(options, timeout);
    const nats = await connect({
      ...login.connectOptions(taken),
      name,
      noRandomize: true,
      noEcho: true,
      reconnect: true,
      maxReconnectAttempts: -1,
      waitOnFirstConnect: true,
      ignoreAuthErrorAbort: true,
      reconnectTimeWait: reconnectWaitMs,
      reconnectJitter: reconnectJitterMs,
      reconnectJitterTLS: reconnectJitterMs,
      timeout,
      pingInterval: libraryPingIntervalMs,
    });
    const allowed = nats.info?.max_payload ?? 0;
    if (allowed < limits.messageBytes) {
      await nats.close();
      throw new Error(
        `the NATS server ${nats.getServer()} allows messages of ${allowed} bytes; Conclave needs ` +
          `max_payload: ${limits.messageBytes} or more in the server's configuration`,
      );
    }
    log.write('info', 'connected to NATS', { server: nats.getServer() });
    return new Connection(nats, options);
  }

  /** Why this connection does not work, for a health check; undefined: it works. */
  get problem(): string | undefined {
    const refusal = [...this.refused].find(({ isClosed }) => !isClosed)?.refusal;
    return this.loginProblem ?? (refusal === undefined ? undefined : `EPERM: ${refusal}`);
  }

  /** A subject for replies to this connection only. */
  createInbox(): string {
    return inboxOf(this.nats);
  }

  /** Whether it works, how often it was made again, and what went over it. */
  get traffic(): {
    readonly isConnected: boolean;
    readonly reconnects: number;
    readonly inBytes: number;
    readonly outBytes: number;
  } {
    const { inBytes, outBytes } = this.nats.stats();
    return {
      isConnected: this.inside.connected && this.problem === undefined,
      reconnects: this.reconnected,
      inBytes,
      outBytes,
    };
  }

  private get log(): LineLog {
    return this.options.log;
  }

  /** Names the connection to the server: after a loss, the next one has another id. */
  get id(): string {
    const { server_id = '', client_id = 0 } = this.nats.info ?? {};
    return `${server_id} ${client_id}`;
  }

  /** What was not published, and which requests were dropped, by reason. */
  get dropped(): Readonly<Record<string, number>> {
    return this.tally.byReason;
  }

  /** The most bytes of one message's body and headers. */
  get messageBytes(): number {
    return Math.min(this.nats.info?.max_payload ?? limits.messageBytes, limits.messageBytes);
  }

  /** Publishes; if that is impossible now, drops and counts the message, and returns false. Never throws. */
  publish(subject: string, data: Uint8Array, options?: PublishOptions): boolean {
    const obstacle = this.obstacle();
    if (obstacle !== undefined) return this.drop(obstacle);
    try {
      this.nats.publish(subject, data, options);
      return true;
    } catch (error) {
      this.log.write('warn', 'a message was not published', { subject, bytes: data.length, err: String(error) });
      return this.drop('publish_failed');
    }
  }

  /** Subscribes to a subject; a refused subscription is retried from time to time. `receive` must not throw. */
  subscribe(subject: string, receive: (message: Msg) => void): RetryingSubscription {
    return new RetryingSubscription(this.nats, subject, {
      onMessage: (message) => this.onMessage(message, receive),
      onFailed: (subscription, error) => this.onSubscriptionFailed(subscription, error),
      onPermitted: (subscription) => this.onSubscriptionPermitted(subscription),
    });
  }

  private onMessage(message: Msg, receive: (message: Msg) => void): void {
    try {
      receive(message);
    } catch (thrown) {
      this.tally.count('receiver_threw');
      this.log.write('error', 'a message could not be handled', { subject: message.subject, err: String(thrown) });
    }
    if (this.options.givesWay === true) this.giveWay();
  }

  private onSubscriptionFailed(subscription: RetryingSubscription, error: Error): void {
    const { subject, refusal } = subscription;
    if (refusal !== undefined && this.refused.has(subscription)) return;
    const hint = refusal === undefined ? {} : { hint: 'permit it: it is tried again from time to time' };
    this.log.write('error', 'a subscription failed', { subject, err: refusal ?? error.message, ...hint });
    if (refusal !== undefined) this.refused.add(subscription);
  }

  private onSubscriptionPermitted(subscription: RetryingSubscription): void {
    this.refused.delete(subscription);
    this.log.write('info', 'a subscription is permitted now', { subject: subscription.subject });
  }

  /** Permissions may have been widened. */
  private retryRefused(isNewConnection: boolean): void {
    for (const subscription of this.refused) {
      if (isNewConnection) subscription.retrySoon();
      if (subscription.isClosed) this.refused.delete(subscription);
      else void subscription.retry(performance.now());
    }
  }

  /** Unsubscribes; resolves when everything that the server had sent for the subscription has been received. */
  async drain(subscription: RetryingSubscription): Promise<void> {
    if (this.nats.isClosed() || subscription.isClosed) return;
    if (!this.inside.connected) return subscription.unsubscribe();
    // If the connection is lost meanwhile, so is what was on its way.
    const drained = subscription.drain().catch(() => undefined);
    await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, drainMs).unref())]);
  }

  /** Whether so much waits to be written that large replies must wait. */
  get isCongested(): boolean {
    return this.waitingBytes > limits.outboundBytes / 2;
  }

  /** Pauses reading if this turn of the event loop has read for long enough. */
  private giveWay(): void {
    if (this.readingSinceMs === undefined) {
      this.readingSinceMs = performance.now();
      setImmediate(() => this.onTurn());
    } else if (!this.isPaused && performance.now() - this.readingSinceMs > readingMs) {
      this.isPaused = true;
      this.inside.transport?.socket?.pause();
    }
  }

  private onTurn(): void {
    this.readingSinceMs = undefined;
    if (this.isCongested) {
      this.isPaused = true;
      this.inside.transport?.socket?.pause();
      setTimeout(() => this.onTurn(), congestedMs);
    } else if (this.isPaused) {
      this.isPaused = false;
      this.inside.transport?.socket?.resume();
    }
  }

  /** Counts something dropped that was received over this connection. */
  count(reason: string): void {
    this.tally.count(reason);
  }

  /** Resolves when the server has processed everything sent so far, including subscriptions. */
  async settled(): Promise<void> {
    while (!this.nats.isClosed()) {
      try {
        await this.nats.flush();
        return;
      } catch {
        // The connection was lost; the next one subscribes again.
        await new Promise((resolve) => setTimeout(resolve, reconnectWaitMs));
      }
    }
  }

  /** Publishes what waits, then closes. */
  async close(): Promise<void> {
    if (this.closing) return;
    this.closing = true;
    if (this.obstacle() === undefined) {
      // A server that hangs must not keep the process from stopping.
      const flushed = this.nats.flush().catch(() => undefined);
      await Promise.race([flushed, new Promise((resolve) => setTimeout(resolve, 1000).unref())]);
    }
    await this.nats.close();
  }

  /**
   * Closes the connection to a server that has sent nothing for some ping intervals. A message counts as much as the reply to a
   * ping: the reply is queued after all messages, so under a flood it is late, and closing the connection would lose the
   * messages.
   */
  private onPingTime(): void {
    if (!this.inside.connected || this.closing) {
      this.silent = 0;
      if (!this.closing) void this.diagnose();
      return;
    }
    this.retryRefused(false);
    const { inMsgs } = this.nats.stats();
    // While this process pauses reading, the server works if it still accepts what this process sends.
    const isTaking = this.isPaused && this.waitingBytes !== this.heardWaitingBytes;
    this.silent = inMsgs === this.heardMessages && !isTaking ? this.silent + 1 : 0;
    this.heardMessages = inMsgs;
    this.heardWaitingBytes = this.waitingBytes;
    if (this.silent >= silentRounds) {
      this.silent = 0;
      this.log.write('warn', 'the NATS server answers no pings; leaving it', { server: this.nats.getServer() });
      // The library would first wait until the server has read everything, possibly without end.
      this.inside.transport?.socket?.destroy();
      return;
    }
    const onAnswer = (): void => {
      this.silent = 0;
    };
    // If the connection is lost meanwhile, the next one is watched.
    this.nats.flush().then(onAnswer, () => undefined);
  }

  /** The library retries without saying why: this finds out with a connection of its own. */
  private async diagnose(): Promise<void> {
    if (this.isDiagnosing) return;
    this.isDiagnosing = true;
    try {
      await findServer(this.options.login, this.options.dialTimeoutMs ?? defaultDialTimeoutMs);
    } catch (error) {
      if (!this.inside.connected && !this.closing) this.noteLoginProblem(asConclaveError(error).message);
    } finally {
      this.isDiagnosing = false;
    }
  }

  private noteLoginProblem(message: string): void {
    if (this.loginProblem === message) return;
    this.loginProblem = message;
    this.log.write('error', 'not connected to NATS', { reason: message });
  }

  private obstacle(): Obstacle | undefined {
    if (!this.inside.connected) return 'disconnected';
    return this.waitingBytes > limits.outboundBytes ? 'outbound_full' : undefined;
  }

  private get waitingBytes(): number {
    return this.inside.transport?.socket?.writableLength ?? 0;
  }

  private get inside(): Inside['protocol'] {
    return (this.nats as unknown as Inside).protocol;
  }

  private drop(reason: string): false {
    this.tally.count(reason);
    return false;
  }

  private async logStatus(): Promise<void> {
    for await (const status of this.nats.status()) this.logOne(status);
  }

  private logOne(status: Status): void {
    switch (status.type) {
      case 'disconnect':
        if (!this.closing && !this.isLost) this.log.write('warn', 'disconnected from NATS', { server: status.server });
        this.isLost = true;
        break;
      case 'reconnect':
        if (!this.isLost) break;
        this.isLost = false;
        this.reconnected += 1;
        this.loginProblem = undefined;
        this.retryRefused(true);
        this.log.write('info', 'connected to NATS again', {
          server: status.server,
          dropped: { ...this.tally.byReason },
        });
        break;
      case 'error':
        this.onServerError(status.error);
        break;
      case 'ldm':
        this.log.write('info', 'the NATS server is about to stop', { server: status.server });
        break;
      default:
        this.log.write('debug', `NATS: ${status.type}`);
    }
  }
  private onServerError(error: Error): void {
    const violation = violationOf(error);
    // The error of a subscription is reported where it was made.
    if (violation?.operation === 'subscription') return;
    if (violation !== undefined) {
      this.tally.count('not_permitted');
      // Each refused message is reported: logging the first of each tenfold is enough.
      const count = this.tally.byReason.not_permitted ?? 0;
      if (!Number.isInteger(Math.log10(count))) return;
    }
    // While it is disconnected, each attempt may be rejected; `diagnose` reports the reason.
    const level = this.isLost ? 'debug' : 'warn';
    this.log.write(level, 'the NATS server reports an error', { err: violation?.message ?? error.message });
  }
}

/** Waits until a server accepts the login. @returns its place in the list. @throws ConclaveError ELOGIN, EINVAL */
async function untilTaken(
  { login, log, loginAttempts = defaultLoginAttempts }: NatsOptions,
  timeout: number,
): Promise<number> {
  let [pauseMs, refused, last] = [firstLoginPauseMs, 0, ''];
  for (;;) {
    try {
      return await findServer(login, timeout);
    } catch (error) {
      const { code, message } = asConclaveError(error);
      refused = code === 'ELOGIN' ? refused + 1 : 0;
      if (code === 'EINVAL' || (loginAttempts > 0 && refused >= loginAttempts)) throw new ConclaveError(code, message);
      if (message !== last)
        log.write(code === 'ELOGIN' ? 'error' : 'warn', 'not connected to NATS', { reason: message });
      last = message;
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    pauseMs = Math.min(2 * pauseMs, longestLoginPauseMs);
  }
}

function asConclaveError(error: unknown): ConclaveError {
  const { code, message } = error as LoginError;
  return error instanceof LoginError ? new ConclaveError(code, message) : new ConclaveError('EUNREACHABLE', message);
}
