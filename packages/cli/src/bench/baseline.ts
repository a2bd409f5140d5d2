/** The baseline beside the rows of the benchmark: what the same machine does without Raft. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import type { NatsLogin } from '@conclave/protocol/login';
import { connectTo } from '../connection.js';
import { conclaveFile } from '../own-files.js';
import { stopChild, takeCharge } from '../processes/child.js';
import type { CleanUp } from '../processes/clean-up.js';
import { type Measured, type MeasureOptions, measure } from './measure.js';
import { Latencies } from './statistics.js';

const subject = 'conclave-bench-echo';
/** Replies to writes of long values are as short as others. */
const replyBytes = 128;
const stopTimeoutMs = 2_000;
const requestTimeoutMs = 10_000;

/** Replies to each request with the body of the request, or the first bytes of a long one, until `ended`. The hidden command `bench-echo` runs this. */
export async function echo(login: NatsLogin, ended: Promise<unknown>): Promise<void> {
  const connection = await connectTo(login, 'conclave-bench-echo');
  connection.subscribe(subject, {
    callback: (error, message) => {
      if (error === null) message.respond(message.data.subarray(0, replyBytes));
    },
  });
  await connection.flush();
  process.send?.({ type: 'ready' });
  await ended;
  await connection.close();
}

/** Measures a request with `value` and its reply through an echo process, with the client library that Conclave uses. */
export class RequestBaseline {
  private constructor(
    private readonly request: () => Promise<unknown>,
    readonly stop: () => Promise<void>,
  ) {}

  /** @throws ConclaveError as `connectTo` */
  static async start(cleanUp: CleanUp, login: NatsLogin, value: Uint8Array): Promise<RequestBaseline> {
    // First, so that a rejected login is reported as one.
    const connection = await connectTo(login);
    cleanUp.add(() => connection.close());
    const child = spawn(process.execPath, [conclaveFile, 'bench-echo'], {
      env: { ...process.env, ...login.environment },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      detached: true,
    });
    takeCharge(child);
    const stopEcho = (): Promise<void> =>
      stopChild(child, stopTimeoutMs, () => {
        if (child.connected) child.disconnect();
      });
    cleanUp.add(stopEcho);
    const died = once(child, 'exit').then(() => {
      throw new Error('the echo process did not start');
    });
    await Promise.race([once(child, 'message'), died]);
    died.catch(() => undefined);
    const stop = async (): Promise<void> => {
      await connection.close();
      await stopEcho();
    };
    return new RequestBaseline(() => connection.request(subject, value, { timeout: requestTimeoutMs }), stop);
  }

  measure(options: MeasureOptions): Promise<Measured> {
    return measure(this.request, options);
  }
}

/** Appends `bytes` to a file in this folder and syncs it, in a loop. */
export function measureSync(folder: string, bytes: Uint8Array, forMs: number): { p50Ms: number; p99Ms: number } {
  const file = openSync(path.join(folder, 'fdatasync'), 'w');
  try {
    const latencies = new Latencies();
    const end = performance.now() + forMs;
    while (performance.now() < end) {
      const began = performance.now();
      writeSync(file, bytes);
      fdatasyncSync(file);
      latencies.add(performance.now() - began);
    }
    const [p50Ms = Number.NaN, p99Ms = Number.NaN] = latencies.percentiles(0.5, 0.99);
    return { p50Ms, p99Ms };
  } finally {
    closeSync(file);
  }
}
