/** How a command runs: its failure is said on standard error, and the process ends with 1. */
import type { CommonOptions } from './options.js';
import { Output } from './output.js';
import { Interrupted } from './processes/clean-up.js';

/** Ends a command with exit code 1 when all that was to be said has been said. */
export class Failed extends Error {
  override readonly name = 'Failed';
}

/** Runs a command's work and sets the exit code: 0, or 1 where it failed. */
export async function runAction(
  options: Pick<CommonOptions, 'json'>,
  work: (output: Output) => Promise<void>,
): Promise<void> {
  const output = new Output(options.json);
  try {
    await work(output);
  } catch (error) {
    if (!(error instanceof Failed)) output.fail(error);
    process.exitCode = 1;
    // What was interrupted may still hold timers; all that matters has been cleaned up.
    if (error instanceof Interrupted) process.exit();
  }
}
