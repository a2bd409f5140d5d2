/** Runs a set of seeds on a few threads, and sums up their coverage. */
import { Worker } from 'node:worker_threads';
import { Coverage } from '../mesh/coverage.js';
import type { RunResult } from '../run/run-seed.js';
import type { TimedRun } from './seed-worker.js';

export interface SetResult {
  readonly from: number;
  readonly seeds: number;
  /** In order of seed. */
  readonly failed: readonly RunResult[];
  readonly steps: number;
  readonly virtualMs: number;
  readonly tookMs: number;
  /** The sum of the runs, on all threads. */
  readonly runsMs: number;
  /** The average calibration loop during the set (`calibration.ts`). */
  readonly loopMs: number;
  readonly coverage: Readonly<Record<string, number>>;
}

export interface SetOptions {
  readonly from: number;
  readonly seeds: number;
  readonly threads: number;
  /** Whether each result has the hash of its trace. */
  readonly hash?: boolean | undefined;
  readonly onRun?: ((result: RunResult, done: number) => void) | undefined;
}

/**
 * For a young generation of 64 MB per half: a run allocates much and keeps little of it. With V8's default the collector runs twice as
 * often, and copies more.
 */
const youngGenerationMb = 192;

/** Seeds that are queued at a thread, so that it never waits for the next one. */
const ahead = 2;

/** @throws Error if a thread dies */
export async function runSeedSet(options: SetOptions): Promise<SetResult> {
  const began = performance.now();
  const set = new SeedSet(options);
  await set.run();
  return { ...set.result(), tookMs: performance.now() - began };
}

class SeedSet {
  private next: number;
  private readonly end: number;
  private readonly coverage = new Coverage();
  private readonly failed: RunResult[] = [];
  private steps = 0;
  private virtualMs = 0;
  private runsMs = 0;
  private loopsMs = 0;
  private done = 0;

  constructor(private readonly options: SetOptions) {
    this.next = options.from;
    this.end = options.from + options.seeds;
  }

  async run(): Promise<void> {
    const threads = Math.min(this.options.threads, this.options.seeds);
    await Promise.all(Array.from({ length: threads }, () => this.runThread()));
  }

  result(): Omit<SetResult, 'tookMs'> {
    const { from, seeds } = this.options;
    const { steps, virtualMs, runsMs } = this;
    const loopMs = this.loopsMs / Math.max(this.done, 1);
    const failed = this.failed.toSorted((one, other) => one.seed - other.seed);
    return { from, seeds, failed, steps, virtualMs, runsMs, loopMs, coverage: this.coverage.toJSON() };
  }

  private runThread(): Promise<void> {
    const worker = new Worker(new URL('./seed-worker.js', import.meta.url), {
      workerData: { hash: this.options.hash === true },
      resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb },
    });
    return new Promise((resolve, reject) => {
      let open = 0;
      const give = (): void => {
        for (; open < ahead && this.next < this.end; open++) worker.postMessage(this.next++);
        if (open === 0) void worker.terminate().then(() => resolve());
      };
      worker.on('message', (run: TimedRun) => {
        open -= 1;
        this.take(run);
        give();
      });
      worker.on('error', reject);
      give();
    });
  }

  private take({ result, runMs, loopMs }: TimedRun): void {
    this.done += 1;
    this.runsMs += runMs;
    this.loopsMs += loopMs;
    this.steps += result.steps;
    this.virtualMs += result.virtualMs;
    this.coverage.add(result.coverage);
    if (result.violation !== undefined) this.failed.push(result);
    this.options.onRun?.(result, this.done);
  }
}
