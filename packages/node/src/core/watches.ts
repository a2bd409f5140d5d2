/**
 * The watches of a leader: publishes what changes in the state machine, for each client that asks, as long as it asks.
 *
 * Owns the watches and how far each has been told. Publishing is at most once; each message says which revisions it
 * covers, so that a client that missed one sees it and asks from there on (`WatchMessage`). Nothing of this is replicated: the
 * next leader is asked anew.
 *
 * A watch is in one of three places: caught up (`CurrentWatches`, where a write costs the same however many there are), behind
 * (each reads the history by itself; all are, where the state machine's history is not by keys), or waiting for its client to
 * ask again, as it has been told as much as a client may leave unread.
 *
 * Invariants:
 * 1. What is published has been applied, so it is committed.
 * 2. The messages of a watch go on where the last one ended, until it is asked for from another revision.
 * 3. At most `limits.watches` watches are there, at most `limits.ownerWatches` of one owner; a watch whose client does not ask
 *    again is told at most about `limits.watchUnreadBytes`, and ends after `defaultTimes.watchRenewMs`.
 * 4. A step looks at most at `limits.watchStepRevisions` revisions, and publishes at most about `limits.watchStepBytes`, for
 *    those that are caught up; and once more so much for those that are behind.
 * 5. A watch keeps the selector and the encoding that it began with: nobody takes it over by its id.
 */
import type { StateMachine, StateMachineHistory, WatchBegun, WatchClosed } from '@conclave/actor/core';
import {
  ConclaveError,
  defaultTimes,
  type Encoding,
  type ErrorCode,
  invariant,
  limits,
  type WatchMessage,
} from '@conclave/protocol';
import type { NodeContext } from './context.js';
import { CurrentWatches, type StepRoom } from './current-watches.js';
import { isOtherSelector, ownerOf, type Watch } from './watch.js';

/** Asks for a watch, or for it again. */
export interface WatchInput {
  readonly requestId: number;
  readonly watchId: string;
  readonly selector: unknown;
  readonly from: number | undefined;
  /** The history that the request names, if it names one. */
  readonly groupUid?: string | undefined;
  /** As the request came, and so what is published. */
  readonly encoding: Encoding;
}

/** Closes a watch. */
export interface UnwatchInput {
  readonly requestId: number;
  readonly watchId: string;
  /** The history that the request names, if it names one. */
  readonly groupUid?: string | undefined;
}

export class Watches {
  private readonly watches = new Map<string, Watch>();
  /** How many each owner has. */
  private readonly owners = new Map<string, number>();
  /** Those that are behind and have something to look at, in the order of their turns. */
  private readonly behind = new Set<Watch>();
  /** The others that are not caught up: there is nothing for them up to here. */
  private readonly idle = new Set<Watch>();
  private idleUpTo = 0;
  private readonly current = new CurrentWatches({
    publish: (watches, revision, changes) => this.publishAll(watches, revision, changes),
    onLeft: (watch) => {
      if (watch.unread < limits.watchUnreadBytes) this.behind.add(watch);
    },
  });
  private isScheduled = false;

  constructor(
    private readonly context: NodeContext,
    private readonly stateMachine: StateMachine,
  ) {}

  /** Begins a watch, or goes on with it. */
  ask(input: WatchInput): void {
    const { context, watches } = this;
    const { requestId, watchId, selector, from, encoding } = input;
    const { history } = this.stateMachine;
    if (history === undefined) return context.refuse(requestId, 'ENOENT', 'this state machine keeps no history');
    const before = watches.get(watchId);
    const refusal = before === undefined ? this.faultOfNew(watchId) : faultOfRenewal(before, input);
    if (refusal !== undefined) return context.refuse(requestId, refusal.code, refusal.message);
    const next = from ?? (before === undefined ? history.revision + 1 : this.nextOf(before));
    const told = from === undefined && before !== undefined ? before.told : next - 1;
    if (before !== undefined) this.remove(before);
    if (next < history.first) return context.refuse(requestId, 'ECOMPACTED', compacted(history));
    const { nowMs } = context;
    const publishedMs = before?.publishedMs ?? nowMs;
    const state = { isCurrent: false, next, told, unread: 0, askedMs: nowMs, publishedMs, unheard: undefined };
    this.add({ watchId, selector, encoding, ...state });
    const begun: WatchBegun = { after: told, revision: history.revision, renewMs: defaultTimes.watchRenewMs };
    context.reply(requestId, begun);
  }

