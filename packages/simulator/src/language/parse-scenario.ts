/** The parsers of the commands that only scenarios have. */
import { events, Role, Stage } from '@conclave/protocol';
import { meshOptions } from './command.js';
import { parseAsk, parseRequest } from './parse-requests.js';
import {
  type AwaitCommand,
  type Condition,
  type EndKeepingCommand,
  type EventsCommand,
  type GivenCommand,
  type GroupCommand,
  type KeepCommand,
  type LookCommand,
  numbersOfPeer,
  type PlainRequest,
  type ScenarioOnlyCommand,
  type TimeoutsCommand,
} from './scenario-command.js';
import { asNumber, oneOf, ScriptError, type Tokens } from './tokens.js';

/** How long `await` and `until` wait by default, in milliseconds. */
const defaultWithinMs = 30_000;

type ScenarioVerb = Exclude<ScenarioOnlyCommand['type'], PlainRequest['type']>;

export const scenarioParsers: Readonly<Record<ScenarioVerb, (tokens: Tokens) => ScenarioOnlyCommand>> = {
  group,
  timeouts,
  given,
  until: (tokens) => {
    const within = tokens.numberOption('within') ?? defaultWithinMs;
    return { type: 'until', condition: condition(tokens), within };
  },
  ask: (tokens) => parseAsk(tokens.all()),
  await: awaitCommand,
  log: (tokens) => {
    const from = tokens.numberOption('from') ?? 1;
    return { type: 'log', peers: tokens.rest(), from };
  },
  status: look('status'),
  progress: look('progress'),
  changes: look('changes'),
  dropped: look('dropped'),
  value: (tokens) => ({ type: 'value', key: tokens.next('a key'), peers: tokens.rest() }),
  hold: keep('hold'),
  copy: keep('copy'),
  lose: keep('lose'),
  release: endKeeping('release'),
  drop: endKeeping('drop'),
  show: shown('show'),
  hide: shown('hide'),
  reports: (tokens) => ({ type: 'reports', on: oneOf(tokens.next('on or off'), ['on', 'off']) === 'on' }),
};

/** `group n1 n2 n3 | n4 n5`: after the bar the peers outside the group. */
function group(tokens: Tokens): GroupCommand {
  const options = tokens.numberOptions(meshOptions);
  const names = tokens.rest();
  const bar = names.indexOf('|');
  const peers = bar < 0 ? names : names.slice(0, bar);
  if (peers.length === 0) throw new ScriptError('expected a peer');
  return { type: 'group', peers, spare: bar < 0 ? [] : names.slice(bar + 1), options };
}

function timeouts(tokens: Tokens): TimeoutsCommand {
  const ofPeers = new Map(
    tokens.all().map((word) => {
      const [peer = '', ms = ''] = word.split('=');
      const timeoutMs = asNumber(ms, `the timeout of ${peer}`);
      if (timeoutMs < 1000 || timeoutMs >= 2000) throw new ScriptError(`${word}: expected 1000 to 1999 ms`);
      return [peer, timeoutMs];
    }),
  );
  return { type: 'timeouts', ofPeers };
}

function given(tokens: Tokens): GivenCommand {
  const terms = listOption(tokens, 'terms').map((term) => asNumber(term, 'a term'));
  const last = terms.at(-1) ?? 0;
  return {
    type: 'given',
    peer: tokens.next('a peer'),
    terms,
    term: tokens.numberOption('term') ?? last,
    vote: tokens.option('vote') ?? '',
    commit: tokens.numberOption('commit') ?? 1,
    peers: listOption(tokens, 'peers'),
    foreign: tokens.option('group') === 'other',
  };
}

function listOption(tokens: Tokens, name: string): string[] {
  const text = tokens.option(name);
  return text === undefined || text === '' ? [] : text.split(',');
}

function condition(tokens: Tokens): Condition {
  const first = tokens.next('a condition');
  switch (first) {
    case 'leader':
      return { type: 'leader', peer: tokens.peek() === undefined ? undefined : tokens.next('a peer') };
    case 'no':
      if (!tokens.has('leader')) throw new ScriptError('expected: no leader');
      return { type: 'no_leader' };
    case 'stage':
      return { type: 'stage', stage: oneOf(tokens.next('a stage'), Stage.options) };
    case 'kept': {
      const name = tokens.next('a name');
      return { type: 'kept', name, count: tokens.peek() === undefined ? 1 : tokens.number('how many') };
    }
    case 'answered':
      return { type: 'answered' };
    default:
      return conditionOfPeer(first, tokens);
  }
}

function conditionOfPeer(peer: string, tokens: Tokens): Condition {
  const what = tokens.next('what of the peer');
  if (what === 'says') return { type: 'event', peer, event: oneOf(tokens.next('an event'), Object.keys(events)) };
  const of = numbersOfPeer.find((number) => number === what);
  if (of !== undefined) return { type: 'number', peer, of, atLeast: tokens.number('a number') };
  return { type: 'role', peer, role: oneOf(what, Role.options) };
}

/** `within` is an option of `await`; all others belong to the awaited request. */
function awaitCommand(tokens: Tokens): AwaitCommand {
  const within = tokens.numberOption('within') ?? defaultWithinMs;
  const [first, ...others] = tokens.all();
  return { type: 'await', what: first === 'ask' ? parseAsk(others) : parseRequest([first ?? '', ...others]), within };
}

function look(type: LookCommand['type']): (tokens: Tokens) => LookCommand {
  return (tokens) => ({ type, peers: tokens.rest() });
}

/** `hold <name> <from> -> <to> <message> field=value ...` */
function keep(type: KeepCommand['type']): (tokens: Tokens) => KeepCommand {
  return (tokens) => {
    const [name, from, arrow, to, message, ...fields] = tokens.all();
    if (name === undefined || from === undefined || arrow !== '->' || to === undefined || message === undefined) {
      throw new ScriptError(`expected: ${type} <name> <from> -> <to> <message>`);
    }
    const pairs = fields.map((field) => {
      const at = field.indexOf('=');
      if (at < 1) throw new ScriptError(`${field}: expected field=value`);
      return [field.slice(0, at), field.slice(at + 1)];
    });
    return { type, name, pattern: { from, to, message, fields: Object.fromEntries(pairs) } };
  };
}

function endKeeping(type: EndKeepingCommand['type']): (tokens: Tokens) => EndKeepingCommand {
  return (tokens) => {
    const newest = tokens.numberOption('newest');
    return { type, name: tokens.next('a name'), newest };
  };
}

function shown(type: EventsCommand['type']): (tokens: Tokens) => EventsCommand {
  return (tokens) => ({ type, events: tokens.some('an event').map((name) => oneOf(name, Object.keys(events))) });
}
