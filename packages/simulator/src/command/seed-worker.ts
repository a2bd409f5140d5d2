/** Runs the seeds that it receives, on a thread of its own, and posts each result. */
import { parentPort, workerData } from 'node:worker_threads';
import { type RunResult, runSeed } from '../run/run-seed.js';
import { calibrationLoopMs } from './calibration.js';

/** A run, how long it took, and how long a calibration loop took right before it. */
export interface TimedRun {
  readonly result: RunResult;
  readonly runMs: number;
  readonly loopMs: number;
}

const port = parentPort;
if (port === null) throw new Error('this is the main file of a worker thread');
const { hash } = workerData as { readonly hash: boolean };
// Not yet compiled, the loop would be slower.
calibrationLoopMs();
port.on('message', (seed: number) => {
  const loopMs = calibrationLoopMs();
  const began = performance.now();
  const result = runSeed(seed, { hash });
  port.postMessage({ result, runMs: performance.now() - began, loopMs } satisfies TimedRun);
});
