/**
 * Reads the messages of a watch: each change once, in the order of the revisions, without a gap.
 *
 * Owns: the last revision that was read. Does not know NATS, the clock or promises.
 *
 * Invariants:
 * 1. `seen` only grows, except in `startAfter`. All changes up to it have been returned, each once.
 * 2. Changes that may have been missed are requested again: nothing after a gap is returned.
 */
import { type ErrorBody, KeyChange, type KvReply, WatchMessage } from '@conclave/protocol';
import { ownChange } from './parse-reply.js';

/** The meaning of a message. */
export type WatchUpdate =
  | { readonly type: 'changes'; readonly changes: readonly KeyChange[] }
  /** Nothing new: a heartbeat, or a repeat. */
  | { readonly type: 'nothing' }
  /** Something was missed: request from `seen` + 1. */
  | { readonly type: 'gap' }
  /** The watch has ended. */
  | { readonly type: 'ended'; readonly error: ErrorBody }
  | { readonly type: 'malformed' };

export class WatchReader {
  private upTo: number | undefined;
  /** Keys whose state is known as of a later revision than `seen`: earlier changes of them are ignored. */
  private ahead: ReadonlyMap<string, number> = new Map();

  /** @param fromRevision the first one that is wanted; undefined: changes after the watch has begun */
  constructor(fromRevision?: number) {
    this.upTo = fromRevision === undefined ? undefined : fromRevision - 1;
  }

  /** All changes up to this revision have been returned; undefined: the watch has not begun. */
  get seen(): number | undefined {
    return this.upTo;
  }

  /** Continues after this revision, as the state was read again. `ahead`: keys that were read at a later revision. */
  startAfter(revision: number, ahead: ReadonlyMap<string, number>): void {
    this.upTo = revision;
    this.ahead = ahead;
  }

  /** The leader has begun the watch. @returns whether it continues without a gap */
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
    // Before the watch has begun its position is unknown; a gap shows later.
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
