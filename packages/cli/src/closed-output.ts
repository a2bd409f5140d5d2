/**
 * What a command does if nobody reads its output any more (`| head -1`), or it cannot be written.
 * Commands that only print end. Commands that change something step by step continue, so that their exit code is true.
 */
import { exitCodes } from './exit-codes.js';

let continues = false;

/** From now on the command continues without a reader. */
export function continueWithoutReader(): void {
  continues = true;
}

/** Call it before the command runs. */
export function handleClosedOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') {
      process.stderr.write(`conclave: the output cannot be written: ${error.message}\n`);
      process.exit(exitCodes.failed);
    }
    // With the exit code that the command has set, if any.
    if (!continues) process.exit();
  });
  // An error that cannot be printed has an exit code all the same.
  process.stderr.on('error', () => undefined);
}
