/**
 * However a command ends, everything that it has started is stopped, and everything that it has created temporarily is deleted:
 * in order if there is time, and at once, synchronously, if the process exits before.
 */
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { exitCodes, Interrupted } from '../exit-codes.js';

const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Signals that follow the first one within this time count as the same request: a terminal and a script may both send it. */
const sameWishMs = 1_000;

/** Resolves with the first of these signals. A second one ends the process at once. */
export function untilStopped(signals: readonly NodeJS.Signals[] = stopSignals): Promise<void> {
  return new Promise((resolve) => {
    let askedAt: number | undefined;
    const onSignal = (): void => {
      askedAt ??= performance.now();
      // The handlers of `exit` kill the children that still run.
      if (performance.now() > askedAt + sameWishMs) process.exit(exitCodes.interrupted);
      resolve();
    };
    for (const signal of signals) process.on(signal, onSignal);
  });
}

/**
 * Runs `work`, then its clean-up, even if `work` fails or is interrupted.
 * @throws Interrupted on a signal to stop
 */
export async function withCleanUp<T>(work: (cleanUp: CleanUp) => Promise<T>): Promise<T> {
  const cleanUp = new CleanUp();
  try {
    return await unlessStopped(work(cleanUp));
  } finally {
    await cleanUp.run();
  }
}

/**
 * Resolves with the result of `work`.
 * @throws Interrupted on a signal to stop; `work` continues
 */
export function unlessStopped<T>(work: Promise<T>, signals?: readonly NodeJS.Signals[]): Promise<T> {
  const interrupted = untilStopped(signals).then(() => {
    throw new Interrupted();
  });
  return Promise.race([work, interrupted]);
}

export class CleanUp {
  private readonly tasks: (() => Promise<void>)[] = [];

  /** Tasks run in reverse order. */
  add(task: () => Promise<void>): void {
    this.tasks.push(task);
  }

  /** Creates a folder that is deleted at the end. */
  async temporaryFolder(name: string): Promise<string> {
    const folder = await mkdtemp(path.join(tmpdir(), `${name}-`));
    const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    process.once('exit', remove);
    this.add(async () => remove());
    return folder;
  }

  /**
   * Runs all tasks.
   * @throws the first error, after all have run
   */
  async run(): Promise<void> {
    const errors: unknown[] = [];
    for (let task = this.tasks.pop(); task !== undefined; task = this.tasks.pop()) {
      try {
        await task();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
