/**
 * Sends heartbeats to a target. They do not use the window of messages in flight, but the target may reject them.
 *
 * Owns: the ids of the first and the latest heartbeat since the last `clear`. Does not own when heartbeats are sent.
 */
import type { Position } from './in-flight-window.js';
import type { LeaderTerm } from './leader-term.js';
import type { TargetFeed } from './target-feed.js';
import type { TargetMessages } from './target-messages.js';

export class Heartbeats {
  private ids: { readonly first: number; readonly latest: number } | undefined;

  constructor(
    private readonly leaderTerm: LeaderTerm,
    private readonly messages: TargetMessages,
    private readonly feed: TargetFeed,
  ) {}

  /** @param anchor a position that is known to match: the target accepts the heartbeat, and its log-store sends a `stored` */
  send(anchor: Position, nowMs: number): void {
    if (!this.leaderTerm.mayStillSend(nowMs)) return;
    const requestId = this.leaderTerm.output.nextRequestId();
    this.ids = { first: this.ids?.first ?? requestId, latest: requestId };
    this.messages.sendAppendEntries(requestId, anchor, this.feed.isWanted, []);
  }

  isLatest(requestId: number): boolean {
    return requestId === this.ids?.latest;
  }

  /**
   * Whether this id is in the range of the heartbeats since the last `clear`. A late reply to one of them must be considered, too,
   * because it may show that the target has another store.
   */
  includes(requestId: number): boolean {
    return this.ids !== undefined && requestId >= this.ids.first && requestId <= this.ids.latest;
  }

  clear(): void {
    this.ids = undefined;
  }
}
