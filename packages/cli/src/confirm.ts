/** Asks for confirmation before a command destroys data or reduces fault tolerance. */
import { createInterface } from 'node:readline/promises';
import { type Command, Option } from 'commander';
import { exitCodes, Failed, UsageError } from './exit-codes.js';
import type { Output } from './output.js';

export interface ConfirmOptions {
  readonly yes: boolean;
}

/** Adds the option that confirms in advance. */
export function withYesOption(command: Command): Command {
  return command.addOption(new Option('--yes', 'do it without asking first').default(false));
}

/**
 * Resolves only if the person at the terminal confirms, or `--yes` is given.
 * @param what the consequences, in whole sentences
 * @throws UsageError without a terminal; Failed if the person declines
 */
export async function confirm(output: Output, { yes }: ConfirmOptions, what: string): Promise<void> {
  if (yes) return;
  if (output.json || !output.isTerminal || process.stdin.isTTY !== true) {
    throw new UsageError(`${what} It is not done without --yes`);
  }
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(`${what}\nGo on? [y/N] `);
    if (/^y(es)?$/i.test(answer.trim())) return;
  } finally {
    lines.close();
  }
  output.note('conclave: nothing was done');
  throw new Failed(exitCodes.negative);
}
