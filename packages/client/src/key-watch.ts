/**
 * A watch of the keys with a prefix, as an async iterable: each change once, in the order of the revisions, across changes of the
 * leader and lost connections.
 *
 * It renews the watch every few seconds, after a gap, and when the leader is silent: a leader sends a heartbeat every second. While the
 * application reads slowly, it does not renew: then the leader stops, and what waits here stays bounded.
 */
import { randomBytes } from 'node:crypto';
import {
  ConclaveError,
  decodeRequest,
  defaultTimes,
  type KvReply,
  limits,
  type PublicLeaseId,
  type Value,
} from '@conclave/protocol';
import { violationOf } from '@conclave/protocol/login';
import type { Msg, NatsConnection, Subscription } from 'nats';
import { WatchReader } from './core/index.js';
import type { Caller, KvApi } from './kv-api.js';

export interface WatchOptions {
  /** The first revision that is wanted; by default, changes after the watch has begun. */
  readonly fromRevision?: number;
  /**
   * First return the current state: unless `fromRevision` is given, and whenever earlier changes are no longer known. Without
   * it the watch then fails with ECOMPACTED.
   */
  readonly state?: boolean;
  /** Ends the watch when it is aborted: the iteration is done then. */
  readonly signal?: AbortSignal;
  /** Called when a call of the watch has failed that the watch repeats, and again when the reason has changed. */
  readonly onProblem?: (problem: ConclaveError) => void;
}

export type WatchEvent =
  | {
      readonly type: 'put';
      readonly revision: number;
      readonly key: string;
      readonly value: Value;
      /** The public part of its lease's id; undefined also for keys of the current state. */
      readonly leaseId?: PublicLeaseId | undefined;
    }
  | { readonly type: 'delete'; readonly revision: number; readonly key: string }
  /** Drop earlier events: the puts that follow are the state as of this revision or later. Only with `state`. */
  | { readonly type: 'reset'; readonly revision: number }
  /** The whole state has been returned; changes follow. */
  | { readonly type: 'current'; readonly revision: number };

export interface KeyWatchDependencies {
  readonly connection: NatsConnection;
  /** Names the client: the first token of the ids of its watches. */
  readonly owner: string;
  /** The subject of a watch. */
  readonly subjectOf: (watchId: string) => string;
  readonly call: Caller;
  /** Makes the leader drop the watch, without waiting for a reply. */
  readonly unwatch: (watchId: string) => void;
  readonly kv: KvApi;
  readonly onClosed: (watch: KeyWatch) => void;
}

/** Longer than the interval of a leader's heartbeats. */
const silenceMs = 3 * defaultTimes.watchHeartbeatMs;
const checkEveryMs = 500;
/** A call may fail at once if too many calls are open; repeating it at once would not let them finish. */
const pauseMs = 100;
/** Renewed before the leader has sent this much, and not while this much waits here. */
const halfWindowBytes = limits.watchUnreadBytes / 2;
/** About the frame of one event. */
const eventBytes = 64;
/** Errors that end a watch: repeating the request would not help. */
const finalCodes: readonly string[] = ['EINVAL', 'ENOENT', 'ESHUTDOWN', 'ESTATEMACHINE', 'EHISTORY', 'EUNSUPPORTED'];
/** A leader refused the watch as long as a call may take: there are too many watches, or it may not serve yet. */
const refusalCodes: readonly string[] = ['EBUSY', 'EPERM'];
/** A running watch is refused for this long before it ends; a new one ends with the first call. */
const refusedMs = 30_000;

interface Waiting {
  readonly resolve: (result: IteratorResult<WatchEvent, undefined>) => void;
  readonly reject: (error: Error) => void;
}

export class KeyWatch implements AsyncIterableIterator<WatchEvent, undefined> {
  private watchId: string;
  private readonly reader: WatchReader;
  private subscription: Subscription;
  private readonly timer: NodeJS.Timeout;
  private pause: NodeJS.Timeout | undefined;
  private readonly events: WatchEvent[] = [];
  private waitingBytes = 0;
  private readonly waiting: Waiting[] = [];
  private onRoom: (() => void) | undefined;
  /** Received since it was last renewed. */
  private unreadBytes = 0;
  private renewedMs = Number.NEGATIVE_INFINITY;
  private receivedMs = performance.now();
  private isRenewing = false;
  private isReading = false;
  private hasBegun = false;
  /** Since then no call has succeeded, and the last one was refused. */
  private refusedSinceMs: number | undefined;
  /** What was reported since a call succeeded last. */
  private reported = '';
  private failure: Error | undefined;
  private isClosed = false;
  private readonly onAbort = () => this.close();

