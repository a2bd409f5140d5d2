/** The man page, generated from the data of the help. */
import type { Argument, Option } from 'commander';
import { exitCodes } from '../exit-codes.js';
import { allNodes, type CommandNode, isRunnable } from './command-tree.js';
import { examplesOf } from './examples.js';

/** The meaning of each exit code, in the order of `exitCodes`. */
const exitMeanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  done: 'The command is done.',
  negative:
    'The answer is negative: there is no such key, a value was not swapped, a peer is unhealthy, members differ.',
  usage: 'The command line or the configuration is wrong. Nothing was requested.',
  refused: 'The group or a peer refused. Nothing was done.',
  unreachable: 'NATS, the group or the peer does not answer. Nothing was done.',
  unknown: 'Whether it was done is unknown.',
  failed: 'Something on this machine failed: a file, a port, a process.',
  login: 'NATS rejects the login, or a file of the login cannot be read.',
  broken: 'A process of actors found an invariant broken.',
  interrupted: 'Interrupted by Ctrl-C.',
};

/**
 * Returns the page `conclave(1)`, in the macros of man(7).
 * @param version printed in its footer
 */
export function manPage(tree: CommandNode, version: string): string {
  const shared = sharedOptions(tree);
  const commands = allNodes(tree).filter((node) => node.path.length > 0 && isRunnable(node));
  const lines = [
    `.TH CONCLAVE 1 "" ${quoted(`conclave ${version}`)} ${quoted('Conclave')}`,
    '.SH NAME',
    `conclave \\- ${escaped(tree.command.description())}`,
    '.SH SYNOPSIS',
    '.B conclave',
    '.I command',
    '.RI [ options ]',
    '.SH COMMANDS',
    ...commands.flatMap((node) => commandLines(node, shared)),
    '.SH COMMON OPTIONS',
    'Most commands have these as well.',
    ...shared.flatMap(optionLines),
    '.SH EXIT STATUS',
    ...Object.entries(exitCodes).flatMap(([name, code]) => [
      '.TP',
      `.B ${code}`,
      escaped(exitMeanings[name as keyof typeof exitCodes]),
    ]),
  ];
  return `${lines.join('\n')}\n`;
}

/** Returns the options that at least ten commands have with the same description. */
function sharedOptions(tree: CommandNode): readonly Option[] {
  const seen = new Map<string, { option: Option; count: number }>();
  for (const option of allNodes(tree).flatMap(({ options }) => options)) {
    const key = `${option.flags} ${option.description}`;
    const entry = seen.get(key) ?? { option, count: 0 };
    seen.set(key, { ...entry, count: entry.count + 1 });
  }
  return [...seen.values()].filter(({ count }) => count >= 10).map(({ option }) => option);
}

function commandLines({ path, command, options, arguments: args }: CommandNode, shared: readonly Option[]): string[] {
  const isShared = ({ flags, description }: Option) =>
    shared.some((other) => other.flags === flags && other.description === description);
  const usage = ['conclave', ...path, ...args.map(argumentUsage)].join(' ');
  const examples = examplesOf(path);
  return [
    `.SS ${quoted(usage)}`,
    escaped(command.description()),
    ...args.filter(({ description }) => description !== '').flatMap(argumentLines),
    ...options.filter((option) => !isShared(option)).flatMap(optionLines),
    ...(examples.length === 0 ? [] : ['.PP', 'Examples:']),
    ...examples.flatMap(([line, meaning]) => [
      '.PP',
      '.RS',
      '.nf',
      escaped(line),
      '.fi',
      `\\(em ${escaped(meaning)}`,
      '.RE',
    ]),
  ];
}

function argumentUsage(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

function argumentLines(argument: Argument): string[] {
  return ['.TP', `.I ${escaped(argument.name())}`, escaped(argument.description)];
}

function optionLines(option: Option): string[] {
  const { defaultValue, defaultValueDescription, argChoices, envVar } = option;
  // A default that depends on the process, or that means off, is not printed.
  const shown =
    defaultValueDescription ?? (['string', 'number'].includes(typeof defaultValue) ? defaultValue : undefined);
  const extra = [
    ...(argChoices === undefined ? [] : [`one of ${argChoices.join(', ')}`]),
    ...(shown === undefined || shown === '' || String(shown).includes(String(process.pid))
      ? []
      : [`default: ${shown}`]),
    ...(envVar === undefined ? [] : [`env: ${envVar}`]),
  ];
  const text = extra.length === 0 ? option.description : `${option.description} (${extra.join('; ')})`;
  return ['.TP', `.B ${escaped(option.flags)}`, escaped(text)];
}

/** Escapes a text so that roff prints it unchanged. */
function escaped(text: string): string {
  const plain = text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('’', '\\(cq').replaceAll('\n', ' ');
  return /^[.']/.test(plain) ? `\\&${plain}` : plain;
}

function quoted(text: string): string {
  return `"${escaped(text).replaceAll('"', '\\(dq')}"`;
}
