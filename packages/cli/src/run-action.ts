/** How a command runs: its failure is said on standard error, and its exit code says of what kind it was. */
import { exitCodeOf, Failed } from './exit-codes.js';
import type { CommonOptions } from './options.js';
import { Output } from './output.js';
import { Interrupted } from './processes/clean-up.js';

/** Runs a command's work and sets the exit code (`exitCodes`). */
export async function runAction(
  options: Pick<CommonOptions, 'json'>,
  work: (output: Output) => Promise<void>,
): Promise<void> {
  const output = new Output(options.json);
  try {
    await work(output);
  } catch (error) {
    if (!(error instanceof Failed)) output.fail(error);
    process.exitCode = exitCodeOf(error);
    // What was interrupted may still hold timers; all that matters has been cleaned up.
    if (error instanceof Interrupted) process.exit();
  }
}
