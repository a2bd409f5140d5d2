/** What a configuration file may contain: the options of the commands, by their names. */
import { type Command, CommanderError, type Option } from 'commander';
import { z } from 'zod';
import { allNodes, type CommandNode, isRunnable } from '../help/command-tree.js';

/** The values in a file, as they are written there. */
export type Values = Readonly<Record<string, unknown>>;

/** A file: the options that several commands share, and below `commands` those of one command, by its name (`kv get`). */
export interface Configuration {
  readonly all: Values;
  readonly commands: Readonly<Record<string, Values>>;
}

/** Options that choose the file, or that make sense for one call only. */
const never = ['config', 'context', 'help', 'version'];

/** An option's key: its name without dashes. */
export function keyOf(option: Option): string {
  return (option.long ?? option.flags).replace(/^--/, '');
}

/** The options of a command that a file may contain, including hidden ones. */
export function optionsOf(command: Command): readonly Option[] {
  return command.options.filter((option) => !never.includes(keyOf(option)));
}

/** Options that have the same meaning in all commands: those with a variable, and those of NATS. */
export function isShared(option: Option): boolean {
  return option.envVar !== undefined || /^(nats($|-)|timeout-ms$)/.test(keyOf(option));
}

/** The options that a file may contain for all commands. */
export function sharedOptions(tree: CommandNode): ReadonlyMap<string, Option> {
  const options = allNodes(tree).flatMap(({ command }) => optionsOf(command));
  return new Map(options.filter(isShared).map((option) => [keyOf(option), option]));
}

/** The schema of a file for this program. */
export function configurationSchema(tree: CommandNode) {
  const nodes = allNodes(tree).filter((node) => node.path.length > 0 && isRunnable(node));
  const commands = nodes.map(({ path, command }) => {
    const options = optionsOf(command).map((option) => [keyOf(option), valueSchema(option).optional()]);
    return [path.join(' '), z.strictObject(Object.fromEntries(options)).optional()] as const;
  });
  return z.strictObject({
    ...sharedSchemas(tree),
    commands: z.strictObject(Object.fromEntries(commands)).optional(),
  });
}

/** The schema of a context: the settings for the connection to a group. */
export function contextSchema(tree: CommandNode) {
  const schemas = Object.entries(sharedSchemas(tree)).filter(([key]) => isOfContext(key));
  return z.strictObject(Object.fromEntries(schemas));
}

/** Whether a context may contain the option with this key. */
export function isOfContext(key: string): boolean {
  return (
    key === 'nats' ||
    (key.startsWith('nats-') && key !== 'nats-login-attempts') ||
    ['group', 'prefix', 'timeout-ms'].includes(key)
  );
}

function sharedSchemas(tree: CommandNode) {
  return Object.fromEntries(
    [...sharedOptions(tree)].map(([key, option]) => [key, valueSchema(option).optional()] as const),
  );
}

function valueSchema(option: Option) {
  if (!option.required && !option.optional) return z.boolean();
  const one = z.union([z.string(), z.number()]);
  const list = z.union([one, z.array(one).min(1)], 'a text, a number or a list of them is wanted');
  const some = option.optional ? z.union([list, z.boolean()]) : list;
  return some.superRefine((value, context) => {
    try {
      parseValue(option, value);
    } catch (error) {
      if (!(error instanceof CommanderError)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
    }
  });
}

/**
 * Returns the value of an option as the parser would make it from its text.
 * @throws CommanderError if the text is invalid
 */
export function parseValue(option: Option, value: unknown): unknown {
  if (typeof value === 'boolean') return value;
  const text = Array.isArray(value) ? value.join(',') : String(value);
  return option.parseArg === undefined ? text : option.parseArg(text, undefined as never);
}
