/**
 * Sends entries to a target once it is known where the logs match, with many messages in flight. New entries are sent as they are
 * appended, older ones as they are read from the log-store.
 * Owns: the messages in flight, and when the target should receive the leader's feed. Does not own the match index.
 * Invariants:
 * 1. The entries in flight follow the match index without a gap.
 * 2. Entries that the target receives from the feed count as sent, and use the same window.
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
  /** When the match index last rose, or entries began to be in flight, or the last check was sent. */
  private progressMs = 0;
  /** The last message without entries after the last sent entry, to a target that has acknowledged nothing new for a while. */
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

  /** Whether entries are in flight and the target has acknowledged nothing new for long. */
  isStalled(nowMs: number): boolean {
    const { electionTimeoutMs, heartbeatIntervalMs } = this.leaderTerm.times;
    // A target cannot know that it missed the last message of the feed, so it rejects nothing: it is asked sooner.
    const stalledAfterMs = this.feed.isSubscribed ? 2 * heartbeatIntervalMs : electionTimeoutMs / 2;
    return this.window.size > 0 && nowMs - this.progressMs >= stalledAfterMs;
  }

  /**
   * Sends an AppendEntries without entries after the last sent one, because the entries in flight may be lost, or wait for a slow disk.
   * A target that lacks some of them rejects it; for a target that is only slow, nothing is sent twice.
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
   * Requests that the target subscribe to the feed if it is near the end of the log. Earlier entries may still be in flight then: by the
   * time the target has stored them, it is subscribed.
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
    // If entries are left that the window has no room for, the target does not keep up, and messages of the feed would pile up on their
    // way to it. A target that was just asked to subscribe may still catch up with the feed.
    const mayKeepUp = this.feed.isRequested && this.source.isNearEnd(match.nextIndex);
    if (match.nextIndex <= this.leaderTerm.lastIndex && !mayKeepUp) this.feed.cancel();
  }

  /**
   * Counts entries that the target receives from the feed as in flight. If the window has no room for one, the feed is cancelled, and the
   * rest is sent.
   */
  private countFeedEntries(match: MatchState, nowMs: number): void {
    while (match.nextIndex <= this.leaderTerm.lastIndex) {
      const batch = this.source.positionsOf(match.nextIndex);
      if (batch === undefined || !this.window.hasRoom(batch.bytes)) {
        this.feed.cancel();
        return;
      }
      this.addInFlight(match, batch, nowMs);
    }
  }

  /** The probe has succeeded: counts the entries that were sent with it as in flight, unless they are acknowledged already. */
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