  /** Ends a watch, as its client has closed it. */
  close({ requestId, watchId }: UnwatchInput): void {
    const watch = this.watches.get(watchId);
    if (watch !== undefined) this.remove(watch);
    const closed: WatchClosed = { closed: watch !== undefined };
    this.context.reply(requestId, closed);
  }

  /**
   * NATS says that nobody is subscribed to what was published for a watch: its client is gone, or is just connecting to another
   * server. The watch ends if that lasts.
   */
  onUnheard(watchId: string): void {
    const watch = this.watches.get(watchId);
    if (watch === undefined) return;
    const { nowMs } = this.context;
    const { unheard } = watch;
    const lasts = unheard !== undefined && nowMs - unheard.lastMs <= 3 * defaultTimes.watchHeartbeatMs;
    const firstMs = lasts ? unheard.firstMs : nowMs;
    watch.unheard = { firstMs, lastMs: nowMs };
    if (nowMs - firstMs < defaultTimes.watchHeartbeatMs) return;
    this.remove(watch);
    this.context.drop('watch_without_subscriber');
  }

  /** Publishes what has changed, as much as one step may. */
  serve(): void {
    if (this.watches.size === 0) return;
    const history = this.historyOf();
    const { keyed } = history;
    if (keyed !== undefined && this.current.serve(history, keyed, roomOfStep())) this.serveSoon();
    this.wakeIdle(history);
    const room = roomOfStep();
    for (const watch of [...this.behind]) {
      if (room.revisions <= 0 || room.bytes <= 0) break;
      // Its next turn comes after those of all others.
      this.behind.delete(watch);
      this.tell(watch, history, room);
      if (this.watches.get(watch.watchId) === watch) this.place(watch);
    }
    if (this.behind.size > 0) this.serveSoon();
  }

  private wakeIdle(history: StateMachineHistory): void {
    const target = this.targetOf(history);
    if (target === this.idleUpTo) return;
    this.idleUpTo = target;
    for (const watch of [...this.idle]) {
      this.idle.delete(watch);
      this.place(watch);
    }
  }

  /** The timer of `serveSoon` has gone off. */
  onTimer(): void {
    this.isScheduled = false;
    this.serve();
  }

  /** Drops the watches that their clients do not ask for any more, and sends the others a sign of life. */
  onTick(): void {
    const { nowMs } = this.context;
    const idle: Watch[] = [];
    for (const watch of [...this.watches.values()]) {
      if (nowMs - watch.askedMs >= defaultTimes.watchRenewMs) {
        this.remove(watch);
        this.context.drop('watch_not_asked_for_again');
      } else if (nowMs - watch.publishedMs >= defaultTimes.watchHeartbeatMs && idle.length < limits.watchTickSigns) {
        idle.push(watch);
      }
    }
    // Those that are caught up are so to the same revision.
    this.publishAll(
      idle.filter(({ isCurrent }) => isCurrent),
      this.current.served,
      [],
    );
    for (const watch of idle) if (!watch.isCurrent) this.publishAll([watch], watch.next - 1, []);
  }

  /** This peer leads no longer: whoever watches may ask the next leader at once. */
  endAll(reason: string): void {
    for (const watch of [...this.watches.values()]) this.end(watch, 'EPERM', reason);
  }

  private faultOfNew(watchId: string): { code: ErrorCode; message: string } | undefined {
    if (this.watches.size >= limits.watches) {
      return { code: 'EBUSY', message: `the group has ${limits.watches} watches, and takes no more (limits.watches)` };
    }
    const owner = ownerOf(watchId);
    if ((this.owners.get(owner) ?? 0) < limits.ownerWatches) return undefined;
    const who = owner === '' ? 'watches whose id names no owner' : `owner ${owner}`;
    return { code: 'EBUSY', message: `${who}: at most ${limits.ownerWatches} in one group (limits.ownerWatches)` };
  }

