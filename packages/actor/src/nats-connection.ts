/**
 * A process's connection to NATS. It connects to the first server of the list that accepts the login; after a loss it tries the
 * servers again and again. It closes a connection whose server sends nothing any more, and bounds the bytes that wait to be written:
 * the package `nats` itself buffers without a bound what is published while it is disconnected, and what a server does not read.
 *
 * Owns: the connection, and the counts of dropped messages. Does not own what the messages contain.
 */
import { DropCounter, limits } from '@conclave/protocol';
import { inboxOf, violationOf } from '@conclave/protocol/login';
import { connect, type Msg, type NatsConnection, type PublishOptions, type Status } from 'nats';
import type { LineLog } from './actor-log.js';
import { type DialOptions, dial, reasonNotConnected, whileConnecting } from './nats-dial.js';
import { ReadingPause } from './reading-pause.js';
import { RetryingSubscription } from './retrying-subscription.js';

export interface NatsOptions extends DialOptions {
  /** The name of the connection, which NATS shows to operators. */
  readonly name: string;
  /**
   * Whether reading is paused so that it does not delay other input of this process (`ReadingPause`). For connections that receive
   * requests, of which clients may send any number.
   */
  readonly pausesReading?: boolean;
  /** How long a server may take to reply before the next one is tried. */
  readonly dialTimeoutMs?: number;
  /** The connection is closed if the server has sent nothing for three to four of these intervals. */
  readonly pingIntervalMs?: number;
}

const reconnectWaitMs = 100;
const reconnectJitterMs = 100;
const defaultDialTimeoutMs = 2000;
const defaultPingIntervalMs = 2000;
/** How long `drain` waits for messages that the server had sent before it received the unsubscribe. */
const drainMs = 1000;
/** How long `close` waits until the bytes that wait are written. */
const closeMs = 1000;
/** The connection is closed after this many ping intervals without a message or a reply to a ping. */
const silentIntervals = 3;
/**
 * The pings of the package `nats` are in effect disabled: it closes a connection if replies to its pings are missing, even while
 * messages arrive.
 */
const packagePingIntervalMs = 2 ** 31 - 1;

/** Private parts of the package's connection: they show whether a message can be published, and can close a connection that hangs. */
interface PackageInternals {
  readonly protocol: {
    readonly connected: boolean;
    readonly transport?: {
      readonly socket?: { readonly writableLength: number; pause(): void; resume(): void; destroy(): void };
    };
  };
}

/** Why a message cannot be published now. */
type Obstacle = 'disconnected' | 'outbound_full';

export class Connection {
  private readonly drops = new DropCounter();
  private reconnectCount = 0;
  private isClosing = false;
  private readonly pingTimer: NodeJS.Timeout;
  /** How many ping intervals have passed without a message, a reply to a ping, or progress in writing. */
  private silentCount = 0;
  /** The counters of the connection at the last ping. */
  private lastInMessages = 0;
  private lastWaitingBytes = 0;
  private readonly reading: ReadingPause;

  /** Why no server accepts the login now, or none can be reached; undefined: connected, or not known yet. */
  private loginProblem: string | undefined;
  private isDiagnosing = false;
  /**
   * Whether the connection is lost and not established again. The package reports each failed attempt to reconnect as another
   * loss, and after the first successful attempt as many reconnections as losses.
   */
  private isLost = false;
  /** The subscriptions that NATS does not permit now. */
  private readonly refused = new Set<RetryingSubscription>();

  private constructor(
    readonly nats: NatsConnection,
    private readonly options: NatsOptions,
  ) {
    this.reading = new ReadingPause(
      () => this.internals.transport?.socket,
      () => this.isCongested,
    );
    void this.logStatus();
    this.pingTimer = setInterval(() => this.onPingTime(), options.pingIntervalMs ?? defaultPingIntervalMs);
    this.pingTimer.unref();
    void nats.closed().then(() => clearInterval(this.pingTimer));
  }

