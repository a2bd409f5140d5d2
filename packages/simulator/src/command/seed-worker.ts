/** Runs the seeds that it receives, on a thread of its own, and posts each result. */
import { parentPort, workerData } from 'node:worker_threads';
import { runSeed } from '../run/run-seed.js';

const port = parentPort;
if (port === null) throw new Error('this is the main file of a worker thread');
const { hash } = workerData as { readonly hash: boolean };
port.on('message', (seed: number) => port.postMessage(runSeed(seed, { hash })));
