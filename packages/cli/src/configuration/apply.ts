/**
 * Configuration files and contexts. An option has precedence over a variable, a variable over the file, the file over the
 * context.
 * Their values are set where the parser puts defaults, so that options and variables replace them. The settings of the login to
 * NATS are added below the environment.
 */
import path from 'node:path';
import type { Command } from 'commander';
import { allNodes, commandTree, isRunnable } from '../help/command-tree.js';
import { setLoginLayers } from '../login.js';
import { Contexts, currentContext } from './contexts.js';
import { readConfigurationFile } from './read-file.js';
import {
  type Configuration,
  configurationSchema,
  keyOf,
  optionsOf,
  parseValue,
  sharedOptions,
  type Values,
} from './schema.js';

interface Chosen {
  readonly command: Command;
  readonly config?: string | undefined;
  readonly context?: string | undefined;
}

/**
 * Reads the file and the context that a command line or the environment chooses, and sets their values in the program that will
 * parse that command line.
 * @param create creates the same program again
 * @throws UsageError if the file or the context is invalid
 */
export function applyConfiguration(
  program: Command,
  create: () => Command,
  words: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): void {
  if (!isAnyChosen(words, environment)) return;
  const chosen = chosenBy(create(), words);
  if (chosen === undefined) return;
  const offers = (key: string) => chosen.command.options.some((option) => keyOf(option) === key);
  const tree = commandTree(program);
  const contexts = new Contexts(tree, environment);
  const contextName = chosen.context ?? environment.CONCLAVE_CONTEXT ?? currentContext(environment);
  const context = contextName === undefined || !offers('context') ? {} : contexts.read(contextName);
  const file = chosen.config ?? environment.CONCLAVE_CONFIG;
  const configuration =
    file === undefined || !offers('config') ? { all: {}, commands: {} } : readConfiguration(program, file);
  // Processes that this one starts read the same file.
  if (chosen.config !== undefined && offers('config')) environment.CONCLAVE_CONFIG = path.resolve(chosen.config);
  for (const { path: place, command } of allNodes(tree)) {
    const own = configuration.commands[place.join(' ')] ?? {};
    setValues(command, { ...context, ...configuration.all, ...own });
    if (place.join(' ') === nameOf(chosen.command)) setLoginLayers([{ ...configuration.all, ...own }, context]);
  }
}

/** Whether the command line or the environment names a file or a context. If not, nothing is parsed twice. */
function isAnyChosen(words: readonly string[], environment: NodeJS.ProcessEnv): boolean {
  const { CONCLAVE_CONFIG, CONCLAVE_CONTEXT } = environment;
  const isNamed =
    (CONCLAVE_CONFIG ?? CONCLAVE_CONTEXT) !== undefined || words.some((word) => /^--con(fig|text)\b/.test(word));
  return isNamed || currentContext(environment) !== undefined;
}

/**
 * Reads a file for the commands of a program.
 * @throws UsageError if it is invalid
 */
export function readConfiguration(program: Command, file: string): Configuration {
  const tree = commandTree(program);
  const { commands = {}, ...all } = readConfigurationFile(file, configurationSchema(tree)) as Values & {
    commands?: Record<string, Values>;
  };
  return { all, commands };
}

/** Returns the variables that currently replace settings of the file, by the keys of the settings. */
export function replacedBy(program: Command, all: Values, environment: NodeJS.ProcessEnv): ReadonlyMap<string, string> {
  const options = sharedOptions(commandTree(program));
  const found = Object.keys(all).flatMap((key) => {
    const named =
      options.get(key)?.envVar ?? (key === 'nats' ? 'NATS_URL' : `CONCLAVE_${key.toUpperCase().replaceAll('-', '_')}`);
    return (environment[named] ?? '') === '' ? [] : [[key, named] as const];
  });
  return new Map(found);
}

function nameOf(command: Command): string {
  const { parent } = command;
  return parent === null || parent.parent === null ? command.name() : `${nameOf(parent)} ${command.name()}`;
}

function setValues(command: Command, values: Values): void {
  for (const option of optionsOf(command)) {
    const value = values[keyOf(option)];
    if (value === undefined || isOfLogin(keyOf(option))) continue;
    const parsed = parseValue(option, value);
    // `--no-bundle` is the negation of the option `bundle`.
    command.setOptionValueWithSource(option.attributeName(), option.negate ? parsed !== true : parsed, 'config');
  }
}

function isOfLogin(key: string): boolean {
  return key === 'nats' || (key.startsWith('nats-') && key !== 'nats-login-attempts');
}

/** Returns the command of a command line, and its file and context; undefined if the command line is invalid. */
function chosenBy(program: Command, words: readonly string[]): Chosen | undefined {
  let chosen: Chosen | undefined;
  const quiet = { writeOut: () => undefined, writeErr: () => undefined };
  for (const node of allNodes(commandTree(program))) {
    node.command.exitOverride().configureOutput(quiet);
    // The option may be in a file.
    for (const option of node.command.options) option.makeOptionMandatory(false);
    if (!isRunnable(node) || node.path.length === 0) continue;
    node.command.action(() => {
      chosen = { command: node.command, ...node.command.opts<{ config?: string; context?: string }>() };
    });
  }
  try {
    program.parse(words, { from: 'user' });
  } catch {
    // The parser that runs the command reports the error.
  }
  return chosen;
}
