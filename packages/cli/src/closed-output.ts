/**
 * What a command does if nobody reads its output any more (`| head -1`), or it cannot be written.
 * Commands that only print end. Commands that change something step by step continue, so that their exit code is true; if their
 * output could not be written, success is not theirs to report.
 */
import { exitCodes } from './exit-codes.js';
import { printProblem } from './terminal-text.js';

let continues = false;
let hasFailed = false;

/** From now on the command continues without a reader. */
export function continueWithoutReader(): void {
  continues = true;
}

/** Call it before the command runs. */
export function handleClosedOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // With the exit code that the command has set, if any.
    if (error.code === 'EPIPE') {
      if (!continues) process.exit();
      return;
    }
    if (hasFailed) return;
    hasFailed = true;
    printProblem(`the output cannot be written: ${error.message}`);
    if (!continues) process.exit(exitCodes.failed);
    process.on('exit', (code) => {
      if (code === exitCodes.done) process.exitCode = exitCodes.failed;
    });
  });
  // An error that cannot be printed has an exit code all the same.
  process.stderr.on('error', () => undefined);
}
