/** What the parser of the command line found wrong, as an error of Conclave's. */
import type { Command, CommanderError } from 'commander';
import { UsageError } from './exit-codes.js';

/**
 * Returns the error with a reference to the help of the command; undefined: nothing is wrong (help or the version was requested), or
 * the parser has printed the help of an incomplete command.
 * @param words the command line
 */
export function usageErrorOf(
  { code, exitCode, message }: CommanderError,
  program: Command,
  words: readonly string[],
): UsageError | undefined {
  if (exitCode === 0 || code === 'commander.help') return undefined;
  const text = message
    .replace(/^error: /, '')
    .split('\n')
    .join(' ');
  return new UsageError(`${plain(text)} (see ${commandPath(program, words)} --help)`);
}

/** Rewrites the parser's sentences about a value: "option '--seconds <n>' argument 'x' is invalid. a whole number is wanted." */
function plain(text: string): string {
  return text
    .replace(/^command-argument value '(.*)' is invalid for argument '(.*)'\. (.*?)\.?$/s, "$2 cannot be '$1': $3")
    .replace(/^option '(.*)' argument '(.*)' is invalid\. (.*?)\.?$/s, "$1 cannot be '$2': $3")
    .replace(/^option '(.*)' value '(.*)' from env '(.*)' is invalid\. (.*?)\.?$/s, "$3 ($1) cannot be '$2': $4");
}

/** Whether a command line requests JSON: then errors are JSON, too. */
export function requestsJson(words: readonly string[]): boolean {
  const end = words.indexOf('--');
  return (end < 0 ? words : words.slice(0, end)).includes('--json');
}

/** Returns the names of the command that the words begin with, as far as there is one. */
function commandPath(program: Command, words: readonly string[]): string {
  const names = [program.name()];
  let command = program;
  for (const word of words) {
    const next = command.commands.find((child) => child.name() === word || child.aliases().includes(word));
    if (next === undefined) break;
    names.push(next.name());
    command = next;
  }
  return names.join(' ');
}
