/**
 * How far a target's log is known to be the leader's, and where to go on.
 *
 * Owns these positions. Does not own what is on its way.
 *
 * Invariants:
 * 1. `0 <= anchor.index <= matchIndex < nextIndex`.
 * 2. `matchIndex` never falls, and only the target's own word raises it.
 */
import type { LogIndex, Term } from '@conclave/protocol';
import type { Position } from './in-flight-window.js';

const start: Position = { index: 0 as LogIndex, term: 0 as Term };

export class Agreement {
  matchIndex = start.index;
  /** The latest position that is known to match, with its term: heartbeats stand on it. */
  anchor = start;

  /** @param nextIndex the entry that the target is to get next. */
  constructor(public nextIndex: LogIndex) {}

  /** The target has acknowledged all up to there. True where that is more than before. */
  raise(matchIndex: LogIndex): boolean {
    if (matchIndex <= this.matchIndex) return false;
    this.matchIndex = matchIndex;
    return true;
  }

  /** Moves the anchor up to the match, or else to the latest of these positions that is not above it. */
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

  /** Goes on behind the match, if that is as far; false: it is not. */
  reachNext(): boolean {
    if (this.matchIndex < this.nextIndex - 1) return false;
    this.nextIndex = (this.matchIndex + 1) as LogIndex;
    return true;
  }

  /** Not below what matches. */
  atLeastNext(index: number): LogIndex {
    return Math.max(index, this.matchIndex + 1) as LogIndex;
  }
}
