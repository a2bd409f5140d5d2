/** Writers that each begin the next write when the last one has ended, and report the outcome. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { GapMeter } from './gap-meter.js';

/** A writer waits this long after a rejection, so that immediate rejections do not keep the processor busy. */
const afterFailureMs = 10;

export class WriteLoad {
  private stopping = false;
  private number = 0;
  private readonly loops: Promise<void>[];

  /** @param put resolves when the write is acknowledged, and rejects if it is not */
  constructor(
    writers: number,
    private readonly put: (number: number) => Promise<unknown>,
    private readonly meter: GapMeter,
  ) {
    this.loops = Array.from({ length: writers }, () => this.run());
  }

  /** Resolves when every write that has begun has ended. */
  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.loops);
  }

  private async run(): Promise<void> {
    while (!this.stopping) {
      const began = performance.now();
      this.number += 1;
      try {
        await this.put(this.number);
        const now = performance.now();
        this.meter.onAcknowledged(now - began, now);
      } catch {
        this.meter.onFailed();
        await sleep(afterFailureMs);
      }
    }
  }
}
