/** The shell of the client's core: connects it to NATS, timers and promises. */
import { asGroupId, ConclaveError, defaultPrefix, encode, type GroupId, invariant, Subjects } from '@conclave/protocol';
import { inboxFault, type NatsLogin, rejectionOf, violationOf } from '@conclave/protocol/login';
import type { NatsConnection, Status, Subscription } from 'nats';
import { AdminApi } from './admin-api.js';
import { type ConnectOptions, checkNames, connectTo, loginOf } from './connect-options.js';
import {
  type Call,
  ClientCore,
  type ClientEffect,
  type ClientInput,
  type Reply,
  type RequestTarget,
  type Settlement,
} from './core/index.js';
import { isReadOnlyCall } from './core/validate-call.js';
import { KeyWatch, newId, type WatchEvent, WatchHandle, type WatchOptions } from './key-watch.js';
import { KvApi } from './kv-api.js';
import { LeaseApi } from './lease-api.js';
import { Lock, type LockOptions } from './lock.js';
import { LockApi } from './lock-api.js';
import { PendingCalls } from './pending-calls.js';
import { ReplyInbox } from './reply-inbox.js';
import { timeoutAfterReading } from './timeout-after-reading.js';

/** The longest wait of `setTimeout`, which treats more as 1 ms. A core that is woken early sets its timer again. */
const longestTimerMs = 2 ** 31 - 1;

/** How many subjects of requests are remembered. */
const maxTargets = 4096;

/** How long `flushed` waits for the server's reply. */
const flushMs = 500;

interface PendingCall {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: ConclaveError) => void;
  /** Whether the call changes nothing. If it fails, its outcome is not done. */
  readonly isRead: boolean;
}

/** Called with the history that has ended. */
export type HistoryListener = (groupUid: string) => void;

/** A client of one group, for applications. */
export class ConclaveClient {
  readonly kv: KvApi;
  readonly leases: LeaseApi;
  readonly locks: LockApi;
  readonly admin: AdminApi;
  private readonly core: ClientCore;
  private readonly pendingCalls = new PendingCalls<PendingCall>();
  private readonly subjects: Subjects;
  private readonly groupId: GroupId;
  private readonly inbox: ReplyInbox;
  /** The targets of requests, by the subject of the request: NATS names the subject if it does not permit a request. */
  private readonly targets = new Map<string, RequestTarget>();
  private readonly statuses: AsyncIterable<Status>;
  /** The subscription to elections. If NATS does not permit it, calls are repeated after a pause instead of at once. */
  private elections: Subscription;
  /** Why NATS rejects the login since the connection was lost; undefined: it does not, as far as known. */
  private rejection: string | undefined;
  private readonly owner: string;
  private readonly watches = new Set<KeyWatch>();
  /** Closes watches whose handles were garbage collected. */
  private readonly abandoned = new FinalizationRegistry<KeyWatch>((watch) => watch.close());
  private readonly historyListeners = new Set<HistoryListener>();
  private lastCallId = 0;
  private cancelTimer = (): void => {};
  private isIdleScheduled = false;
  /** The failed invariant that stopped the core. */
  private failure: Error | undefined;

  private constructor(
    readonly connection: NatsConnection,
    /** Undefined: the connection was passed in. */
    private readonly login: NatsLogin | undefined,
    options: ConnectOptions,
  ) {
    this.core = new ClientCore(options);
    this.groupId = asGroupId(options.groupId);
    this.owner = options.owner ?? newId();
    this.subjects = new Subjects(options.prefix ?? defaultPrefix);
    const call = (one: Call, timeoutMs: number | undefined) => this.call(one, timeoutMs);
    this.kv = new KvApi(call);
    this.leases = new LeaseApi(call, (listener) => this.onHistoryChange(listener));
    this.locks = new LockApi(call);
    this.admin = new AdminApi(call);
    this.inbox = new ReplyInbox(connection, {
      onReply: (requestId, reply) => this.step({ type: 'reply', requestId, reply }),
      onDenied: (message) => this.step({ type: 'not_permitted', message }),
    });
    this.statuses = connection.status();
    void this.watchStatus();
    this.elections = this.subscribeElections();
    // If the application closes the connection, or NATS refuses it permanently, all calls end.
    const onEnd = () => {
      this.step({ type: 'close' });
      this.endWatches();
    };
    connection.closed().then(onEnd, onEnd);
  }

  /**
   * Connects to a group. Calls show whether the group exists. A connection that is lost later is re-established without a limit.
   * @throws ConclaveError (not done) EINVAL: group or prefix are not valid names, or the login is contradictory; ELOGIN: NATS
   * rejects the login; EUNREACHABLE: no server is reached; EPERM: NATS permits no replies.
   */
  static async connect(options: ConnectOptions): Promise<ConclaveClient> {
    checkNames(options);
    const { prefix = defaultPrefix } = options;
    const login = options.connection === undefined ? loginOf(options) : undefined;
    const connection = options.connection ?? (await connectTo(login as NatsLogin, options));
    const client = new ConclaveClient(connection, login, options);
    const fault = inboxFault(client.inbox.subject, prefix);
    if (fault === undefined) return ConclaveClient.ready(client);
    await client.close();
    throw new ConclaveError('EINVAL', fault);
  }

