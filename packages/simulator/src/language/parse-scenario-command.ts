/** Parses a line of a scenario to a command: one of scenarios only, or one of a script. */
import { Consistency, events, Role, Stage } from '@conclave/protocol';
import { type Command, meshOptions } from './command.js';
import { parseCommand } from './parse-command.js';
import {
  type AskCommand,
  type Condition,
  type EventsCommand,
  type GivenCommand,
  type GroupCommand,
  type KeepCommand,
  type NumberOfPeer,
  numbersOfPeer,
  type PlainRequest,
  type ScenarioCommand,
  type TimeoutsCommand,
} from './scenario-command.js';
import { asNumber, oneOf, ScriptError, Tokens } from './tokens.js';

const patience = 30_000;

/** @throws ScriptError that says what is wrong with it */
export function parseScenarioCommand(line: string): ScenarioCommand | Command {
  const [first = '', ...others] = line.trim().split(/\s+/);
  const rest = others.join(' ');
  const words = new Tokens(others);
  switch (first) {
    case 'group':
      return group(others);
    case 'timeouts':
      return timeouts(others);
    case 'given':
      return ended(given(words), words);
    case 'until': {
      const within = words.numberOption('within') ?? patience;
      return ended({ type: first, condition: condition(words), within }, words);
    }
    case 'put':
    case 'get':
      return plain(first, words);
    case 'ask':
      return ask(rest);
    case 'await': {
      const within = words.numberOption('within') ?? patience;
      return { type: first, what: awaited(words.rest().join(' '), rest), within };
    }
    case 'log': {
      const from = words.numberOption('from') ?? 1;
      return ended({ type: first, peers: words.rest(), from }, words);
    }
    case 'status':
    case 'progress':
    case 'changes':
    case 'dropped':
      return ended({ type: first, peers: words.rest() }, words);
    case 'value':
      return ended({ type: first, key: words.next('a key'), peers: words.rest() }, words);
    case 'hold':
    case 'copy':
    case 'lose':
      return keep(first, others);
    case 'release':
    case 'drop': {
      const newest = words.numberOption('newest');
      return ended({ type: first, name: words.next('a name'), newest }, words);
    }
    case 'show':
    case 'hide':
      return shown(first, words.some('an event'));
    default:
      return parseCommand(line);
  }
}

function ended<C>(command: C, words: Tokens): C {
  words.end();
  return command;
}

/** `group n1 n2 n3 | n4 n5`: after the bar the peers outside the group. */
function group(others: readonly string[]): GroupCommand {
  const given = new Tokens(others);
  const options = Object.fromEntries(meshOptions.map((name) => [name, given.numberOption(name)]));
  const words = given.rest();
  given.end();
  const bar = words.indexOf('|');
  const peers = bar < 0 ? words : words.slice(0, bar);
  if (peers.length === 0) throw new ScriptError('expected a peer');
  return { type: 'group', peers, spare: bar < 0 ? [] : words.slice(bar + 1), options };
}

function timeouts(words: readonly string[]): TimeoutsCommand {
  const ofPeers = new Map(
    words.map((word) => {
      const [peer = '', ms = ''] = word.split('=');
      const timeoutMs = asNumber(ms, `the timeout of ${peer}`);
      if (timeoutMs < 1000 || timeoutMs >= 2000) throw new ScriptError(`${word}: expected 1000 to 1999 ms`);
      return [peer, timeoutMs];
    }),
  );
  return { type: 'timeouts', ofPeers };
}

function given(words: Tokens): GivenCommand {
  const terms = listOption(words, 'terms').map((term) => asNumber(term, 'a term'));
  const last = terms.at(-1) ?? 0;
  return {
    type: 'given',
    peer: words.next('a peer'),
    terms,
    term: words.numberOption('term') ?? last,
    vote: words.option('vote') ?? '',
    commit: words.numberOption('commit') ?? 1,
    peers: listOption(words, 'peers'),
    foreign: words.option('group') === 'other',
  };
}

