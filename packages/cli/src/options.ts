/** The options that every command has, and how their values are parsed. Invalid values are rejected before anything is done. */
import {
  asGroupId,
  defaultPrefix,
  GroupId,
  type GroupId as GroupIdType,
  issueText,
  limits,
  PeerId,
  type PeerId as PeerIdType,
  type SchemaIssue,
  Subjects,
} from '@conclave/protocol';
import { defaultNatsUrl, loginOptions, splitServers } from '@conclave/protocol/login';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { UsageError } from './exit-codes.js';
import type { LoginFlags } from './login.js';

export const defaultGroup = asGroupId('main');

/** The options of every command. */
export interface CommonOptions extends LoginFlags {
  readonly group: GroupIdType;
  readonly prefix: string;
  /** The time limit of the command in milliseconds; undefined: its own default. */
  readonly timeoutMs?: number;
  readonly json: boolean;
}

/** Adds the common options to a command. */
export function withCommonOptions(command: Command): Command {
  return withOutputOptions(withTimeoutOption(withNatsOption(command)));
}

/** The common options of commands that ask peers, but no group. */
export function withGrouplessOptions(command: Command, timeoutText?: string): Command {
  return withPrefixOptions(withTimeoutOption(withNatsOption(command), timeoutText));
}

/** The common options of commands that run until they are stopped. */
export function withWatchOptions(command: Command): Command {
  return withOutputOptions(withNatsOption(command));
}

/** The common options of commands that start a NATS server. */
export function withOutputOptions(command: Command): Command {
  return withPrefixOptions(
    command.addOption(
      new Option('--group <name>', 'the replication group')
        .env('CONCLAVE_GROUP')
        .argParser(parseGroup)
        .default(defaultGroup),
    ),
  );
}

function withNatsOption(command: Command): Command {
  return withLoginOptions(command, 'NATS servers, separated by commas, the preferred one first', defaultNatsUrl);
}

/**
 * Adds `--nats` and the options of the login. `loginOf` reads them and the environment; the parser does not read the environment.
 */
export function withLoginOptions(command: Command, text: string, fallback?: string): Command {
  const shown = fallback === undefined ? '' : `default: "${fallback}", `;
  command.addOption(new Option('--nats <urls>', `${text} (${shown}env: NATS_URL)`).argParser(parseServers));
  for (const { option, value, variable, text: what } of loginOptions) {
    const flag = value === undefined ? `--${option}` : `--${option} <${value}>`;
    command.addOption(new Option(flag, `${what} (env: ${variable})`).helpGroup('Login to NATS:'));
  }
  return command;
}

/** The text for commands that start a mesh. */
export const namedServersText = 'NATS servers that run already; none: start one';

function withTimeoutOption(command: Command, text = 'how long the command may take'): Command {
  return command.addOption(new Option('--timeout-ms <ms>', text).argParser(wholeNumber(1, 86_400_000)));
}

/** `--prefix` and `--json`, which every command has. */
export function withPrefixOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--prefix <subject>', 'the first tokens of all subjects')
        .env('CONCLAVE_PREFIX')
        .argParser(parsePrefix)
        .default(defaultPrefix),
    )
    .option('--json', 'print JSON, for programs', false);
}

/**
 * Adds the earlier name of an option, so that the error names the current one. Not printed in any help.
 * @param flags of the earlier option, with its value: `--farewell-ms <ms>`
 * @param name of the current option: `--removal-notice-ms`
 * @param variable that set the earlier option
 */
export function withRenamedOption(command: Command, flags: string, name: string, variable?: string): Command {
  const option = new Option(flags, `the earlier name of ${name}: refused`).hideHelp().argParser(() => {
    throw new InvalidArgumentError(`It is called ${name} now.`);
  });
  // The parser handles a flag without a value only if it has a preset.
  if (!option.required) option.preset('');
  return command.addOption(variable === undefined ? option : option.env(variable));
}

/**
 * Makes all commands refuse options with a blank value, such as `--peers "$PEERS"` in a script in which that variable is not set: a
 * command would otherwise use the current folder, or all peers. The options of the login have their own rules.
 */
export function refuseBlankValues(command: Command): void {
  for (const option of command.options) {
    if (option.long?.startsWith('--nats-') !== true) refuseBlankValue(option);
  }
  for (const child of command.commands) refuseBlankValues(child);
}

function refuseBlankValue(option: Option): void {
  if (!option.required && !option.optional) return;
  const { parseArg } = option;
  option.argParser((text: string, previous: unknown): unknown => {
    // Its own parser may give a better reason.
    const value = parseArg === undefined ? text : parseArg(text, previous);
    if (text.trim() === '') throw new InvalidArgumentError('It is empty.');
    return value;
  });
}

/** Parses the path of a file. */
export function parseFile(text: string): string {
  if (text === '') throw new InvalidArgumentError('It is empty.');
  return text;
}

/** Splits a comma-separated list and drops empty elements. */
export function splitList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

export function parseServers(text: string): string[] {
  const servers = splitServers(text);
  if (servers.length === 0) throw new InvalidArgumentError('name at least one server.');
  return servers;
}

export function parseGroup(text: string): GroupIdType {
  return checked(GroupId.safeParse(text), 'group', text);
}

export function parsePeer(text: string): PeerIdType {
  return checked(PeerId.safeParse(text), 'peer', text);
}

export function parsePrefix(text: string): string {
  try {
    return new Subjects(text).prefix;
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/**
 * Parses peers: several words, commas, or both.
 * @throws UsageError if none is named, one is named twice, or a name is invalid
 */
export function parsePeers(words: readonly string[]): PeerIdType[] {
  const names = words.flatMap(splitList);
  if (names.length === 0) throw new UsageError('name at least one peer');
  if (names.length > limits.configurationPeers) {
    throw new UsageError(`a configuration has at most ${limits.configurationPeers} peers`);
  }
  if (new Set(names).size < names.length) throw new UsageError('a peer is named twice');
  return names.map((name) => {
    const parsed = PeerId.safeParse(name);
    if (!parsed.success) {
      throw new UsageError(`${JSON.stringify(name)} is not a valid peer name: ${firstIssue(parsed.error)}`);
    }
    return parsed.data;
  });
}

/** Returns a parser of whole numbers between two bounds, both inclusive. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`a whole number from ${min} to ${max} is wanted.`);
    }
    return value;
  };
}

interface Parsed<T> {
  readonly success: boolean;
  readonly data?: T;
  readonly error?: { readonly issues: readonly SchemaIssue[] };
}

function checked<T>(parsed: Parsed<T>, what: string, text: string): T {
  if (parsed.success && parsed.data !== undefined) return parsed.data;
  const why = parsed.error === undefined ? 'refused' : firstIssue(parsed.error);
  throw new InvalidArgumentError(`${JSON.stringify(text)} is not a valid name of a ${what}: ${why}.`);
}

function firstIssue(error: { readonly issues: readonly SchemaIssue[] }): string {
  const [issue] = error.issues;
  return issue === undefined ? 'refused' : issueText(issue);
}
