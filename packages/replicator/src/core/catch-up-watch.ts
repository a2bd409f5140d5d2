/**
 * Watches a new peer catch up (Raft thesis, section 4.2.1; braft's `Replicator::_is_catchup`): rounds, each up to
 * where the log ended when it began. A round that takes less than an election timeout shows that the peer keeps
 * pace; so does being within a margin.
 *
 * Owns the round. Does not own the match.
 *
 * Invariants:
 * 1. Nobody has caught up before it has acknowledged once since the watch began.
 * 2. Who has caught up is beyond the latest configuration entry.
 * 3. Having caught up stays so, until the watch begins anew.
 */
import type { LogIndex } from '@conclave/protocol';

export interface CatchUpOptions {
  readonly electionTimeoutMs: number;
  /** Entries. */
  readonly catchupMargin: number;
}

export class CatchUpWatch {
  private round: { readonly end: LogIndex; readonly sinceMs: number } | undefined;
  private keepsPace = false;
  private done = false;

  constructor(private readonly options: CatchUpOptions) {}

  get caughtUp(): boolean {
    return this.done;
  }

  /** Takes an acknowledgement; true where the peer has just caught up. */
  onAcknowledged(matchIndex: LogIndex, lastIndex: LogIndex, configurationIndex: LogIndex, nowMs: number): boolean {
    if (this.done) return false;
    if (this.round === undefined) {
      this.round = { end: lastIndex, sinceMs: nowMs };
    } else if (matchIndex >= this.round.end) {
      this.keepsPace = nowMs - this.round.sinceMs < this.options.electionTimeoutMs;
      this.round = { end: lastIndex, sinceMs: nowMs };
    }
    const near = this.keepsPace || lastIndex - matchIndex <= this.options.catchupMargin;
    this.done = near && matchIndex >= configurationIndex;
    return this.done;
  }
}
