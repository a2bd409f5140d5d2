/** Chance from a seed (mulberry32), so that a run can be repeated. */
export class Random {
  private state: number;

  /** @param stream what the chance is for: streams of one seed have nothing to do with each other */
  constructor(seed: number, stream = 0) {
    this.state = mixed(mixed(seed) ^ Math.imul(stream + 1, 0x9e3779b9));
  }

  /** Uniform in [0, 1). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** A whole number from 0 on, below `count`. */
  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}

/** Neighbouring seeds far apart (the finalizer of murmur3). */
function mixed(seed: number): number {
  let mix = seed | 0;
  mix = Math.imul(mix ^ (mix >>> 16), 0x85ebca6b);
  mix = Math.imul(mix ^ (mix >>> 13), 0xc2b2ae35);
  return mix ^ (mix >>> 16);
}