  /** Waits until it is known whether NATS permits replies: without them the outcome of every write would be unknown. */
  private static async ready(client: ConclaveClient): Promise<ConclaveClient> {
    await client.flushed();
    const { denial } = client.inbox;
    if (denial === undefined) return client;
    await client.close();
    throw new ConclaveError('EPERM', denial);
  }

  /**
   * Acquires a lock and keeps it until it is released or lost: `signal` reports a loss, `token` protects. Closing the client gives up its
   * locks; the group releases them when their leases end.
   * @throws ConclaveError EBUSY: another client holds it, and did so for `waitMs`
   */
  lock(name: string, options: LockOptions = {}): Promise<Lock> {
    return Lock.acquire(this.leases, this.locks, name, options, () => this.core.problem);
  }

  /**
   * Watches the keys with a prefix (empty: all): each change once, in the order of the revisions, also across changes of leaders. Ends
   * with `return()`, which leaving a `for await` calls, with `signal`, or with the client. A client has at most
   * `limits.ownerWatches` in one group.
   */
  watch(prefix: string, options: WatchOptions = {}): AsyncIterableIterator<WatchEvent, undefined> {
    const watch = new KeyWatch(prefix, options, {
      connection: this.connection,
      owner: this.owner,
      subjectOf: (watchId) => this.subjects.watch(this.groupId, watchId),
      call: (call, timeoutMs) => this.call(call, timeoutMs),
      unwatch: (watchId) => this.unwatch(watchId),
      kv: this.kv,
      onClosed: (one) => this.watches.delete(one),
    });
    if (!watch.isEnded) this.watches.add(watch);
    const handle = new WatchHandle(watch);
    this.abandoned.register(handle, watch);
    return handle;
  }

  /** The group's history (`group_uid`) in the last reply; undefined: there was none, or its peers do not report it. */
  get groupUid(): string | undefined {
    return this.core.history;
  }

  /**
   * Calls the listener once for each history of the group that has ended, because the group was restored, reset, or created again under
   * its name. Before that, open calls have failed with EHISTORY (not done, or unknown), locks and leases are lost, and watches have
   * ended. Later calls go to the next history. Returns a function that removes the listener.
   */
  onHistoryChange(listener: HistoryListener): () => void {
    this.historyListeners.add(listener);
    return () => this.historyListeners.delete(listener);
  }

  /** Settles all open calls (not done, or unknown) and closes the connection, unless that was passed in. */
  async close(): Promise<void> {
    this.step({ type: 'close' });
    for (const watch of this.watches) watch.unwatch();
    if (this.watches.size > 0) await this.flushed();
    this.endWatches();
    stop(this.statuses);
    if (this.login !== undefined) await this.connection.close();
    else if (!this.connection.isClosed()) {
      this.inbox.unsubscribe();
      this.elections.unsubscribe();
    }
  }

  /** Open calls, requests in flight, and dropped replies, by reason. */
  status(): { openCalls: number; requests: number; dropped: Record<string, number> } {
    const none = { late_reply: 0, malformed_reply: 0, timer_without_need: 0 };
    return {
      ...this.core.status(),
      dropped: { ...none, ...this.core.dropped, foreign_reply: this.inbox.foreignReplies },
    };
  }

  private endWatches(): void {
    for (const watch of [...this.watches]) watch.close(new ConclaveError('ESHUTDOWN', 'the client was closed'));
  }

  /** Requests that the leader end the watch. If the message is lost, the leader ends it when NATS reports that it has no subscriber. */
  private unwatch(watchId: string): void {
    if (this.connection.isClosed()) return;
    const subject = this.subjects.groupRequest(this.groupId, 'kv', 'unwatch');
    this.connection.publish(subject, encode({ watch_id: watchId }));
  }

