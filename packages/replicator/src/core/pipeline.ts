/**
 * Keeps a target that is in step supplied: entries go out as they come, many messages at once.
 *
 * Owns what is in flight, and whether the target hears the leader's appends itself (decision 0019). Does not own how
 * far the logs agree.
 *
 * Invariants:
 * 1. Nothing is left out: what is in flight follows on what the target has, without a gap.
 * 2. What the target hears itself counts as sent, within the same window.
 */
import { type LogIndex, limits } from '@conclave/protocol';
import type { Agreement } from './agreement.js';
import type { EntrySource, Gathered } from './entry-source.js';
import { InFlightWindow, type Position } from './in-flight-window.js';
import type { Leadership } from './leadership.js';
import type { TargetMessages } from './target-messages.js';

export class Pipeline {
  /** Whether the target hears the leader's appends itself, so that they need not be sent. */
  feed: 'unheard' | 'asked' | 'heard' = 'unheard';
  private progressMs = 0;
  /** Asks a target that has not acknowledged for a while whether it got what was sent: it stands on the last entry of that. */
  private check: { readonly requestId: number; readonly prevIndex: LogIndex } | undefined;
  private readonly window = new InFlightWindow();

  constructor(
    private readonly leadership: Leadership,
    private readonly source: EntrySource,
    private readonly messages: TargetMessages,
  ) {}

  /** Messages in flight. */
  get inFlight(): number {
    return this.window.size;
  }

  /** Whether the target is to hear the leader's feed. */
  get asksForFeed(): boolean {
    return this.feed !== 'unheard';
  }

  /** The entry before those of a message that is in flight. */
  prevIndexOf(requestId: number): LogIndex | undefined {
    if (this.check?.requestId === requestId) return this.check.prevIndex;
    return this.window.find(requestId)?.prevIndex;
  }

  /** The target has acknowledged all up to there, and `isMore`: more than before. Answers the latest position in it. */
  onMatch(matchIndex: LogIndex, isMore: boolean, nowMs: number): Position | undefined {
    if (isMore) this.progressMs = nowMs;
    return this.window.acknowledge(matchIndex);
  }

  isStalled(nowMs: number): boolean {
    const { electionTimeoutMs, heartbeatIntervalMs } = this.leadership.times;
    // What a target was to hear by itself it does not miss: nobody rejects what came before.
    const patienceMs = this.feed === 'heard' ? 2 * heartbeatIntervalMs : electionTimeoutMs / 2;
    return this.window.size > 0 && nowMs - this.progressMs >= patienceMs;
  }

  /**
   * What was sent may be lost, or wait for a slow disk. A message without entries behind all of it tells: a target that lacks
   * some of it refuses that, and one that is slow loses no time by it.
   */
  sendCheck(prev: Position, nowMs: number): void {
    const requestId = this.leadership.outlet.nextRequestId();
    this.check = { requestId, prevIndex: prev.index };
    this.progressMs = nowMs;
    this.messages.sendAppendEntries(requestId, prev, this.asksForFeed, []);
  }

  /** Whether another message may be sent before the target has acknowledged more. */
  get hasRoom(): boolean {
    return this.window.hasRoom(0);
  }

  /** Whether all that there is has been sent. */
  hasSentAll(agreement: Agreement): boolean {
    return agreement.nextIndex > this.leadership.lastIndex;
  }

  /** What is in flight is void. */
  stop(): void {
    if (this.feed === 'heard') this.feed = 'asked';
    this.check = undefined;
    this.window.clear();
  }

  /** Sends what there is, as far as the window has room. */
  send(agreement: Agreement, nowMs: number): void {
    if (this.feed === 'heard') this.countHeard(agreement, nowMs);
    while (agreement.nextIndex <= this.leadership.lastIndex && this.window.hasRoom(0)) {
      const gathered = this.source.gather(agreement.nextIndex);
      if (gathered === undefined) {
        this.source.ask(agreement.nextIndex, limits.replicatorReadBytes, nowMs);
        break;
      }
      if (!this.window.hasRoom(gathered.bytes)) break;
      const requestId = this.addInFlight(agreement, gathered, nowMs);
      this.messages.sendAppendEntries(requestId, gathered.prev, this.asksForFeed, gathered.batches);
    }
    this.source.readAhead(agreement.nextIndex, nowMs);
    // It does not keep up: what it hears would pile up on its way. One that was just asked to may yet be there in time.
    const mayKeepUp = this.feed === 'asked' && this.source.isNearEnd(agreement.nextIndex);
    if (agreement.nextIndex <= this.leadership.lastIndex && !mayKeepUp) this.feed = 'unheard';
  }

  /** What the target hears by itself is in flight as if it had been sent; what is past the window is to be sent again. */
  private countHeard(agreement: Agreement, nowMs: number): void {
    while (agreement.nextIndex <= this.leadership.lastIndex) {
      const placed = this.source.placed(agreement.nextIndex);
      if (placed === undefined || !this.window.hasRoom(placed.bytes)) {
        this.feed = 'unheard';
        return;
      }
      this.addInFlight(agreement, placed, nowMs);
    }
  }

  private addInFlight(agreement: Agreement, { prev, last, bytes }: Omit<Gathered, 'batches'>, nowMs: number): number {
    if (this.window.size === 0) this.progressMs = nowMs;
    const requestId = this.leadership.outlet.nextRequestId();
    this.window.add({ requestId, prevIndex: prev.index, last, bytes });
    agreement.nextIndex = (last.index + 1) as LogIndex;
    return requestId;
  }
}
