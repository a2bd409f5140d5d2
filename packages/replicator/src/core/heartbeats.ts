/**
 * Sends heartbeats to a target. They are not in flight as other requests are, but may be rejected.
 *
 * Owns: the first and the latest id since the sender entered its state. Does not own when heartbeats are sent.
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

  /** @param anchor a position that is known to match, so the target accepts the heartbeat, and its log-store sends a `stored` */
  send(anchor: Position, nowMs: number): void {
    if (!this.leaderTerm.mayStillSend(nowMs)) return;
    const requestId = this.leaderTerm.output.nextRequestId();
    this.ids = { first: this.ids?.first ?? requestId, latest: requestId };
    this.messages.sendAppendEntries(requestId, anchor, this.feed.isWanted, []);
  }

  isLatest(requestId: number): boolean {
    return requestId === this.ids?.latest;
  }

  /** Whether it is the id of some heartbeat: a target that replies slowly must be found to have another store, too. */
  includes(requestId: number): boolean {
    return this.ids !== undefined && requestId >= this.ids.first && requestId <= this.ids.latest;
  }

  clear(): void {
    this.ids = undefined;
  }
}
