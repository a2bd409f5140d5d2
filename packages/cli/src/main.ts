/** Where the process begins. Commands say their own failures; what comes here is about how one was called. */
import { CommanderError } from 'commander';
import { applyConfiguration } from './configuration/apply.js';
import { exitCodeOf } from './exit-codes.js';
import { describeError } from './output.js';
import { createProgram } from './program.js';

// A reader that has had enough, as `head` has, is the end of the work and no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

// A setting that is there but empty, as compose files and shells leave them, is not set.
for (const [name, value] of Object.entries(process.env)) {
  if (value === '' && (name === 'NATS_URL' || name.startsWith('CONCLAVE_'))) delete process.env[name];
}

try {
  const program = createProgram();
  applyConfiguration(program, createProgram, process.argv.slice(2));
  await program.parseAsync();
} catch (error) {
  // The parser has said what it found.
  if (!(error instanceof CommanderError)) process.stderr.write(`conclave: ${describeError(error)}\n`);
  process.exitCode = exitCodeOf(error);
}
