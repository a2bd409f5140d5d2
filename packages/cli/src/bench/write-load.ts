/** Writers that each begin their next write when the last one has ended, and report what became of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { GapMeter } from './gap-meter.js';

/** A writer that was refused waits a little, so that refusals at once do not keep the processor busy. */
const afterFailureMs = 10;

export class WriteLoad {
  private stopping = false;
  private number = 0;
  private readonly loops: Promise<void>[];

  /** @param put resolves when the write is acknowledged, and rejects when it is not */
  constructor(
    writers: number,
    private readonly put: (number: number) => Promise<unknown>,
    private readonly meter: GapMeter,
  ) {
    this.loops = Array.from({ length: writers }, () => this.run());
  }

  /** Ends when every write that has begun has ended. */
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