function listOption(words: Tokens, name: string): string[] {
  const text = words.option(name);
  return text === undefined || text === '' ? [] : text.split(',');
}

function condition(words: Tokens): Condition {
  const first = words.next('a condition');
  switch (first) {
    case 'leader':
      return { type: 'leader', peer: words.peek() === undefined ? undefined : words.next('a peer') };
    case 'no':
      if (words.next('leader') !== 'leader') throw new ScriptError('expected: no leader');
      return { type: 'no_leader' };
    case 'stage':
      return { type: 'stage', stage: oneOf(words.next('a stage'), Stage.options) };
    case 'kept': {
      const name = words.next('a name');
      return { type: 'kept', name, count: words.peek() === undefined ? 1 : words.number('how many') };
    }
    case 'answered':
      return { type: 'answered' };
    default:
      return conditionOfPeer(first, words);
  }
}

function conditionOfPeer(peer: string, words: Tokens): Condition {
  const what = words.next('what of the peer');
  if (isNumberOfPeer(what)) return { type: 'number', peer, of: what, atLeast: words.number('a number') };
  if (what === 'says') return { type: 'event', peer, event: oneOf(words.next('an event'), Object.keys(events)) };
  return { type: 'role', peer, role: oneOf(what, Role.options) };
}

function isNumberOfPeer(word: string): word is NumberOfPeer {
  return (numbersOfPeer as readonly string[]).includes(word);
}

function plain(operation: 'put' | 'get', words: Tokens): PlainRequest {
  const key = words.next('a key');
  const value = operation === 'put' ? words.next('a value') : '';
  const isSaid = operation === 'get' && words.peek() === 'by';
  const by = isSaid ? consistency(words.rest()[1]) : undefined;
  return ended({ type: 'plain', operation, key, value, by }, words);
}

function consistency(word: string | undefined): PlainRequest['by'] {
  const parsed = Consistency.safeParse(word);
  if (!parsed.success) throw new ScriptError(`${word} is none of ${Consistency.options.join(', ')}`);
  return parsed.data;
}

function ask(rest: string): AskCommand {
  const at = rest.indexOf(' ');
  if (at < 0) throw new ScriptError('expected a peer, and what it is asked');
  return { type: 'ask', peer: rest.slice(0, at), what: plainOrCommand(rest.slice(at + 1)) };
}

/** `within` is an option of `await`; all others belong to the awaited request. */
function awaited(withoutOptions: string, rest: string): PlainRequest | AskCommand | Command {
  const line = rest
    .split(' ')
    .filter((word) => !word.startsWith('within='))
    .join(' ');
  return withoutOptions.startsWith('ask ') ? ask(line.slice('ask '.length)) : plainOrCommand(line);
}

function plainOrCommand(line: string): PlainRequest | Command {
  const [first = '', ...others] = line.split(' ');
  return first === 'put' || first === 'get' ? plain(first, new Tokens(others)) : parseCommand(line);
}

/** `hold <name> <from> -> <to> <message> field=value ...` */
function keep(type: KeepCommand['type'], words: readonly string[]): KeepCommand {
  const [name, from, arrow, to, message, ...fields] = words;
  if (name === undefined || from === undefined || arrow !== '->' || to === undefined || message === undefined) {
    throw new ScriptError(`expected: ${type} <name> <from> -> <to> <message>`);
  }
  const pairs = fields.map((field) => {
    const at = field.indexOf('=');
    if (at < 1) throw new ScriptError(`${field}: expected field=value`);
    return [field.slice(0, at), field.slice(at + 1)];
  });
  return { type, name, pattern: { from, to, message, fields: Object.fromEntries(pairs) } };
}

function shown(type: EventsCommand['type'], names: readonly string[]): EventsCommand {
  return { type, events: names.map((name) => oneOf(name, Object.keys(events))) };
}
