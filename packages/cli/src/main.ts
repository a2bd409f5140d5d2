/**
 * The entry point of the process. Commands print their own failures; errors that arrive here mean that a command was used
 * incorrectly.
 */
import { CommanderError } from 'commander';
import { applyConfiguration } from './configuration/apply.js';
import { exitCodeOf } from './exit-codes.js';
import { describeError } from './output.js';
import { createProgram } from './program.js';

// A reader such as `head` may close the pipe early: that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

// An empty variable, as compose files and shells set them, counts as not set.
for (const [name, value] of Object.entries(process.env)) {
  if (value === '' && (name === 'NATS_URL' || name.startsWith('CONCLAVE_'))) delete process.env[name];
}

try {
  const program = createProgram();
  applyConfiguration(program, createProgram, process.argv.slice(2));
  await program.parseAsync();
} catch (error) {
  // The parser has printed the error.
  if (!(error instanceof CommanderError)) process.stderr.write(`conclave: ${describeError(error)}\n`);
  process.exitCode = exitCodeOf(error);
}
