/**
 * What a watcher makes of the messages of its watch: each change once, in the order of the revisions, without a gap.
 *
 * Owns how far it has come. Does not know NATS, the clock or promises.
 *
 * Invariants:
 * 1. `seen` only grows, but for `startBehind`. All changes up to there have been handed on; a change is handed on once.
 * 2. What may have been missed is asked for again: nothing behind a gap is handed on.
 */
import { type ErrorBody, KeyChange, type KvReply, WatchMessage } from '@conclave/protocol';
import { ownChange } from './parse-reply.js';

/** What a message was. */
export type WatchUpdate =
  | { readonly type: 'changes'; readonly changes: readonly KeyChange[] }
  /** Nothing new: a sign of life, or what was there already. */
  | { readonly type: 'nothing' }
  /** Something was missed: ask from `seen` + 1. */
  | { readonly type: 'gap' }
  /** The watch has ended. */
  | { readonly type: 'ended'; readonly error: ErrorBody }
  | { readonly type: 'malformed' };

export class WatchReader {
  private upTo: number | undefined;
  /** Keys whose state is known up to a revision beyond `seen`: earlier changes of them are no news. */
  private ahead: ReadonlyMap<string, number> = new Map();

  /** @param fromRevision the first one that is wanted; undefined: those after the watch has begun. */
  constructor(fromRevision?: number) {
    this.upTo = fromRevision === undefined ? undefined : fromRevision - 1;
  }

  /** All changes up to here have been handed on; undefined: it has not begun. */
  get seen(): number | undefined {
    return this.upTo;
  }

  /** Goes on behind this revision, as what is there has been read anew. `ahead`: keys that were read later than that. */
  startAfter(revision: number, ahead: ReadonlyMap<string, number>): void {
    this.upTo = revision;
    this.ahead = ahead;
  }

  /** The leader has taken the watch on. True: it goes on behind what has been seen. */
  onBegun({ after }: Pick<KvReply<'watch'>, 'after'>): boolean {
    this.upTo ??= after;
    return after <= this.upTo;
  }

  onMessage(body: unknown): WatchUpdate {
    const parsed = WatchMessage.safeParse(body);
    if (!parsed.success) return { type: 'malformed' };
    const { after, revision, changes, error } = parsed.data;
    const { upTo } = this;
    if (error !== undefined) return { type: 'ended', error };
    // Before the watch has begun it is not known where; what is missed by that shows then.
    if (upTo === undefined || (revision <= upTo && after <= upTo)) return { type: 'nothing' };
    if (after > upTo) return { type: 'gap' };
    const fresh: KeyChange[] = [];
    for (const one of changes) {
      const change = KeyChange.safeParse(one);
      if (!change.success) return { type: 'malformed' };
      if (change.data[0] > upTo && this.isNew(change.data)) fresh.push(ownChange(change.data));
    }
    this.upTo = revision;
    return { type: 'changes', changes: fresh };
  }

  private isNew([revision, , key]: KeyChange): boolean {
    return revision > (this.ahead.get(key) ?? 0);
  }
}
