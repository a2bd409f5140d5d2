/**
 * The watches that are caught up, by prefix: each new revision is looked up once, whatever their number. Watches of one prefix
 * share the changes that are made for them.
 * Requires a state machine with a history by keys (`KeyedHistory`): selectors are prefixes of keys.
 * Invariants:
 * 1. All revisions up to `served` have been looked up for each watch here; what matches has been published.
 * 2. A watch leaves when nothing more may be published for it, with `next` at the first revision that was not looked up for it.
 */
import type { KeyedHistory, StateMachineHistory } from '@conclave/actor/core';
import { invariant, limits } from '@conclave/protocol';
import { PrefixIndex } from './prefix-index.js';
import type { Watch } from './watch.js';

/** What one step may still look up, and publish. */
export interface StepRoom {
  revisions: number;
  bytes: number;
}

/** The watches of a prefix, and the changes to publish for them. */
interface Selection {
  readonly prefix: string;
  readonly watches: Set<Watch>;
  changes: unknown[];
  bytes: number;
  /** The revision of the first of the changes. */
  first: number;
}

export interface CurrentWatchesDependencies {
  /** Publishes all changes that match up to a revision, for each of these watches. */
  readonly publish: (watches: readonly Watch[], revision: number, changes: readonly unknown[]) => void;
  /** The watch has left, with its `next`. */
  readonly onLeft: (watch: Watch) => void;
}

export class CurrentWatches {
  private readonly index = new PrefixIndex<Selection>();
  private count = 0;
  private upTo = 0;

  constructor(private readonly dependencies: CurrentWatchesDependencies) {}

  /** The last revision that has been looked up. */
  get served(): number {
    return this.upTo;
  }

  get isEmpty(): boolean {
    return this.count === 0;
  }

  /** There is no watch here: the next lookup begins after this revision. */
  startBehind(revision: number): void {
    this.upTo = revision;
  }

  /** Adds a watch whose `next` is the revision after `served`. */
  add(watch: Watch): void {
    const prefix = watch.selector as string;
    let selection = this.index.get(prefix);
    if (selection === undefined) {
      selection = { prefix, watches: new Set(), changes: [], bytes: 0, first: 0 };
      this.index.add(prefix, selection);
    }
    selection.watches.add(watch);
    watch.isCurrent = true;
    this.count += 1;
  }

  /** Removes a watch, if it is here, with its `next`. */
  remove(watch: Watch): void {
    if (!watch.isCurrent) return;
    const selection = this.index.get(watch.selector as string);
    invariant(selection !== undefined, 'a watch that is caught up is here');
    selection.watches.delete(watch);
    this.count -= 1;
    if (selection.watches.size === 0) this.index.delete(selection.prefix);
    watch.isCurrent = false;
    watch.next = this.upTo + 1;
  }

  /** Looks up new revisions, as many as there is room for. @returns whether there are more */
  serve(history: StateMachineHistory, keyed: KeyedHistory, room: StepRoom): boolean {
    const { revision } = history;
    if (this.upTo + 1 < history.first) this.leaveAll();
    if (this.count === 0) this.upTo = revision;
    const changed = new Set<Selection>();
    let pendingBytes = 0;
    while (this.upTo < revision && room.revisions > 0 && pendingBytes < room.bytes) {
      const at = this.upTo + 1;
      room.revisions -= 1;
      const key = keyed.keyOf(at);
      const matching = key === undefined ? [] : this.index.prefixesOf(key);
      if (matching.length > 0) {
        const { change, bytes } = keyed.changeAt(at);
        pendingBytes += bytes;
        for (const selection of matching) {
          if (isFull(selection, bytes)) this.publish(selection, room);
          if (selection.changes.length === 0) selection.first = at;
          selection.changes.push(change);
          selection.bytes += bytes;
          changed.add(selection);
        }
      }
      this.upTo = at;
    }
    for (const selection of changed) this.publish(selection, room);
    return this.upTo < revision;
  }

  /** The revision after `served` is no longer known: each watch is ended in its turn. */
  private leaveAll(): void {
    for (const selection of this.index.items()) {
      for (const watch of [...selection.watches]) this.leave(watch, this.upTo + 1);
    }
  }

  private publish(selection: Selection, room: StepRoom): void {
    const { changes, bytes, first } = selection;
    selection.changes = [];
    selection.bytes = 0;
    if (changes.length === 0) return;
    const served: Watch[] = [];
    for (const watch of selection.watches) {
      // The others are served in their turn, each by itself.
      if (room.bytes <= 0) this.leave(watch, first);
      else served.push(watch);
      room.bytes -= bytes;
    }
    this.dependencies.publish(served, this.upTo, changes);
    for (const watch of served) {
      watch.unread += bytes;
      if (watch.unread >= limits.watchUnreadBytes) this.leave(watch, this.upTo + 1);
    }
  }

  private leave(watch: Watch, next: number): void {
    this.remove(watch);
    watch.next = next;
    this.dependencies.onLeft(watch);
  }
}

function isFull({ changes, bytes }: Selection, more: number): boolean {
  if (changes.length === 0) return false;
  return changes.length >= limits.watchChanges || bytes + more > limits.watchMessageBytes;
}
