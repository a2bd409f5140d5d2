/** A histogram of fixed buckets: recording a value allocates nothing. */
import type { Buckets } from '@conclave/protocol';

/** From a tenth of a millisecond to ten seconds. */
export const secondsBounds: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
/** From a hundred thousandth of a second on: for work that takes no I/O. */
export const shortSecondsBounds: readonly number[] = [
  0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1,
];
/** Lengths of queues. */
export const lengthBounds: readonly number[] = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384];

export class FixedHistogram {
  private readonly counts: Float64Array;
  private sum = 0;

  /** @param bounds the upper bounds of the buckets, rising; larger values are in one more bucket */
  constructor(private readonly bounds: readonly number[] = secondsBounds) {
    this.counts = new Float64Array(bounds.length + 1);
  }

  record(value: number): void {
    const { bounds, counts } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket += 1;
    counts[bucket] = (counts[bucket] as number) + 1;
    this.sum += value;
  }

  /** How many values were recorded. */
  get count(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  /** The counts so far. */
  get buckets(): Buckets {
    return { bounds: [...this.bounds], counts: [...this.counts], sum: this.sum };
  }
}
