/** Random numbers from a seed (mulberry32), so that a run can be repeated. */
export class Random {
  private state: number;

  /** @param stream the streams of one seed are independent of each other */
  constructor(
    private readonly seed: number,
    stream = 0,
  ) {
    this.state = mixed(mixed(seed) ^ Math.imul(stream + 1, 0x9e3779b9));
  }

  /** Uniform in [0, 1). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /**
   * Returns a stream of its own for one of many things, by name: so that events of one change nothing for the others,
   * and a script without one of its commands gives nearly the same run.
   */
  stream(name: string): Random {
    let hash = 0x811c9dc5;
    // Duplicate nodes had this name when the seeds that are known were first run.
    const key = name.replaceAll('duplicate-node', 'rival');
    for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
    return new Random(this.seed, hash);
  }

  /** Returns an integer from 0 to `count` - 1. */
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

/** Separates neighbouring seeds (the finalizer of murmur3). */
function mixed(seed: number): number {
  let mix = seed | 0;
  mix = Math.imul(mix ^ (mix >>> 16), 0x85ebca6b);
  mix = Math.imul(mix ^ (mix >>> 13), 0xc2b2ae35);
  return mix ^ (mix >>> 16);
}

/** Always 0.5: every delay is half of its maximum, and nothing unlikely happens. */
export class ConstantRandom extends Random {
  constructor() {
    super(0);
  }

  override next(): number {
    return 0.5;
  }

  override stream(): Random {
    return this;
  }
}
