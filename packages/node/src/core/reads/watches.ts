/**
 * The watches of a leader: publishes the changes of the state machine for each client that asks, as long as it renews its watch.
 * Owns: the watches and which revisions each has received. Publishing is at most once; each message names the revisions that it
 * covers, so that a client that missed one notices it and asks again from there (`WatchMessage`). Watches are not replicated:
 * clients start them again at the next leader.
 * A watch is in one of three places: caught up (`CurrentWatches`, where a write costs the same however many there are), behind
 * (each reads the history by itself; all are, if the state machine has no history by keys), or waiting for its client to renew
 * it, as it has received as much as a client may leave unread.
 * Invariants:
 * 1. What is published has been applied, so it is committed.
 * 2. Each message of a watch begins after the last one, until the watch is started again from another revision.
 * 3. There are at most `limits.watches` watches, at most `limits.ownerWatches` of one owner; a watch whose client does not renew
 *    it receives at most about `limits.watchUnreadBytes`, and ends after `defaultTimes.watchRenewMs`.
 * 4. A step looks up at most `limits.watchStepRevisions` revisions, and publishes at most about `limits.watchStepBytes`, for the
 *    watches that are caught up; and as much again for those that are behind.
 * 5. A watch keeps the selector and the encoding that it began with: no other client takes it over by its id.
 */

import type { StateMachine, StateMachineHistory, WatchBegun, WatchClosed } from '@conclave/actor/core';
import { ConclaveError, defaultTimes, type ErrorCode, invariant, limits, type WatchMessage } from '@conclave/protocol';
import type { UnwatchInput, WatchInput } from '../inputs-and-effects.js';
import type { StepContext } from '../step-context.js';
import { CurrentWatches, type StepRoom } from './current-watches.js';
import { isOtherSelector, ownerOf, type Watch } from './watch.js';

