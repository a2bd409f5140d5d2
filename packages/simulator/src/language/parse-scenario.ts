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

/** How long `await` and `until` wait if they do not say it, in milliseconds. */
const defaultWithinMs = 30_000;

type ScenarioVerb = Exclude<ScenarioOnlyCommand['type'], PlainRequest['type']>;

export const scenarioParsers: Readonly<Record<ScenarioVerb, (words: Tokens) => ScenarioOnlyCommand>> = {
  group,
  timeouts,
  given,
  until: (words) => {
    const within = words.numberOption('within') ?? defaultWithinMs;
    return { type: 'until', condition: condition(words), within };
  },
  ask: (words) => parseAsk(words.all()),
  await: awaitCommand,
  log: (words) => {
    const from = words.numberOption('from') ?? 1;
    return { type: 'log', peers: words.rest(), from };
  },
  status: look('status'),
  progress: look('progress'),
  changes: look('changes'),
  dropped: look('dropped'),
  value: (words) => ({ type: 'value', key: words.next('a key'), peers: words.rest() }),
  hold: keep('hold'),
  copy: keep('copy'),
  lose: keep('lose'),
  release: endKeeping('release'),
  drop: endKeeping('drop'),
  show: shown('show'),
  hide: shown('hide'),
  reports: (words) => ({ type: 'reports', on: oneOf(words.next('on or off'), ['on', 'off']) === 'on' }),
};

/** `group n1 n2 n3 | n4 n5`: after the bar the peers outside the group. */
function group(tokens: Tokens): GroupCommand {
  const options = tokens.numberOptions(meshOptions);
  const words = tokens.rest();
  const bar = words.indexOf('|');
  const peers = bar < 0 ? words : words.slice(0, bar);
  if (peers.length === 0) throw new ScriptError('expected a peer');
  return { type: 'group', peers, spare: bar < 0 ? [] : words.slice(bar + 1), options };
}

function timeouts(words: Tokens): TimeoutsCommand {
  const ofPeers = new Map(
    words.all().map((word) => {
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
      if (!words.has('leader')) throw new ScriptError('expected: no leader');
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
  if (what === 'says') return { type: 'event', peer, event: oneOf(words.next('an event'), Object.keys(events)) };
  const of = numbersOfPeer.find((number) => number === what);
  if (of !== undefined) return { type: 'number', peer, of, atLeast: words.number('a number') };
  return { type: 'role', peer, role: oneOf(what, Role.options) };
}

/** `within` is an option of `await`; all others belong to the awaited request. */
function awaitCommand(words: Tokens): AwaitCommand {
  const within = words.numberOption('within') ?? defaultWithinMs;
  const [first, ...others] = words.all();
  return { type: 'await', what: first === 'ask' ? parseAsk(others) : parseRequest([first ?? '', ...others]), within };
}

function look(type: LookCommand['type']): (words: Tokens) => LookCommand {
  return (words) => ({ type, peers: words.rest() });
}

/** `hold <name> <from> -> <to> <message> field=value ...` */
function keep(type: KeepCommand['type']): (words: Tokens) => KeepCommand {
  return (words) => {
    const [name, from, arrow, to, message, ...fields] = words.all();
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

function endKeeping(type: EndKeepingCommand['type']): (words: Tokens) => EndKeepingCommand {
  return (words) => {
    const newest = words.numberOption('newest');
    return { type, name: words.next('a name'), newest };
  };
}

function shown(type: EventsCommand['type']): (words: Tokens) => EventsCommand {
  return (words) => ({ type, events: words.some('an event').map((name) => oneOf(name, Object.keys(events))) });
}
