/** Starts a program: prepares the environment, parses the command line, and ends with the exit code of what went wrong. */
import { type Command, CommanderError } from 'commander';
import { handleClosedOutput } from './closed-output.js';
import { exitCodeOf } from './exit-codes.js';
import { Output } from './output.js';
import { requestsJson, usageErrorOf } from './parser-errors.js';

/**
 * Commands print their own failures; errors that arrive here mean that a command was used incorrectly.
 * @param create makes the program
 * @param prepare is called with the program before it parses the command line
 */
export async function start(create: () => Command, prepare?: (program: Command) => void): Promise<void> {
  handleClosedOutput();
  // An empty variable, as compose files and shells set them, counts as not set.
  for (const [name, value] of Object.entries(process.env)) {
    if (value === '' && (name === 'NATS_URL' || name.startsWith('CONCLAVE_'))) delete process.env[name];
  }
  const words = process.argv.slice(2);
  const output = new Output(requestsJson(words));
  let program: Command | undefined;
  try {
    program = create();
    prepare?.(program);
    await program.parseAsync();
  } catch (error) {
    const isParsers = error instanceof CommanderError && program !== undefined;
    const shown = isParsers ? usageErrorOf(error, program as Command, words) : error;
    if (shown !== undefined) output.fail(shown);
    process.exitCode = exitCodeOf(error);
  }
}
