/** Asks for confirmation before a command destroys data or reduces fault tolerance. */
import { createInterface } from 'node:readline';
import { type Command, Option } from 'commander';
import { exitCodes, Failed, Interrupted, UsageError } from './exit-codes.js';
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
 * @throws UsageError without a terminal; Failed if the person declines; Interrupted on Ctrl-C
 */
export async function confirm(output: Output, { yes }: ConfirmOptions, what: string): Promise<void> {
  if (yes) return;
  if (output.json || !output.isTerminal || process.stdin.isTTY !== true) {
    throw new UsageError(`${what} It is not done without --yes`);
  }
  if (/^y(es)?$/i.test((await answerTo(`${what}\nGo on? [y/N] `)).trim())) return;
  output.note('conclave: nothing was done');
  throw new Failed(exitCodes.negative);
}

/**
 * Returns the line that is typed; empty if the input ends before.
 * @throws Interrupted on Ctrl-C
 */
async function answerTo(question: string): Promise<string> {
  // Standard error may be a file, in which nobody would see the question.
  const output = process.stderr.isTTY === true ? process.stderr : process.stdout;
  const lines = createInterface({ input: process.stdin, output });
  try {
    return await new Promise<string>((resolve, reject) => {
      const endLine = (): void => void output.write('\n');
      lines.once('close', () => resolve(''));
      lines.once('close', endLine);
      // The terminal sends no signal while a line is edited.
      lines.once('SIGINT', () => reject(new Interrupted()));
      lines.once('SIGINT', endLine);
      lines.question(question, resolve);
    });
  } finally {
    lines.removeAllListeners();
    lines.close();
  }
}
