/**
 * The watches of a leader: publishes what changes in the state machine, for each who asks, as long as it asks.
 *
 * Owns the watches and how far each has been told. Publishing is at most once; each message says which revisions it
 * covers, so that who missed one sees it and asks from there on (`WatchMessage`). Nothing of this is replicated: the next
 * leader is asked anew.
 *
 * Invariants:
 * 1. What is published has been applied, so it is committed.
 * 2. The messages of a watch go on where the last one ended, until it is asked for from another revision.
 * 3. At most `limits.watches` watches are there; one whose watcher does not ask again is told at most about
 *    `limits.watchUnreadBytes`, and ends after `defaultTimes.watchRenewMs`.
 * 4. A step looks at most at `limits.watchStepRevisions` revisions, and publishes at most about `limits.watchStepBytes`.
 */
import type { StateMachine, StateMachineHistory, WatchBegun } from '@conclave/actor/core';
import { ConclaveError, defaultTimes, type Encoding, type ErrorCode, invariant, limits } from '@conclave/protocol';
import type { NodeContext } from './context.js';

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

interface Watch {
  readonly watchId: string;
  readonly selector: unknown;
  readonly encoding: Encoding;
  /** The first revision that has not been looked at. */
  next: number;
  /** What has been published goes up to here. */
  told: number;
  /** Bytes published since it was last asked for. */
  unread: number;
  askedMs: number;
  publishedMs: number;
}

export class Watches {
  /** In the order of their turns. */
  private readonly watches = new Map<string, Watch>();
  private isScheduled = false;

  constructor(
    private readonly context: NodeContext,
    private readonly stateMachine: StateMachine,
  ) {}

  /** Begins a watch, or goes on with it. */
  ask({ requestId, watchId, selector, from, encoding }: WatchInput): void {
    const { context, watches } = this;
    const { history } = this.stateMachine;
    if (history === undefined) return context.refuse(requestId, 'ENOENT', 'this state machine keeps no history');
    const before = watches.get(watchId);
    if (before === undefined && watches.size >= limits.watches) {
      return context.refuse(requestId, 'EBUSY', `the group has ${limits.watches} watches`);
    }
    const next = from ?? before?.next ?? history.revision + 1;
    const told = from === undefined && before !== undefined ? before.told : next - 1;
    if (next < history.first) {
      this.watches.delete(watchId);
      return context.refuse(requestId, 'ECOMPACTED', compacted(history));
    }
    const { nowMs } = context;
    const publishedMs = before?.publishedMs ?? nowMs;
    watches.set(watchId, { watchId, selector, encoding, next, told, unread: 0, askedMs: nowMs, publishedMs });
    const begun: WatchBegun = { after: told, revision: history.revision, renewMs: defaultTimes.watchRenewMs };
    context.reply(requestId, begun);
  }

  /** Publishes what has changed, as much as one step may. */
  serve(): void {
    if (this.watches.size === 0) return;
    const history = this.historyOf();
    const room = { revisions: limits.watchStepRevisions as number, bytes: limits.watchStepBytes as number };
    for (const watch of [...this.watches.values()]) {
      if (!hasNews(watch, history)) continue;
      if (room.revisions <= 0 || room.bytes <= 0) return this.serveSoon();
      // Its next turn comes after those of all others.
      this.watches.delete(watch.watchId);
      this.watches.set(watch.watchId, watch);
      this.tell(watch, history, room);
      if (hasNews(watch, history)) this.serveSoon();
    }
  }

  /** The timer of `serveSoon` has gone off. */
  onTimer(): void {
    this.isScheduled = false;
    this.serve();
  }

  /** Lets those go that nobody asks for any more, and gives the others a sign of life. */
  onTick(): void {
    const { nowMs } = this.context;
    for (const watch of [...this.watches.values()]) {
      if (nowMs - watch.askedMs >= defaultTimes.watchRenewMs) {
        this.watches.delete(watch.watchId);
        this.context.drop('watch_not_asked_for_again');
      } else if (nowMs - watch.publishedMs >= defaultTimes.watchHeartbeatMs) {
        this.publish(watch, watch.next - 1, []);
      }
    }
  }

  /** This peer leads no longer: whoever watches may ask the next leader at once. */
  endAll(reason: string): void {
    for (const watch of [...this.watches.values()]) this.end(watch, 'EPERM', reason);
  }

  private tell(watch: Watch, history: StateMachineHistory, room: { revisions: number; bytes: number }): void {
    while (hasNews(watch, history) && room.revisions > 0 && room.bytes > 0) {
      if (watch.next < history.first) return this.end(watch, 'ECOMPACTED', compacted(history));
      const { changes, bytes, upTo } = history.changes(watch.selector, watch.next, {
        changes: limits.watchChanges,
        bytes: limits.watchMessageBytes,
        revisions: room.revisions,
      });
      invariant(upTo >= watch.next, 'a history goes on from revision to revision');
      room.revisions -= upTo - watch.next + 1;
      room.bytes -= bytes;
      watch.next = upTo + 1;
      watch.unread += bytes;
      if (changes.length > 0) this.publish(watch, upTo, changes);
    }
  }

  private publish(watch: Watch, revision: number, changes: readonly unknown[]): void {
    const { watchId, encoding, told: after } = watch;
    this.context.emit({ type: 'publish', watchId, encoding, body: { after, revision, changes: [...changes] } });
    watch.told = revision;
    watch.publishedMs = this.context.nowMs;
  }

  private end({ watchId, encoding, told }: Watch, code: ErrorCode, message: string): void {
    this.watches.delete(watchId);
    const error = new ConclaveError(code, message).toBody();
    this.context.emit({
      type: 'publish',
      watchId,
      encoding,
      body: { after: told, revision: told, changes: [], error },
    });
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

/** Whether there is something to look at, and room to tell of it. */
function hasNews({ next, unread }: Watch, { revision }: StateMachineHistory): boolean {
  return next <= revision && unread < limits.watchUnreadBytes;
}

function compacted({ first, revision }: StateMachineHistory): string {
  return `what has changed is known from revision ${first} on; the last one is ${revision}`;
}
