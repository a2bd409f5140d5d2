/** Statistics of latencies. */

/**
 * The value that a share of all values does not exceed, by the nearest rank.
 * @param sorted ascending @param share in (0, 1] @returns the value; NaN if there are no values
 */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  if (sorted.length === 0) return Number.NaN;
  const rank = Math.max(1, Math.ceil(share * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

/** Latencies in milliseconds, in the order of their arrival. */
export class Latencies {
  private values = new Float64Array(4096);
  private filled = 0;

  get count(): number {
    return this.filled;
  }

  add(ms: number): void {
    if (this.filled === this.values.length) {
      const larger = new Float64Array(2 * this.values.length);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.filled] = ms;
    this.filled += 1;
  }

  /** Returns the values that these shares of all values do not exceed. */
  percentiles(...shares: readonly number[]): number[] {
    const sorted = this.values.slice(0, this.filled).sort();
    return shares.map((share) => percentile(sorted, share));
  }
}
