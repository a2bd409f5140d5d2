/**
 * Writers that put one key after the other and record the acknowledged ones.
 * Invariants:
 * 1. A key is written once, by one writer, and its value follows from the key.
 * 2. A write counts as acknowledged only if its reply was a success.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Latencies } from '../bench/statistics.js';

/** A writer waits this long after a rejection. */
const afterFailureMs = 50;

export class Writers {
  readonly latencies = new Latencies();
  readonly failures: string[] = [];
  private readonly keys: string[] = [];
  /** Undefined: nothing was acknowledged yet. */
  private acknowledgedMs: number | undefined;
  private gapMs = 0;
  private stopping = false;
  private readonly loops: Promise<void>[];
  private readonly beganAt = performance.now();
  private endedAt: number | undefined;

  /** @param put resolves when the write is acknowledged, and rejects if it is not */
  constructor(
    howMany: number,
    private readonly put: (key: string, value: string) => Promise<unknown>,
    private readonly valueBytes: number,
  ) {
    this.loops = Array.from({ length: howMany }, (_, writer) => this.run(writer));
  }

  get acknowledged(): readonly string[] {
    return this.keys;
  }

  /** The longest time between two acknowledgements. */
  get longestGapMs(): number {
    return this.gapMs;
  }

  get seconds(): number {
    return ((this.endedAt ?? performance.now()) - this.beganAt) / 1000;
  }

  /** Resolves when every write that has begun has ended. */
  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.loops);
    this.endedAt = performance.now();
  }

  private async run(writer: number): Promise<void> {
    for (let number = 1; !this.stopping; number++) {
      const key = `writer-${writer}-${number}`;
      const began = performance.now();
      try {
        await this.put(key, valueFor(key, this.valueBytes));
        const now = performance.now();
        this.keys.push(key);
        this.latencies.add(now - began);
        this.gapMs = Math.max(this.gapMs, now - (this.acknowledgedMs ?? now));
        this.acknowledgedMs = now;
      } catch (error) {
        this.failures.push(error instanceof Error ? error.message : String(error));
        await sleep(afterFailureMs);
      }
    }
  }
}

/** Returns the value that belongs to a key. */
export function valueFor(key: string, bytes: number): string {
  return `${key} `.padEnd(bytes, '.');
}