  constructor(
    private readonly prefix: string,
    private readonly options: WatchOptions,
    private readonly dependencies: KeyWatchDependencies,
  ) {
    this.reader = new WatchReader(options.fromRevision);
    this.watchId = `${dependencies.owner}.${newId()}`;
    this.subscription = this.subscribe();
    this.timer = setInterval(() => this.checkSilence(), checkEveryMs);
    options.signal?.addEventListener('abort', this.onAbort);
    if (options.signal?.aborted === true) this.close();
    else if (options.state === true && options.fromRevision === undefined) void this.readState();
    else void this.renew(options.fromRevision);
  }

  get isEnded(): boolean {
    return this.isClosed;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /**
   * @throws ConclaveError ECOMPACTED: earlier changes are no longer known, and `state` was not requested; EHISTORY: the group is in
   * another history, where a new watch begins with the current state, or with the next change; EBUSY: the client or the group has as
   * many watches as allowed; EPERM: NATS does not permit it to this login; EINVAL, and other codes of a leader that refuses the watch
   * permanently
   */
  next(): Promise<IteratorResult<WatchEvent, undefined>> {
    const event = this.events.shift();
    if (event !== undefined) {
      this.waitingBytes -= bytesOf(event);
      if (this.hasRoom()) this.onRoom?.();
      this.renewIfRead();
      return Promise.resolve({ done: false, value: event });
    }
    if (this.failure !== undefined) return Promise.reject(this.failure);
    if (this.isClosed) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
    });
  }

  /** Ends the watch. */
  return(): Promise<IteratorResult<WatchEvent, undefined>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Ends the watch; `error`: the iteration rejects with it after the waiting events. */
  close(error?: Error): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.failure = error;
    clearInterval(this.timer);
    clearTimeout(this.pause);
    this.options.signal?.removeEventListener('abort', this.onAbort);
    if (!this.dependencies.connection.isClosed()) {
      this.subscription.unsubscribe();
      this.unwatch();
    }
    this.onRoom?.();
    for (const { resolve, reject } of this.waiting.splice(0)) {
      if (error === undefined) resolve({ done: true, value: undefined });
      else reject(error);
    }
    this.dependencies.onClosed(this);
  }

  /** Makes the leader drop it. */
  unwatch(): void {
    this.dependencies.unwatch(this.watchId);
  }

  private subscribe(): Subscription {
    const { connection, subjectOf } = this.dependencies;
    return connection.subscribe(subjectOf(this.watchId), {
      callback: (error, message) => {
        if (error === null) this.onMessage(message);
        else this.close(new ConclaveError('EPERM', violationOf(error)?.message ?? error.message));
      },
    });
  }

  private onMessage({ data }: Msg): void {
    if (this.isClosed || this.isReading) return;
    this.receivedMs = performance.now();
    this.unreadBytes += data.length;
    const news = this.reader.onMessage(bodyOf(data));
    switch (news.type) {
      case 'changes':
        for (const [revision, type, key, value, leaseId] of news.changes) {
          this.push(
            type === 'delete' ? { type, revision, key } : { type, revision, key, value: value as Value, leaseId },
          );
        }
        return this.renewIfRead();
      case 'gap':
        return void this.renewFromSeen();
      case 'ended':
        return this.onError(new ConclaveError(news.error.code, news.error.message), () => void this.renewFromSeen());
      case 'nothing':
      case 'malformed':
        return;
    }
  }

  private checkSilence(): void {
    if (!this.hasRoom()) return;
    const nowMs = performance.now();
    if (nowMs - Math.max(this.receivedMs, this.renewedMs) > silenceMs) void this.renewFromSeen();
    else if (nowMs - this.renewedMs > defaultTimes.watchRenewMs / 3) void this.renew();
  }

  private renewIfRead(): void {
    if (this.unreadBytes >= halfWindowBytes && this.hasRoom()) void this.renew();
  }

  private hasRoom(): boolean {
    return this.waitingBytes < halfWindowBytes;
  }

  private renewFromSeen(): Promise<void> {
    const { seen } = this.reader;
    return this.renew(seen === undefined ? undefined : seen + 1);
  }

  private async renew(fromRevision?: number): Promise<void> {
    // It is renewed when the state has been read.
    if (this.isRenewing || this.isReading || this.isClosed) return;
    this.isRenewing = true;
    this.unreadBytes = 0;
    this.renewedMs = performance.now();
    try {
      const from = fromRevision === undefined ? {} : { from_revision: fromRevision };
      const body = { watch_id: this.watchId, prefix: this.prefix, ...from };
      const begun = await this.dependencies.call({ operation: 'query', name: 'watch', body, urgent: true }, undefined);
      this.isRenewing = false;
      this.hasBegun = true;
      this.refusedSinceMs = undefined;
      this.reported = '';
      this.renewedMs = performance.now();
      // It was closed while the request was in flight.
      if (this.isClosed) return this.unwatch();
      if (!this.reader.onBegun(begun as KvReply<'watch'>)) await this.renewFromSeen();
    } catch (error) {
      this.isRenewing = false;
      this.onRenewalFailed(error as ConclaveError);
    }
  }

  private onRenewalFailed(error: ConclaveError): void {
    if (this.isClosed) return;
    const isOlderLeader = error.code === 'EINVAL' && error.message.startsWith('watch_id:');
    if (isOlderLeader && this.watchId.includes('.')) {
      // An older leader accepts only ids of one token.
      this.subscription.unsubscribe();
      this.watchId = newId();
      this.subscription = this.subscribe();
      return void this.renewFromSeen();
    }
    if (!refusalCodes.includes(error.code)) this.refusedSinceMs = undefined;
    else {
      const nowMs = performance.now();
      this.refusedSinceMs ??= nowMs;
      if (!this.hasBegun || nowMs - this.refusedSinceMs >= refusedMs) return this.close(error);
    }
    this.onError(error, () => {
      this.report(error);
      this.later(() => void this.renewFromSeen());
    });
  }

  private report(error: ConclaveError): void {
    if (this.reported === error.message) return;
    this.reported = error.message;
    this.options.onProblem?.(error);
  }

  private onError(error: ConclaveError, askAgain: () => void): void {
    if (this.isClosed) return;
    if (finalCodes.includes(error.code)) this.close(error);
    else if (this.isReading) return;
    else if (error.code !== 'ECOMPACTED') askAgain();
    else if (this.options.state === true) void this.readState();
    else this.close(error);
  }

  /** Returns the current state, and continues after the revision of its first page. */
  private async readState(): Promise<void> {
    this.isReading = true;
    try {
      const ahead = new Map<string, number>();
      let begin: number | undefined;
      let startAfter: string | undefined;
      for (let more = true; more && !this.isClosed; ) {
        const page = await this.dependencies.kv.range(this.prefix, startAfter === undefined ? {} : { startAfter });
        if (begin === undefined) this.push({ type: 'reset', revision: page.revision });
        begin ??= page.revision;
        for (const [key, value, revision] of page.found) {
          if (value !== null) this.push({ type: 'put', revision, key, value });
          if (revision > begin) ahead.set(key, revision);
        }
        startAfter = page.found.at(-1)?.[0];
        more = page.more;
        if (more && !this.hasRoom()) await this.room();
      }
      this.isReading = false;
      if (begin === undefined || this.isClosed) return;
      this.push({ type: 'current', revision: begin });
      this.reader.startAfter(begin, ahead);
      await this.renewFromSeen();
    } catch (error) {
      const { code } = error as ConclaveError;
      // For a read from the leader, EPERM means that NATS does not permit it.
      if (finalCodes.includes(code) || code === 'EPERM') return this.close(error as Error);
      if (!this.isClosed) this.report(error as ConclaveError);
      this.later(() => {
        this.isReading = false;
        void this.readState();
      });
    }
  }

  private later(what: () => void): void {
    if (this.isClosed) return;
    clearTimeout(this.pause);
    this.pause = setTimeout(what, pauseMs);
  }

  private room(): Promise<void> {
    return new Promise((resolve) => {
      this.onRoom = resolve;
    });
  }

  private push(event: WatchEvent): void {
    const waiting = this.waiting.shift();
    if (waiting !== undefined) return waiting.resolve({ done: false, value: event });
    this.events.push(event);
    this.waitingBytes += bytesOf(event);
  }
}

/** What application code holds: when it is garbage collected before the watch was ended, the watch ends all the same. */
export class WatchHandle implements AsyncIterableIterator<WatchEvent, undefined> {
  constructor(private readonly watch: KeyWatch) {}

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** As that of `KeyWatch`. While it is pending, it holds this handle. */
  async next(): Promise<IteratorResult<WatchEvent, undefined>> {
    return await this.watch.next();
  }

  return(): Promise<IteratorResult<WatchEvent, undefined>> {
    return this.watch.return();
  }
}

/** 128 random bits: nobody can guess the id of another client's watch. */
export function newId(): string {
  return randomBytes(16).toString('base64url');
}

function bodyOf(data: Uint8Array): unknown {
  try {
    return decodeRequest(data).value;
  } catch (error) {
    if (error instanceof ConclaveError) return undefined;
    throw error;
  }
}

function bytesOf(event: WatchEvent): number {
  if (!('key' in event)) return eventBytes;
  return eventBytes + event.key.length + (event.type === 'put' ? event.value.length : 0);
}
