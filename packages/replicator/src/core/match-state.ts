/**
 * How far a target's log is known to match the leader's, and which entry to send next.
 *
 * Owns: the match index, the anchor and the next index. Does not own the messages in flight.
 *
 * Invariants:
 * 1. `0 <= anchor.index <= matchIndex < nextIndex`.
 * 2. `matchIndex` never decreases, and only an acknowledgement of the target raises it.
 */
import type { LogIndex, Term } from '@conclave/protocol';
import type { Position } from './in-flight-window.js';

const start: Position = { index: 0 as LogIndex, term: 0 as Term };

export class MatchState {
  matchIndex = start.index;
  /** The latest position up to the match index whose term is known. Heartbeats name it as the preceding entry. */
  anchor = start;

  /** @param nextIndex the first entry to send */
  constructor(public nextIndex: LogIndex) {}

  /** The target has acknowledged all entries up to `matchIndex`. @returns whether that is more than before */
  raise(matchIndex: LogIndex): boolean {
    if (matchIndex <= this.matchIndex) return false;
    this.matchIndex = matchIndex;
    return true;
  }

  /** Moves the anchor to the match index or, if the term there is unknown, to the latest of `positions` that is not above it. */
  raiseAnchor(positions: readonly (Position | undefined)[], termAt: (index: LogIndex) => Term | undefined): void {
    const { matchIndex: index, anchor } = this;
    if (anchor.index === index) return;
    const term = positions.find((known) => known?.index === index)?.term ?? termAt(index);
    const match = term === undefined ? undefined : { index, term };
    for (const known of [match, ...positions]) {
      if (known === undefined || known.index > this.matchIndex || known.index <= this.anchor.index) continue;
      this.anchor = known;
    }
  }

  /** Raises the next index to the entry after the match index. @returns false if entries before the next one are not acknowledged yet */
  reachNext(): boolean {
    if (this.matchIndex < this.nextIndex - 1) return false;
    this.nextIndex = this.firstUnmatched;
    return true;
  }

  /** The entry after the match index: the first one that is not known to match. */
  get firstUnmatched(): LogIndex {
    return (this.matchIndex + 1) as LogIndex;
  }

  /** @returns `index`, but at least `firstUnmatched` */
  atLeastFirstUnmatched(index: number): LogIndex {
    return Math.max(index, this.firstUnmatched) as LogIndex;
  }
}
