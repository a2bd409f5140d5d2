/**
 * What a command has started is stopped, and what it has made is removed, however the command ends: in order where
 * there is time, and at once, synchronously, where the process exits without it.
 */
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Somebody has asked the command to stop. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  constructor() {
    super('interrupted');
  }
}

/** Signals that come this soon after the first one are the same wish: a terminal and a script may both pass it on. */
const sameWishMs = 1_000;

/** Ends with the first signal to stop. A second one ends the process without waiting for anything. */
export function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    let askedAt: number | undefined;
    const onSignal = (): void => {
      askedAt ??= performance.now();
      // The handlers of `exit` kill what is left.
      if (performance.now() > askedAt + sameWishMs) process.exit(1);
      resolve();
    };
    for (const signal of stopSignals) process.on(signal, onSignal);
  });
}

/** Runs `work`, then its clean-up, also when it fails or is interrupted. @throws Interrupted on a signal to stop */
export async function withCleanUp<T>(work: (cleanUp: CleanUp) => Promise<T>): Promise<T> {
  const cleanUp = new CleanUp();
  const interrupted = untilStopped().then(() => {
    throw new Interrupted();
  });
  try {
    return await Promise.race([work(cleanUp), interrupted]);
  } finally {
    await cleanUp.run();
  }
}

export class CleanUp {
  private readonly tasks: (() => Promise<void>)[] = [];

  /** What was added last runs first. */
  add(task: () => Promise<void>): void {
    this.tasks.push(task);
  }

  /** Makes a folder that is gone at the end. */
  async temporaryFolder(name: string): Promise<string> {
    const folder = await mkdtemp(path.join(tmpdir(), `${name}-`));
    const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    process.once('exit', remove);
    this.add(async () => remove());
    return folder;
  }

  /** Runs all tasks. @throws the first error, after all have run */
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
