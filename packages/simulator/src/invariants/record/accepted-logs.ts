/**
 * The log of each node as the node has accepted it, durable or not: what it received when it opened its log-store, and
 * what it has sent to the log-store since, in the order of their link.
 *
 * Owns the logs, by store and session. A fenced node keeps its own.
 */
import type { Body, Frame } from '@conclave/protocol';
import { type Entry, entryAt, type LogTree } from './log-tree.js';
import type { StoredLogs } from './stored-logs.js';

export interface AcceptedLog {
  readonly storeId: string;
  readonly session: number;
  last: Entry | undefined;
  /** The last message of the node's link to its log-store: messages are resent until they are acknowledged. */
  seq: number;
}

type Append = Body<'log-store.append'>;

export class AcceptedLogs {
  private readonly logs = new Map<string, AcceptedLog>();

  constructor(
    private readonly tree: LogTree,
    private readonly stored: StoredLogs,
  ) {}

  of(own: { readonly store_id: string; readonly session: number }): AcceptedLog | undefined {
    return this.logs.get(keyOf(own.store_id, own.session));
  }

  onOpened({ store_id, session, last_index }: Body<'node.opened'>): void {
    const key = keyOf(store_id, session);
    if (this.logs.has(key)) return;
    const last = entryAt(this.stored.of(store_id)?.last, last_index);
    this.logs.set(key, { storeId: store_id, session, last, seq: 0 });
  }

  /** Whether this message is sent for the first time. */
  private isNew(log: AcceptedLog | undefined, frame: Frame | undefined): log is AcceptedLog {
    if (log === undefined || frame === undefined || frame.seq <= log.seq) return false;
    log.seq = frame.seq;
    return true;
  }

  /** Returns the entries that are new in it; undefined: it is a repeat. */
  onAppend(body: Append): readonly Entry[] | undefined {
    const log = this.of(body);
    if (!this.isNew(log, body)) return undefined;
    if (body.truncate_from > 0) log.last = entryAt(log.last, body.truncate_from - 1);
    const entries: Entry[] = [];
    for (const bytes of body.batches) {
      for (const entry of this.tree.follow(body.group_uid, log.last, bytes)) {
        log.last = entry;
        entries.push(entry);
      }
    }
    return entries;
  }

  /** Another history begins with this log. Returns whether the message is sent for the first time. */
  onReset(body: Body<'log-store.reset'>): boolean {
    const log = this.of(body);
    if (!this.isNew(log, body)) return false;
    log.last = this.tree.follow(body.group_uid, this.tree.continueHistory(body.group_uid, log.last), body.batch).at(-1);
    return true;
  }

  /** An installed snapshot replaces a log that does not contain its last entry. */
  onSnapshotEnd(body: Body<'log-store.snapshot_end'>): void {
    const log = this.of(body);
    if (!this.isNew(log, body) || body.source === 'taken') return;
    const { index, term } = body.head;
    if (entryAt(log.last, index)?.term !== term) log.last = this.tree.find(body.group_uid, index, term);
  }

  /** Returns whether the message is sent for the first time. */
  onVote(body: Body<'log-store.vote'>): boolean {
    return this.isNew(this.of(body), body);
  }
}

function keyOf(storeId: string, session: number): string {
  return `${storeId} ${session}`;
}
