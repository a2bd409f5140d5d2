/** Clocks of processes, and their election timeouts. */
import { defaultTimes, type PeerId } from '@conclave/protocol';

/** The monotonic clock of a process: it may run fast or slow, and jump forward, never back. */
export class VirtualClock {
  private sinceMs = 0;
  private baseMs = 0;
  private rate = 1;

  /** Returns what it shows at a time of the run. */
  at(nowMs: number): number {
    return this.baseMs + (nowMs - this.sinceMs) * this.rate;
  }

  skew(nowMs: number, rate: number, offsetMs: number): void {
    if (rate <= 0 || offsetMs < 0) throw new Error('a monotonic clock does not go back');
    this.baseMs = this.at(nowMs) + offsetMs;
    this.sinceMs = nowMs;
    this.rate = rate;
  }

  /**
   * Returns the run's milliseconds of a timer of `afterMs` by this clock: at least one, as in Node. If a sum of times
   * is off by its last digit, the timer is set once more, not forever.
   */
  taken(afterMs: number): number {
    return afterMs === 0 ? 0 : Math.max(afterMs / this.rate, 1);
  }
}

interface Piece {
  readonly fromMs: number;
  readonly shows: number;
  readonly rate: number;
}

/**
 * An upper bound of the clocks of all nodes of a run: over any interval it advances at least as far as each of them, and as any
 * sequence of intervals of different ones. It is the run's own time if no clock was ever skewed.
 */
export class FastestClock {
  private readonly pieces: Piece[] = [{ fromMs: 0, shows: 0, rate: 1 }];
  private readonly rates = new Map<string, number>();

  /** The clock of that name has jumped and runs at another rate. */
  skew(name: string, nowMs: number, rate: number, offsetMs: number): void {
    this.rates.set(name, rate);
    const shows = this.at(nowMs) + offsetMs;
    this.pieces.push({ fromMs: nowMs, shows, rate: Math.max(1, ...this.rates.values()) });
  }

  /** Returns what it shows at a time of the run. */
  at(ms: number): number {
    const { fromMs, shows, rate } = this.pieces.findLast((piece) => piece.fromMs <= ms) ?? (this.pieces[0] as Piece);
    return shows + (ms - fromMs) * rate;
  }

  /** Returns how far it has advanced between two times of the run. */
  passed(fromMs: number, toMs: number): number {
    return this.at(toMs) - this.at(fromMs);
  }

  /** Returns the first time of the run at which it has advanced by `forMs` since `fromMs`. */
  whenPassed(fromMs: number, forMs: number): number {
    const wanted = this.at(fromMs) + forMs;
    const piece = this.pieces.findLast(({ shows }) => shows <= wanted) ?? (this.pieces[0] as Piece);
    const next = this.pieces[this.pieces.indexOf(piece) + 1];
    const ms = piece.fromMs + (wanted - piece.shows) / piece.rate;
    return next === undefined ? ms : Math.min(ms, next.fromMs);
  }
}

/** Of one peer's processes in some runs; all others have the default. */
const slowerElectionTimeoutMs = 1.5 * defaultTimes.electionTimeoutMs;

/** The election timeout of a peer's processes. */
export function electionTimeoutOf(peerId: PeerId, slowerPeer: PeerId | undefined): number {
  return peerId === slowerPeer ? slowerElectionTimeoutMs : defaultTimes.electionTimeoutMs;
}
