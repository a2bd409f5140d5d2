/** The `conclave` command with the subcommand `run` alone. */
import type { Command } from 'commander';
import { registerRun } from './commands/run.js';
import { addConfigurationOptions } from './configuration/configuration-options.js';
import { addExamples } from './help/examples.js';
import { newProgram } from './new-program.js';
import { refuseBlankValues } from './options.js';

/** Creates the program; its `run` is that of the program with all commands. */
export function createRunProgram(): Command {
  const program = newProgram();
  registerRun(program);
  addConfigurationOptions(program);
  addExamples(program);
  refuseBlankValues(program);
  return program;
}

/** Whether the command line or the environment names a configuration file or a context, which is checked against all commands. */
export function namesConfiguration(words: readonly string[], environment: NodeJS.ProcessEnv = process.env): boolean {
  const { CONCLAVE_CONFIG = '', CONCLAVE_CONTEXT = '' } = environment;
  return CONCLAVE_CONFIG !== '' || CONCLAVE_CONTEXT !== '' || words.some((word) => /^--con(fig|text)\b/.test(word));
}