  /**
   * Connects to the first server that accepts the login, and waits for that.
   * @throws ConclaveError ELOGIN if the login was rejected `loginAttempts` times in a row
   * @throws Error if `max_payload` of that server is smaller than Conclave's messages
   */
  static async open(options: NatsOptions): Promise<Connection> {
    const { login, name, log } = options;
    log.write('info', 'connecting to NATS', { servers: login.servers, login: login.kind });
    const timeout = options.dialTimeoutMs ?? defaultDialTimeoutMs;
    const serverPosition = await dial(options, timeout);
    const connecting = connect({
      ...login.connectOptions(serverPosition),
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
      pingInterval: packagePingIntervalMs,
    });
    const nats = await whileConnecting(connecting, options, timeout);
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

  /** Returns a new subject for replies, which only this connection may subscribe to. */
  createInbox(): string {
    return inboxOf(this.nats);
  }

  /** Whether the connection works, how often it was established again after a loss, and how many bytes it received and sent. */
  get traffic(): {
    readonly isConnected: boolean;
    readonly reconnects: number;
    readonly inBytes: number;
    readonly outBytes: number;
  } {
    const { inBytes, outBytes } = this.nats.stats();
    return {
      isConnected: this.internals.connected && this.problem === undefined,
      reconnects: this.reconnectCount,
      inBytes,
      outBytes,
    };
  }

  private get log(): LineLog {
    return this.options.log;
  }

  /** Identifies the current connection to a server. After a loss, the next connection has another id. */
  get id(): string {
    const { server_id = '', client_id = 0 } = this.nats.info ?? {};
    return `${server_id} ${client_id}`;
  }

  /** How many messages were not published, and how many received messages were dropped, by reason. */
  get dropped(): Readonly<Record<string, number>> {
    return this.drops.byReason;
  }

  /** How many bytes the body and the headers of one message may have. */
  get messageBytes(): number {
    return Math.min(this.nats.info?.max_payload ?? limits.messageBytes, limits.messageBytes);
  }

  /** Publishes a message. If that is impossible now, drops and counts it. Never throws. @returns whether it was published */
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

  /** Subscribes to a subject. A subscription that NATS refuses is retried from time to time. `receive` must not throw. */
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
      this.drops.count('receiver_threw');
      this.log.write('error', 'a message could not be handled', { subject: message.subject, err: String(thrown) });
    }
    if (this.options.pausesReading === true) this.reading.onMessage();
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

  /** Retries refused subscriptions, because NATS may permit them now. */
  private retryRefused(isNewConnection: boolean): void {
    for (const subscription of this.refused) {
      if (isNewConnection) subscription.retrySoon();
      if (subscription.isClosed) this.refused.delete(subscription);
      else void subscription.retry(performance.now());
    }
  }

