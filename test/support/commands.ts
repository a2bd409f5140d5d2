/** The commands of `conclave` that connect to NATS: for tests that run each of them. */
import type { Command } from 'commander';
import { createProgram } from '../../packages/cli/src/program.js';

/** Their names: `kv put`. */
export function commandsThatLogIn(): string[] {
  const found: string[] = [];
  const walk = (command: Command, names: readonly string[]): void => {
    for (const each of command.commands) walk(each, [...names, each.name()]);
    if (command.commands.length > 0 || !command.options.some(({ long }) => long === '--nats-user')) return;
    found.push(names.join(' '));
  };
  walk(createProgram(), []);
  return found.toSorted();
}

/** The command that these arguments call; undefined: none that connects. */
export function commandIn(args: readonly string[], names: readonly string[] = commandsThatLogIn()): string | undefined {
  const called = names.filter((name) => `${args.join(' ')} `.startsWith(`${name} `));
  return called.toSorted((a, b) => b.length - a.length)[0];
}