export class Watches {
  private readonly watches = new Map<string, Watch>();
  /** The number of watches of each owner. */
  private readonly owners = new Map<string, number>();
  /** The watches that are behind and have revisions to look up, in the order of their turns. */
  private readonly behind = new Set<Watch>();
  /** The other watches that are not caught up: there is nothing for them up to here. */
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
    private readonly context: StepContext,
    private readonly stateMachine: StateMachine,
  ) {}

  /** How many watches are served. */
  get size(): number {
    return this.watches.size;
  }

  /** Starts a watch, or renews it. */
  startOrRenew(input: WatchInput): void {
    const { context, watches } = this;
    const { requestId, watchId, selector, from, encoding } = input;
    const { history } = this.stateMachine;
    if (history === undefined) return context.refuse(requestId, 'ENOENT', 'this state machine keeps no history');
    const before = watches.get(watchId);
    const refusal = before === undefined ? this.refusalOfNew(watchId) : refusalOfRenewal(before, input);
    if (refusal !== undefined) return context.refuse(requestId, refusal.code, refusal.message);
    const next = from ?? (before === undefined ? history.revision + 1 : this.nextOf(before));
    const coveredUpTo = from === undefined && before !== undefined ? before.coveredUpTo : next - 1;
    if (before !== undefined) this.remove(before);
    if (next < history.first) return context.refuse(requestId, 'ECOMPACTED', compacted(history));
    const { nowMs } = context;
    const publishedMs = before?.publishedMs ?? nowMs;
    const state = {
      isCurrent: false,
      next,
      coveredUpTo,
      unread: 0,
      askedMs: nowMs,
      publishedMs,
      unsubscribed: undefined,
    };
    this.add({ watchId, selector, encoding, ...state });
    const begun: WatchBegun = { after: coveredUpTo, revision: history.revision, renewMs: defaultTimes.watchRenewMs };
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
   * NATS reports that nobody is subscribed to what was published for a watch: its client has ended, or is connecting to another
   * server. The watch ends if that lasts.
   */
  onNoSubscribers(watchId: string): void {
    const watch = this.watches.get(watchId);
    if (watch === undefined) return;
    const { nowMs } = this.context;
    const { unsubscribed } = watch;
    const lasts = unsubscribed !== undefined && nowMs - unsubscribed.lastMs <= 3 * defaultTimes.watchHeartbeatMs;
    const firstMs = lasts ? unsubscribed.firstMs : nowMs;
    watch.unsubscribed = { firstMs, lastMs: nowMs };
    if (nowMs - firstMs < defaultTimes.watchHeartbeatMs) return;
    this.remove(watch);
    this.context.drop('watch_without_subscriber');
  }

  /** Publishes changes, as many as one step may. */
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
      this.publishChanges(watch, history, room);
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

  /** The timer of `serveSoon` has fired. */
  onTimer(): void {
    this.isScheduled = false;
    this.serve();
  }

  /** Ends the watches that their clients do not renew, and sends heartbeats for the others. */
  onTick(): void {
    const { nowMs } = this.context;
    const idle: Watch[] = [];
    for (const watch of [...this.watches.values()]) {
      if (nowMs - watch.askedMs >= defaultTimes.watchRenewMs) {
        this.remove(watch);
        this.context.drop('watch_not_renewed');
      } else if (nowMs - watch.publishedMs >= defaultTimes.watchHeartbeatMs && idle.length < limits.watchTickSigns) {
        idle.push(watch);
      }
    }
    // All that are caught up are at the same revision.
    this.publishAll(
      idle.filter(({ isCurrent }) => isCurrent),
      this.current.served,
      [],
    );
    for (const watch of idle) if (!watch.isCurrent) this.publishAll([watch], watch.next - 1, []);
  }

  /** This peer no longer leads: clients may ask the next leader at once. */
  endAll(reason: string): void {
    for (const watch of [...this.watches.values()]) this.end(watch, 'EPERM', reason);
  }

  private refusalOfNew(watchId: string): { code: ErrorCode; message: string } | undefined {
    if (this.watches.size >= limits.watches) {
      return {
        code: 'EBUSY',
        message: `the group has ${limits.watches} watches, and accepts no more (limits.watches)`,
      };
    }
    const owner = ownerOf(watchId);
    if ((this.owners.get(owner) ?? 0) < limits.ownerWatches) return undefined;
    const who = owner === '' ? 'watches whose id names no owner' : `owner ${owner}`;
    return { code: 'EBUSY', message: `${who}: at most ${limits.ownerWatches} in one group (limits.ownerWatches)` };
  }

  /**
   * Adds a watch to those that are caught up, or to those that are behind. A watch that its client must renew first is in neither
   * set.
   */
  private place(watch: Watch): void {
    if (watch.unread >= limits.watchUnreadBytes) return;
    const history = this.historyOf();
    if (this.current.isEmpty) this.current.startBehind(history.revision);
    const isByKey = history.keyed !== undefined && typeof watch.selector === 'string';
    if (isByKey && watch.next === this.current.served + 1) this.current.add(watch);
    else if (this.hasChanges(watch, history)) this.behind.add(watch);
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

  /** Returns the first revision that was not looked up for a watch, in whichever of the three places it is. */
  private nextOf(watch: Watch): number {
    return watch.isCurrent ? this.current.served + 1 : watch.next;
  }

  /** Whether there are revisions to look up for a watch that is behind, and room to publish them. */
  private hasChanges({ next, unread }: Watch, history: StateMachineHistory): boolean {
    return next <= this.targetOf(history) && unread < limits.watchUnreadBytes;
  }

  /** Returns the revision up to which the watches that are behind are served: the one that the caught-up watches have reached. */
  private targetOf(history: StateMachineHistory): number {
    return history.keyed === undefined ? history.revision : this.current.served;
  }

  private publishChanges(watch: Watch, history: StateMachineHistory, room: StepRoom): void {
    while (this.hasChanges(watch, history) && room.revisions > 0 && room.bytes > 0) {
      if (watch.next < history.first) return this.end(watch, 'ECOMPACTED', compacted(history));
      const { changes, bytes, upTo } = history.changes(watch.selector, watch.next, {
        changes: limits.watchChanges,
        bytes: limits.watchMessageBytes,
        revisions: Math.min(room.revisions, this.targetOf(history) - watch.next + 1),
      });
      invariant(upTo >= watch.next, 'a history continues from revision to revision');
      room.revisions -= upTo - watch.next + 1;
      room.bytes -= bytes;
      watch.next = upTo + 1;
      watch.unread += bytes;
      if (changes.length > 0) this.publishAll([watch], upTo, changes);
    }
  }

  /** Watches at the same revision share one body. */
  private publishAll(watches: readonly Watch[], revision: number, changes: readonly unknown[]): void {
    const bodies = new Map<number, WatchMessage>();
    for (const watch of watches) {
      const { watchId, encoding, coveredUpTo: after } = watch;
      const body = bodies.get(after) ?? { after, revision, changes: [...changes] };
      bodies.set(after, body);
      this.context.emit({ type: 'publish', watchId, encoding, body });
      watch.coveredUpTo = revision;
      watch.publishedMs = this.context.nowMs;
    }
  }

  private end(watch: Watch, code: ErrorCode, message: string): void {
    const { watchId, encoding, coveredUpTo } = watch;
    this.remove(watch);
    const error = new ConclaveError(code, message).toBody();
    const body = { after: coveredUpTo, revision: coveredUpTo, changes: [], error };
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

/** Returns why this is not a renewal by the client that started the watch; undefined: it is. */
function refusalOfRenewal(
  { selector, encoding }: Watch,
  request: WatchInput,
): { code: ErrorCode; message: string } | undefined {
  if (isOtherSelector(selector, request.selector)) {
    return { code: 'EINVAL', message: 'there is a watch of this id, and it is of something else: draw another id' };
  }
  if (encoding === request.encoding) return undefined;
  return { code: 'EINVAL', message: `there is a watch of this id, and it was asked for in ${encoding}` };
}

function compacted({ first, revision }: StateMachineHistory): string {
  return `what has changed is known from revision ${first} on; the last one is ${revision}`;
}
