/** Keeps a number of operations in flight and measures them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Latencies } from './statistics.js';

export interface Measured {
  /** Operations that succeeded within the measured time. */
  readonly operations: number;
  readonly failed: number;
  readonly seconds: number;
  readonly operationsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface MeasureOptions {
  readonly inFlight: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

/**
 * Runs `operation` in this many loops at the same time; each loop begins its next operation when the last one has ended. An
 * operation that rejects counts as failed and has no latency. Operations that began before the window and end in it count.
 */
export async function measure(
  operation: (number: number) => Promise<unknown>,
  { inFlight, warmUpMs, measureMs }: MeasureOptions,
): Promise<Measured> {
  const latencies = new Latencies();
  let failed = 0;
  let next = 0;
  let measuring = false;
  let ended = false;
  const loop = async (): Promise<void> => {
    while (!ended) {
      const began = performance.now();
      next += 1;
      try {
        await operation(next);
        if (measuring) latencies.add(performance.now() - began);
      } catch {
        if (measuring) failed += 1;
        // A rejection may come at once: without a pause the timers below would never fire.
        await sleep(1);
      }
    }
  };
  const loops = Array.from({ length: inFlight }, loop);
  await sleep(warmUpMs);
  const from = performance.now();
  measuring = true;
  await sleep(measureMs);
  measuring = false;
  const seconds = (performance.now() - from) / 1000;
  ended = true;
  await Promise.all(loops);
  const [p50Ms = Number.NaN, p99Ms = Number.NaN] = latencies.percentiles(0.5, 0.99);
  const operations = latencies.count;
  return { operations, failed, seconds, operationsPerSecond: operations / seconds, p50Ms, p99Ms };
}
