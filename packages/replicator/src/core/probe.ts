/**
 * The AppendEntries that finds out whether a target's log matches at a position. It is empty; the entries that follow the position
 * may be sent once with the same id, before the reply.
 *
 * Owns: the open probe, the entries sent with it, and when it is repeated. Does not own when a probe is needed, nor what follows from
 * the reply.
 *
 * Invariants:
 * 1. A repeated probe keeps its id, so that the reply to either counts.
 * 2. A silent target is probed ever more rarely, but at least once an election timeout.
 * 3. Entries are sent with a probe at most once: to a target that does not answer, or has another log, they are useless.
 */
import { invariant, type LogIndex } from '@conclave/protocol';
import type { EntriesToSend, EntrySource } from './entry-source.js';
import type { Position } from './in-flight-window.js';
import type { LeaderTerm } from './leader-term.js';
import type { MatchState } from './match-state.js';
import type { TargetFeed } from './target-feed.js';
import type { TargetMessages } from './target-messages.js';

interface Open {
  readonly requestId: number;
  readonly prev: Position;
  sentMs: number;
  entries: SentEntries | undefined;
}

/** The entries that were sent with a probe. */
export type SentEntries = Omit<EntriesToSend, 'batches'> & { readonly requestId: number };

export class Probe {
  private open: Open | undefined;
  private retryAfterMs: number;
  /** The first entry of the leader's own term. The log of most targets ends before it. */
  private readonly firstOwnIndex: LogIndex;

  constructor(
    private readonly leaderTerm: LeaderTerm,
    private readonly source: EntrySource,
    private readonly messages: TargetMessages,
    private readonly feed: TargetFeed,
  ) {
    this.retryAfterMs = this.firstRetryMs;
    this.firstOwnIndex = (leaderTerm.lastIndex + 1) as LogIndex;
  }

  get isOpen(): boolean {
    return this.open !== undefined;
  }

  /** The position of the open probe. */
  get prev(): Position | undefined {
    return this.open?.prev;
  }

  isInFlight(requestId: number): boolean {
    return this.open?.requestId === requestId;
  }

  /** Sends a probe just before the next entry; if the term there is not known yet, reads it. */
  send({ anchor, nextIndex }: MatchState, nowMs: number): void {
    const index = (nextIndex - 1) as LogIndex;
    const term = index === anchor.index ? anchor.term : this.source.termAt(index);
    // The reply to a read of the next entry contains the term of the entry before it. Reads one batch only (1 byte: a read returns at
    // least one batch), because more would be useless if the probe fails.
    if (term === undefined) {
      this.source.ask(nextIndex, 1, nowMs);
      return;
    }
    const requestId = this.leaderTerm.output.nextRequestId();
    this.open = { requestId, prev: { index, term }, sentMs: nowMs, entries: undefined };
    this.sendEmpty(this.open);
  }

  /**
   * Sends the first entries of the leader's own term without waiting for the reply to the probe, if the probe is just before them:
   * the logs of most targets match there.
   */
  sendEntries({ nextIndex }: MatchState): void {
    const { open } = this;
    if (open === undefined || open.entries !== undefined || nextIndex !== this.firstOwnIndex) return;
    const entries = this.source.collect(nextIndex);
    if (entries === undefined || entries.prev.index !== nextIndex - 1) return;
    invariant(open.prev.index === entries.prev.index, 'entries follow the position of their probe');
    if (this.source.isNearEnd(nextIndex)) this.feed.request();
    const { prev, last, bytes, batches } = entries;
    open.entries = { requestId: open.requestId, prev, last, bytes };
    this.messages.sendAppendEntries(open.requestId, prev, this.feed.isWanted, batches);
  }

  /** Sends the open probe again if there was no reply within `retryAfterMs`, and doubles that time. */
  repeat(nowMs: number): void {
    if (this.open === undefined || nowMs - this.open.sentMs < this.retryAfterMs) return;
    this.retryAfterMs = Math.min(2 * this.retryAfterMs, this.leaderTerm.times.electionTimeoutMs);
    this.open.sentMs = nowMs;
    this.sendEmpty(this.open);
  }

  /** The log matches at the probe's position. @returns the entries that were sent with the probe */
  succeed(): SentEntries | undefined {
    const entries = this.open?.entries;
    this.open = undefined;
    this.retryAfterMs = this.firstRetryMs;
    return entries;
  }

  /** Drops the open probe. */
  end(): void {
    this.open = undefined;
  }

  private sendEmpty({ requestId, prev }: Open): void {
    this.messages.sendAppendEntries(requestId, prev, this.feed.isWanted, []);
  }

  private get firstRetryMs(): number {
    return this.leaderTerm.times.electionTimeoutMs / 4;
  }
}