  /** Resolves when the server has received what was published, or after `flushMs`. */
  private async flushed(): Promise<void> {
    if (this.connection.isClosed()) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, flushMs);
    });
    await Promise.race([this.connection.flush().catch(() => undefined), late]);
    clearTimeout(timer);
  }

  private call(call: Call, timeoutMs: number | undefined): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.lastCallId += 1;
      this.pendingCalls.add(this.lastCallId, { resolve, reject, isRead: isReadOnlyCall(call) });
      this.step({ type: 'call', callId: this.lastCallId, call, timeoutMs });
    });
  }

  private subscribeElections(): Subscription {
    return this.connection.subscribe(this.subjects.event(this.groupId, 'leader_elected', '*'), {
      callback: (error) => {
        if (error === null) this.step({ type: 'leader_elected' });
      },
    });
  }

  private async watchStatus(): Promise<void> {
    for await (const status of this.statuses) {
      // The new connection may have other credentials.
      if (status.type === 'reconnect') this.onReconnected();
      if (status.type !== 'error') continue;
      this.rejection = rejectionOf(status.error, this.login) ?? this.rejection;
      const violation = violationOf(status.error);
      const target = violation?.operation === 'publish' ? this.targets.get(violation.subject) : undefined;
      if (violation !== undefined && target !== undefined) {
        this.step({ type: 'not_permitted', target, message: violation.message });
      }
    }
  }

  private onReconnected(): void {
    this.rejection = undefined;
    if (this.connection.isClosed()) return;
    this.inbox.onReconnected();
    if (this.elections.isClosed()) this.elections = this.subscribeElections();
  }

  private step(input: ClientInput): void {
    if (this.failure !== undefined) {
      this.rejectAll(this.failure);
      return;
    }
    try {
      for (const effect of this.core.step(input, { nowMs: performance.now(), random: Math.random() })) {
        this.carryOut(effect);
      }
    } catch (error) {
      // The state of a core that has thrown is wrong, so it gets no further inputs.
      this.failure = error as Error;
      this.cancelTimer();
      this.rejectAll(this.failure);
      return;
    }
    if (input.type !== 'idle') this.scheduleIdle();
  }

  private carryOut(effect: ClientEffect): void {
    switch (effect.type) {
      case 'request':
        return this.request(effect);
      case 'settle':
        return this.settle(effect.callId, effect.settlement);
      case 'set_timer':
        this.cancelTimer();
        this.cancelTimer = timeoutAfterReading(Math.min(effect.afterMs, longestTimerMs), () =>
          this.step({ type: 'timer', timer: effect.timer }),
        );
        return;
      case 'cancel_timer':
        return this.cancelTimer();
      case 'history_ended': {
        const error = new ConclaveError('EHISTORY', `the group is no longer in history ${effect.groupUid}`);
        for (const watch of [...this.watches]) watch.close(error);
        // Not at once, because a listener may make calls, and the effects of a step are being carried out.
        for (const listener of [...this.historyListeners]) queueMicrotask(() => listener(effect.groupUid));
      }
    }
  }

  private request({ requestId, target, body }: Extract<ClientEffect, { type: 'request' }>): void {
    const { api, name, peerId } = target;
    const subject =
      peerId === undefined
        ? this.subjects.groupRequest(this.groupId, api, name)
        : this.subjects.peerRequest(this.groupId, peerId, api, name);
    // Not at once, because the effects of a step are being carried out.
    const later = (reply: Reply) => setImmediate(() => this.step({ type: 'reply', requestId, reply }));
    if (this.rejection !== undefined) {
      // The connection would send it much later, when the call may have failed.
      later({ type: 'not_sent', message: this.rejection, code: 'ELOGIN' });
      return;
    }
    if (this.inbox.denial !== undefined) {
      later({ type: 'not_permitted', message: this.inbox.denial, outcome: 'not_done' });
      void this.inbox.retry();
      return;
    }
    if (!this.targets.has(subject)) this.rememberTarget(subject, { api, name, peerId });
    try {
      this.connection.publish(subject, encode(body), { reply: this.inbox.subjectOf(requestId) });
    } catch (error) {
      later({ type: 'not_sent', message: (error as Error).message });
    }
  }

  private rememberTarget(subject: string, target: RequestTarget): void {
    if (this.targets.size >= maxTargets) this.targets.clear();
    this.targets.set(subject, target);
  }

  private settle(callId: number, settlement: Settlement): void {
    const caller = this.pendingCalls.take(callId);
    invariant(caller !== undefined, 'a call is settled once');
    if (settlement.outcome === 'done') return caller.resolve(settlement.result);
    const { code, message, outcome, leader_id } = settlement.error;
    caller.reject(new ConclaveError(code, message, outcome, leader_id));
  }

  private rejectAll({ message }: Error): void {
    for (const { reject, isRead } of this.pendingCalls.takeAll()) {
      reject(new ConclaveError('ESHUTDOWN', message, isRead ? 'not_done' : 'unknown'));
    }
  }

  /** At the end of this turn of the event loop, when its messages have been processed, the core sends the calls of the turn. */
  private scheduleIdle(): void {
    if (this.isIdleScheduled) return;
    this.isIdleScheduled = true;
    setImmediate(() => {
      this.isIdleScheduled = false;
      this.step({ type: 'idle' });
    });
  }
}

/** Ends the iterator that waits for the connection's next status. */
function stop(statuses: AsyncIterable<Status>): void {
  (statuses as { readonly stop?: () => void }).stop?.();
}
