/**
 * How far any clock of a node can have come in a run: a time that no stretch of one of them, nor several stretches of different ones in
 * a row, has outrun. It is the run's own where no clock was ever skewed.
 */

interface Piece {
  readonly fromMs: number;
  readonly shows: number;
  readonly rate: number;
}

export class FastestClock {
  private readonly pieces: Piece[] = [{ fromMs: 0, shows: 0, rate: 1 }];
  private readonly rates = new Map<string, number>();

  /** The clock of that name has jumped and runs at another rate. */
  skew(name: string, nowMs: number, rate: number, offsetMs: number): void {
    this.rates.set(name, rate);
    const shows = this.at(nowMs) + offsetMs;
    this.pieces.push({ fromMs: nowMs, shows, rate: Math.max(1, ...this.rates.values()) });
  }

  /** What it shows at a moment of the run. */
  at(ms: number): number {
    const { fromMs, shows, rate } = this.pieces.findLast((piece) => piece.fromMs <= ms) ?? (this.pieces[0] as Piece);
    return shows + (ms - fromMs) * rate;
  }

  /** How much it has passed between two moments of the run. */
  passed(fromMs: number, toMs: number): number {
    return this.at(toMs) - this.at(fromMs);
  }

  /** The first moment of the run at which it has passed so much since that one. */
  whenPassed(fromMs: number, forMs: number): number {
    const wanted = this.at(fromMs) + forMs;
    const piece = this.pieces.findLast(({ shows }) => shows <= wanted) ?? (this.pieces[0] as Piece);
    const next = this.pieces[this.pieces.indexOf(piece) + 1];
    const ms = piece.fromMs + (wanted - piece.shows) / piece.rate;
    return next === undefined ? ms : Math.min(ms, next.fromMs);
  }
}
