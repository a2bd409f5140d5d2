/**
 * Ctrl-C in a command that has no handling of its own: the command prints that it was interrupted, and whether a request that it has
 * sent may have been done. Then it ends by the signal, so that a shell ends the loop or the script that runs the command, too.
 */
import { ConclaveError } from '@conclave/protocol';
import { exitCodes, Interrupted } from './exit-codes.js';
import type { Output } from './output.js';

/** How long the work of a command may take to report the outcome. */
const settleMs = 500;

/** Each makes the work settle: its open calls fail with their outcome. */
const closers = new Set<() => Promise<void>>();
/** Requests that change something, and have no reply yet. */
let openChanges = 0;

/** From now on Ctrl-C calls `close`, after those that were passed later have settled; returns how to end that. */
export function closeOnInterruption(close: () => Promise<void>): () => void {
  closers.add(close);
  return () => closers.delete(close);
}

async function closeAll(): Promise<void> {
  for (const close of [...closers].reverse()) await close().catch(() => undefined);
}

/** Waits for the reply to a request that changes something: if Ctrl-C comes before it, whether the request was done is unknown. */
export async function trackChange<T>(reply: Promise<T>): Promise<T> {
  openChanges += 1;
  try {
    return await reply;
  } finally {
    openChanges -= 1;
  }
}

/**
 * Resolves or rejects as `work` does. On Ctrl-C ends the process, unless the command has another handler for it.
 * @param work of a command, which has begun
 */
export async function unlessInterrupted(output: Output, work: Promise<void>): Promise<void> {
  const settled = work.then(
    () => undefined,
    (error: unknown) => error,
  );
  let isInterrupted = false;
  const onSignal = () => {
    if (isInterrupted || process.listenerCount('SIGINT') > 1) return;
    isInterrupted = true;
    const hadOpenChanges = openChanges > 0;
    void closeAll();
    const late = new Promise<undefined>((resolve) => setTimeout(resolve, settleMs, undefined));
    void Promise.race([settled, late]).then((error) => {
      const isUnknown = hadOpenChanges || (error instanceof ConclaveError && error.outcome === 'unknown');
      output.fail(new Interrupted(isUnknown));
      endBySignal();
    });
  };
  process.on('SIGINT', onSignal);
  try {
    await work;
  } catch (error) {
    if (!isInterrupted) throw error;
  } finally {
    // The process ends once the outcome is printed.
    if (isInterrupted) await new Promise(() => undefined);
    process.off('SIGINT', onSignal);
  }
}

/** Ends this process as a signal without a handler does, after the handlers of `exit`. */
function endBySignal(): never {
  process.removeAllListeners('SIGINT');
  process.on('exit', () => process.kill(process.pid, 'SIGINT'));
  return process.exit(exitCodes.interrupted);
}
