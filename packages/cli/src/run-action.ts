/** How a command runs: its failure is printed on standard error, and its exit code shows the kind of failure. */
import { exitCodeOf, Failed, Interrupted } from './exit-codes.js';
import { unlessInterrupted } from './interruption.js';
import type { CommonOptions } from './options.js';
import { Output } from './output.js';

/** Runs a command's work and sets the exit code (`exitCodes`). */
export async function runAction(
  options: Pick<CommonOptions, 'json'>,
  work: (output: Output) => Promise<void>,
): Promise<void> {
  const output = new Output(options.json);
  try {
    await unlessInterrupted(output, work(output));
  } catch (error) {
    if (!(error instanceof Failed)) output.fail(error);
    process.exitCode = exitCodeOf(error);
    // Interrupted work may still have timers; everything that must be cleaned up is cleaned up.
    if (error instanceof Interrupted) process.exit();
  }
}
