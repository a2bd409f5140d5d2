/**
 * Begins operations at a fixed rate, whatever the replies are, and measures each from the time when it was due.
 * Invariants:
 * 1. Operation n is due at n times the interval. A delay of one operation moves no other one.
 * 2. A latency begins when the operation was due, even if it had to wait for its turn (no coordinated omission).
 * 3. An operation that is due within the window counts, whenever it ends.
 */
import { Latencies } from './statistics.js';

const lookEveryMs = 1;
/** Operations without a result. With this many, those that are due wait. */
const maxOpen = 8_192;

export interface OpenMeasured {
  /** The rate at which operations were due. */
  readonly perSecond: number;
  /** Operations that were due within the window and succeeded. */
  readonly operations: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** How late the client itself began an operation: a part of its latency. */
  readonly lateP99Ms: number;
}

export interface OpenOptions {
  readonly perSecond: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

/** Resolves when all operations have ended. One that rejects counts as failed and has no latency. */
export async function measureOpen(
  operation: (number: number) => Promise<unknown>,
  { perSecond, warmUpMs, measureMs }: OpenOptions,
): Promise<OpenMeasured> {
  const [latencies, late] = [new Latencies(), new Latencies()];
  const first = Math.ceil((perSecond * warmUpMs) / 1000);
  const end = first + Math.ceil((perSecond * measureMs) / 1000);
  const from = performance.now();
  const dueMs = (number: number): number => from + (1000 * number) / perSecond;
  let [begun, open, failed] = [0, 0, 0];
  const run = async (number: number): Promise<void> => {
    const isMeasured = number >= first;
    if (isMeasured) late.add(performance.now() - dueMs(number));
    open += 1;
    try {
      await operation(number);
      if (isMeasured) latencies.add(performance.now() - dueMs(number));
    } catch {
      if (isMeasured) failed += 1;
    }
    open -= 1;
  };
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const now = performance.now();
      for (; begun < end && open < maxOpen && dueMs(begun) <= now; begun += 1) void run(begun);
      if (begun < end || open > 0) return;
      clearInterval(timer);
      resolve();
    }, lookEveryMs);
  });
  const [p50Ms = Number.NaN, p99Ms = Number.NaN, p999Ms = Number.NaN] = latencies.percentiles(0.5, 0.99, 0.999);
  const [lateP99Ms = Number.NaN] = late.percentiles(0.99);
  return { perSecond, operations: latencies.count, failed, p50Ms, p99Ms, p999Ms, lateP99Ms };
}