  /** Unsubscribes. Resolves when all messages that the server had sent for the subscription have been received, or after `drainMs`. */
  async drain(subscription: RetryingSubscription): Promise<void> {
    if (this.nats.isClosed() || subscription.isClosed) return;
    if (!this.internals.connected) return subscription.unsubscribe();
    // If the connection is lost meanwhile, messages in flight are lost, too.
    const drained = subscription.drain().catch(() => undefined);
    await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, drainMs).unref())]);
  }

  /** Whether more than half of `limits.outboundBytes` wait to be written. Then large replies must wait. */
  get isCongested(): boolean {
    return this.waitingBytes > limits.outboundBytes / 2;
  }

  /** Counts a message that was received over this connection and dropped. */
  count(reason: string): void {
    this.drops.count(reason);
  }

  /** Resolves when the server has processed all messages and subscriptions that were sent so far. */
  async settled(): Promise<void> {
    while (!this.nats.isClosed()) {
      try {
        await this.nats.flush();
        return;
      } catch {
        // The connection was lost. The package subscribes again on the next one.
        await new Promise((resolve) => setTimeout(resolve, reconnectWaitMs));
      }
    }
  }

  /** Writes the messages that wait, for at most `closeMs`, and then closes the connection. */
  async close(): Promise<void> {
    if (this.isClosing) return;
    this.isClosing = true;
    if (this.obstacle() === undefined) {
      // A server that hangs must not keep the process from stopping.
      const flushed = this.nats.flush().catch(() => undefined);
      await Promise.race([flushed, new Promise((resolve) => setTimeout(resolve, closeMs).unref())]);
    }
    await this.nats.close();
  }

  /**
   * Closes the connection if the server has sent nothing for `silentIntervals`. A message shows as well as the reply to a ping that
   * the server works. The reply to a ping follows all messages that the server had queued before, so it is late when there are many
   * messages, and closing the connection would lose them.
   */
  private onPingTime(): void {
    if (!this.internals.connected || this.isClosing) {
      this.silentCount = 0;
      if (!this.isClosing) void this.diagnose();
      return;
    }
    this.retryRefused(false);
    const { inMsgs } = this.nats.stats();
    // While reading is paused, the server works if it still reads what this process sends.
    const isServerReading = this.reading.isPaused && this.waitingBytes !== this.lastWaitingBytes;
    this.silentCount = inMsgs === this.lastInMessages && !isServerReading ? this.silentCount + 1 : 0;
    this.lastInMessages = inMsgs;
    this.lastWaitingBytes = this.waitingBytes;
    if (this.silentCount >= silentIntervals) {
      this.silentCount = 0;
      this.log.write('warn', 'the NATS server sends nothing and answers no pings: closing the connection', {
        server: this.nats.getServer(),
      });
      // `close` of the package would first wait until the server has read everything, possibly without end.
      this.internals.transport?.socket?.destroy();
      return;
    }
    const onPong = (): void => {
      this.silentCount = 0;
    };
    // If the connection is lost meanwhile, the next interval checks the next connection.
    this.nats.flush().then(onPong, () => undefined);
  }

  /** Finds out why the package cannot reconnect, with a connection of its own: the package does not report the reason. */
  private async diagnose(): Promise<void> {
    if (this.isDiagnosing) return;
    this.isDiagnosing = true;
    const reason = await reasonNotConnected(this.options.login, this.options.dialTimeoutMs ?? defaultDialTimeoutMs);
    this.isDiagnosing = false;
    if (reason !== undefined && !this.internals.connected && !this.isClosing) this.recordLoginProblem(reason);
  }

  private recordLoginProblem(message: string): void {
    if (this.loginProblem === message) return;
    this.loginProblem = message;
    this.log.write('error', 'not connected to NATS', { reason: message });
  }

  private obstacle(): Obstacle | undefined {
    if (!this.internals.connected) return 'disconnected';
    return this.waitingBytes > limits.outboundBytes ? 'outbound_full' : undefined;
  }

  private get waitingBytes(): number {
    return this.internals.transport?.socket?.writableLength ?? 0;
  }

  private get internals(): PackageInternals['protocol'] {
    return (this.nats as unknown as PackageInternals).protocol;
  }

  private drop(reason: string): false {
    this.drops.count(reason);
    return false;
  }

  private async logStatus(): Promise<void> {
    for await (const status of this.nats.status()) this.logOne(status);
  }

  private logOne(status: Status): void {
    switch (status.type) {
      case 'disconnect':
        if (!this.isClosing && !this.isLost)
          this.log.write('warn', 'disconnected from NATS', { server: status.server });
        this.isLost = true;
        break;
      case 'reconnect':
        if (!this.isLost) break;
        this.isLost = false;
        this.reconnectCount += 1;
        this.loginProblem = undefined;
        this.retryRefused(true);
        this.log.write('info', 'connected to NATS again', {
          server: status.server,
          dropped: { ...this.drops.byReason },
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
    // `onSubscriptionFailed` reports the errors of subscriptions.
    if (violation?.operation === 'subscription') return;
    if (violation !== undefined) {
      this.drops.count('not_permitted');
      // NATS reports each message that it refuses. The log output has the first one, the 10th, the 100th and so on.
      const count = this.drops.byReason.not_permitted ?? 0;
      if (!Number.isInteger(Math.log10(count))) return;
    }
    // While the connection is lost, each attempt may be rejected; `diagnose` reports the reason.
    const level = this.isLost ? 'debug' : 'warn';
    this.log.write(level, 'the NATS server reports an error', { err: violation?.message ?? error.message });
  }
}