  /** Where it belongs: with those that are caught up, with those that are behind, or, told enough, nowhere. */
  private place(watch: Watch): void {
    if (watch.unread >= limits.watchUnreadBytes) return;
    const history = this.historyOf();
    if (this.current.isEmpty) this.current.startBehind(history.revision);
    const isByKey = history.keyed !== undefined && typeof watch.selector === 'string';
    if (isByKey && watch.next === this.current.served + 1) this.current.add(watch);
    else if (this.hasNews(watch, history)) this.behind.add(watch);
    else this.idle.add(watch);
  }

  private add(watch: Watch): void {
    const owner = ownerOf(watch.watchId);
    this.owners.set(owner, (this.owners.get(owner) ?? 0) + 1);
    this.watches.set(watch.watchId, watch);
    this.place(watch);
  }

  private remove(watch: Watch): void {
    const owner = ownerOf(watch.watchId);
    const others = (this.owners.get(owner) ?? 0) - 1;
    if (others > 0) this.owners.set(owner, others);
    else this.owners.delete(owner);
    this.watches.delete(watch.watchId);
    this.behind.delete(watch);
    this.idle.delete(watch);
    this.current.remove(watch);
  }

  /** The first revision that it has not been told of, whatever its place. */
  private nextOf(watch: Watch): number {
    return watch.isCurrent ? this.current.served + 1 : watch.next;
  }

  /** Whether there is something for a watch that is behind to look at, and room to tell of it. */
  private hasNews({ next, unread }: Watch, history: StateMachineHistory): boolean {
    return next <= this.targetOf(history) && unread < limits.watchUnreadBytes;
  }

  /** Those that are behind are told all up to here: where those are that are caught up. */
  private targetOf(history: StateMachineHistory): number {
    return history.keyed === undefined ? history.revision : this.current.served;
  }

  private tell(watch: Watch, history: StateMachineHistory, room: StepRoom): void {
    while (this.hasNews(watch, history) && room.revisions > 0 && room.bytes > 0) {
      if (watch.next < history.first) return this.end(watch, 'ECOMPACTED', compacted(history));
      const { changes, bytes, upTo } = history.changes(watch.selector, watch.next, {
        changes: limits.watchChanges,
        bytes: limits.watchMessageBytes,
        revisions: Math.min(room.revisions, this.targetOf(history) - watch.next + 1),
      });
      invariant(upTo >= watch.next, 'a history goes on from revision to revision');
      room.revisions -= upTo - watch.next + 1;
      room.bytes -= bytes;
      watch.next = upTo + 1;
      watch.unread += bytes;
      if (changes.length > 0) this.publishAll([watch], upTo, changes);
    }
  }

  /** Those that were told alike so far share one body. */
  private publishAll(watches: readonly Watch[], revision: number, changes: readonly unknown[]): void {
    const bodies = new Map<number, WatchMessage>();
    for (const watch of watches) {
      const { watchId, encoding, told: after } = watch;
      const body = bodies.get(after) ?? { after, revision, changes: [...changes] };
      bodies.set(after, body);
      this.context.emit({ type: 'publish', watchId, encoding, body });
      watch.told = revision;
      watch.publishedMs = this.context.nowMs;
    }
  }

  private end(watch: Watch, code: ErrorCode, message: string): void {
    const { watchId, encoding, told } = watch;
    this.remove(watch);
    const error = new ConclaveError(code, message).toBody();
    const body = { after: told, revision: told, changes: [], error };
    this.context.emit({ type: 'publish', watchId, encoding, body });
  }

  private serveSoon(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.context.setTimer('watch', 0);
  }

  private historyOf(): StateMachineHistory {
    const { history } = this.stateMachine;
    invariant(history !== undefined, 'what is watched has a history');
    return history;
  }
}

function roomOfStep(): StepRoom {
  return { revisions: limits.watchStepRevisions, bytes: limits.watchStepBytes };
}

/** Why it is not the client's that began the watch who asks. */
function faultOfRenewal(
  { selector, encoding }: Watch,
  asked: WatchInput,
): { code: ErrorCode; message: string } | undefined {
  if (isOtherSelector(selector, asked.selector)) {
    return { code: 'EINVAL', message: 'there is a watch of this id, and it is of something else: draw another id' };
  }
  if (encoding === asked.encoding) return undefined;
  return { code: 'EINVAL', message: `there is a watch of this id, and it was asked for in ${encoding}` };
}

function compacted({ first, revision }: StateMachineHistory): string {
  return `what has changed is known from revision ${first} on; the last one is ${revision}`;
}
