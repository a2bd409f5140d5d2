/** Parses a line of text to a command: the language of scripts and of scenarios. */
import { isClient, parseClientCall, requestParsers } from './parse-requests.js';
import { scenarioParsers } from './parse-scenario.js';
import { scriptParsers } from './parse-script.js';
import type { PlainRequest, ScenarioCommand } from './scenario-command.js';
import { ScriptError, Tokens } from './tokens.js';

/** The first word of a command. All but the calls of clients begin with one. */
type Verb = Exclude<ScenarioCommand['type'], 'client' | 'plain'> | PlainRequest['operation'];

const parsers: Readonly<Record<Verb, (words: Tokens) => ScenarioCommand>> = {
  ...scriptParsers,
  ...requestParsers,
  ...scenarioParsers,
};

/**
 * Returns the command of one line.
 * @throws ScriptError that contains what is wrong with it
 */
export function parseCommand(line: string): ScenarioCommand {
  const [first = '', ...others] = line.trim().split(/\s+/);
  if (isClient(first)) return parseClientCall(first, others);
  if (!isVerb(first)) throw new ScriptError(`there is no command ${first}`);
  return Tokens.parseAll(others, parsers[first]);
}

function isVerb(word: string): word is Verb {
  return Object.hasOwn(parsers, word);
}
