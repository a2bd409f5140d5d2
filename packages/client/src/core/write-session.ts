/**
 * A client session: each write in it has a number, and the group executes each number once.
 *
 * Invariants:
 * 1. All numbers up to `acknowledged` are settled, and `acknowledged + 1` is not.
 * 2. No number above `acknowledged + limits.clientResults` is used, so that the group never has to keep more results than it
 *    does.
 */
import { type ClientId, invariant, limits } from '@conclave/protocol';

export class WriteSession {
  private lastNumber = 0;
  private lowWater = 0;
  /** Settled numbers above the low-water mark. */
  private readonly settledAhead = new Set<number>();

  constructor(readonly clientId: ClientId) {}

  /** All calls up to this number are settled. */
  get acknowledged(): number {
    return this.lowWater;
  }

  /** How many numbers can be used; the last ones of `limits.clientResults` only by urgent calls. */
  room(urgent: boolean): number {
    const reserved = urgent ? 0 : limits.clientUrgentResults;
    return this.lowWater + limits.clientResults - reserved - this.lastNumber;
  }

  nextNumber(): number {
    invariant(this.room(true) > 0, 'a session uses no more numbers than the group keeps results');
    this.lastNumber += 1;
    return this.lastNumber;
  }

  /** The call with this number is settled. */
  onSettled(number: number): void {
    invariant(number > this.lowWater && !this.settledAhead.has(number), 'a number is settled once');
    if (number !== this.lowWater + 1) {
      this.settledAhead.add(number);
      return;
    }
    this.lowWater = number;
    while (this.settledAhead.delete(this.lowWater + 1)) this.lowWater += 1;
  }
}
