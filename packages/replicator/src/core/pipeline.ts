/**
 * Sends entries to a target once the index up to which the logs match is known, with many messages in flight: the recent ones as
 * they are appended, older ones as they are read from the log-store.
 * Owns: the messages in flight, and when the target should receive the leader's feed. Does not own the match index.
 * Invariants:
 * 1. There is no gap: the entries in flight follow those that the target has.
 * 2. Entries that the target receives from the feed count as sent, within the same window.
 */
import { type LogIndex, limits } from '@conclave/protocol';
import type { EntriesToSend, EntrySource } from './entry-source.js';
import { InFlightWindow, type Position } from './in-flight-window.js';
import type { LeaderTerm } from './leader-term.js';
import type { MatchState } from './match-state.js';
import type { SentEntries } from './probe.js';
import type { TargetFeed } from './target-feed.js';
import type { TargetMessages } from './target-messages.js';

export class Pipeline {
  private progressMs = 0;
  /** An empty message with the last sent entry as its prev, to a target that has not acknowledged for a while. */
  private check: { readonly requestId: number; readonly prevIndex: LogIndex } | undefined;
  private readonly window = new InFlightWindow();

  constructor(
    private readonly leaderTerm: LeaderTerm,
    private readonly source: EntrySource,
    private readonly messages: TargetMessages,
    private readonly feed: TargetFeed,
  ) {}

  /** Messages in flight. */
  get inFlight(): number {
    return this.window.size;
  }

  /** @returns the prev index of a message in flight; undefined: it is not in flight */
  prevIndexOf(requestId: number): LogIndex | undefined {
    if (this.check?.requestId === requestId) return this.check.prevIndex;
    return this.window.find(requestId)?.prevIndex;
  }

  /**
   * The target has acknowledged all entries up to `matchIndex`.
   * @param isMore whether that is more than before
   * @returns the last position of the messages that are no longer in flight
   */
  onMatch(matchIndex: LogIndex, isMore: boolean, nowMs: number): Position | undefined {
    if (isMore) this.progressMs = nowMs;
    return this.window.acknowledge(matchIndex);
  }

  isStalled(nowMs: number): boolean {
    const { electionTimeoutMs, heartbeatIntervalMs } = this.leaderTerm.times;
    // A target does not notice that it missed a message of the feed, so it rejects nothing.
    const patienceMs = this.feed.isSubscribed ? 2 * heartbeatIntervalMs : electionTimeoutMs / 2;
    return this.window.size > 0 && nowMs - this.progressMs >= patienceMs;
  }

  /**
   * Entries that were sent may be lost, or wait for a slow disk. A message without entries after all of them finds out: a
   * target that lacks some of them rejects it, and a slow target loses no time by it.
   */
  sendCheck(prev: Position, nowMs: number): void {
    const requestId = this.leaderTerm.output.nextRequestId();
    this.check = { requestId, prevIndex: prev.index };
    this.progressMs = nowMs;
    this.messages.sendAppendEntries(requestId, prev, this.feed.isWanted, []);
  }

  /** Whether the whole log has been sent. */
  hasSentAll(match: MatchState): boolean {
    return match.nextIndex > this.leaderTerm.lastIndex;
  }

  /** Drops the messages in flight. */
  stop(): void {
    this.feed.suspend();
    this.check = undefined;
    this.window.clear();
  }

  /**
   * Near the end of the log, requests that the target subscribe to the feed: while earlier entries are still in flight, so that it is
   * subscribed by the time it has stored them.
   */
  requestFeed({ nextIndex }: MatchState): void {
    if (!this.feed.isWanted && this.window.hasRoom(0) && this.source.isNearEnd(nextIndex)) this.feed.request();
  }

  /** Sends entries as long as the window has room. */
  send(match: MatchState, nowMs: number): void {
    this.requestFeed(match);
    if (this.feed.isSubscribed) this.countFeedEntries(match, nowMs);
    while (match.nextIndex <= this.leaderTerm.lastIndex && this.window.hasRoom(0)) {
      const gathered = this.source.collect(match.nextIndex);
      if (gathered === undefined) {
        this.source.ask(match.nextIndex, limits.replicatorReadBytes, nowMs);
        break;
      }
      if (!this.window.hasRoom(gathered.bytes)) break;
      const requestId = this.addInFlight(match, gathered, nowMs);
      this.messages.sendAppendEntries(requestId, gathered.prev, this.feed.isWanted, gathered.batches);
    }
    this.source.readAhead(match.nextIndex, nowMs);
    // The target does not keep up: the feed would pile up on its way. One that was just asked to subscribe may keep up yet.
    const mayKeepUp = this.feed.isRequested && this.source.isNearEnd(match.nextIndex);
    if (match.nextIndex <= this.leaderTerm.lastIndex && !mayKeepUp) this.feed.cancel();
  }

  /** Entries that the target receives from the feed are in flight as if they had been sent; those past the window are sent again. */
  private countFeedEntries(match: MatchState, nowMs: number): void {
    while (match.nextIndex <= this.leaderTerm.lastIndex) {
      const placed = this.source.positionsOf(match.nextIndex);
      if (placed === undefined || !this.window.hasRoom(placed.bytes)) {
        this.feed.cancel();
        return;
      }
      this.addInFlight(match, placed, nowMs);
    }
  }

  /** Entries that were sent with the probe are in flight, unless they are acknowledged. */
  addCarried(match: MatchState, carried: SentEntries, nowMs: number): void {
    if (match.nextIndex === carried.prev.index + 1) this.addInFlight(match, carried, nowMs, carried.requestId);
  }

  private addInFlight(
    match: MatchState,
    { prev, last, bytes }: Omit<EntriesToSend, 'batches'>,
    nowMs: number,
    requestId = this.leaderTerm.output.nextRequestId(),
  ): number {
    if (this.window.size === 0) this.progressMs = nowMs;
    this.window.add({ requestId, prevIndex: prev.index, last, bytes });
    match.nextIndex = (last.index + 1) as LogIndex;
    return requestId;
  }
}
