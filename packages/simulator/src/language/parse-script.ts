/** The parsers of commands for processes, network, disks, NATS and time: all of a script's but its requests. */
import { stateParts } from '../mesh/corrupted-state.js';
import type { ClientCommand, Command, CutCommand, NetworkCommand, OperatorCommand, ProcessCommand } from './command.js';
import { diskParts, meshOptions, runUntil } from './command.js';
import { given, oneOf, ScriptError, type Tokens } from './tokens.js';

type ScriptVerb = Exclude<Command['type'], ClientCommand['type'] | OperatorCommand['type']>;

export const scriptParsers: Readonly<Record<ScriptVerb, (words: Tokens) => Command>> = {
  peers: (words) => ({ type: 'peers', peers: words.some('a peer'), ...given(words.numberOptions(meshOptions)) }),
  network,
  run: (words) => {
    const until = words.option('until');
    const ms = words.number('milliseconds');
    return { type: 'run', ms, ...(until === undefined ? {} : { until: oneOf(until, runUntil) }) };
  },
  crash: ofProcesses('crash'),
  start: ofProcesses('start'),
  pause: ofProcesses('pause'),
  resume: ofProcesses('resume'),
  build: (words) => ({
    type: 'build',
    build: oneOf(words.next('old or new'), ['old', 'new']),
    targets: words.some('who'),
  }),
  'duplicate-node': (words) => ({ type: 'duplicate-node', peer: words.next('a peer') }),
  skew: (words) => ({
    type: 'skew',
    target: words.next('an actor'),
    rate: words.numberOption('rate') ?? 1,
    offset: words.numberOption('offset') ?? 0,
  }),
  cut: (words) => cut(words.some('who')),
  delay,
  slow: (words) => {
    const ms = words.numberOption('ms') ?? 0;
    return { type: 'slow', peer: words.next('a peer'), ms };
  },
  reconnect: () => ({ type: 'reconnect' }),
  nats,
  'copy-disk': (words) => ({ type: 'copy-disk', peer: words.next('a peer') }),
  'restore-disk': (words) => ({ type: 'restore-disk', peer: words.next('a peer') }),
  wipe,
  disk: (words) => {
    const peer = words.next('a peer');
    const fail = words.has('fail');
    return { type: 'disk', peer, ...given(words.numberOptions(['delay', 'free'])), fail };
  },
  flip,
  corrupt: (words) => ({
    type: 'corrupt',
    peer: words.next('a peer'),
    part: oneOf(words.next('a part'), stateParts),
  }),
  'reset-survivors': (words) => ({
    type: 'reset-survivors',
    alone: words.has('alone'),
    ...(words.has('now') ? { now: true } : {}),
  }),
  recreate: (words) => {
    const isRestored = (words.numberOption('backup') ?? 0) > 0;
    return { type: 'recreate', peers: words.some('a peer'), ...(isRestored ? { backup: true } : {}) };
  },
  backup: (words) => ({ type: 'backup', peer: words.next('a peer') }),
  watch: (words) => ({ type: 'watch', prefix: words.peek() === undefined ? '' : words.next('a prefix') }),
  quiesce: () => ({ type: 'quiesce' }),
};

function ofProcesses(type: ProcessCommand['type']): (words: Tokens) => ProcessCommand {
  return (words) => ({ type, targets: words.some('who') });
}

function network(words: Tokens): NetworkCommand {
  return { type: 'network', ...given(words.numberOptions(['loss', 'repeat', 'delay', 'turn'])) };
}

function cut(words: readonly string[]): CutCommand {
  const oneWay = words.includes('->');
  const groups: string[][] = [[]];
  for (const word of words) {
    if (word === '|' || word === '->') groups.push([]);
    else groups.at(-1)?.push(word);
  }
  if (groups.some((group) => group.length === 0)) throw new ScriptError('a side of the cut is empty');
  if (oneWay && (groups.length !== 2 || words.includes('|'))) throw new ScriptError('a one-way cut has two sides');
  const isRoute = groups.length === 1 && words.length === 2 && words.every((word) => /^s\d+$/.test(word));
  if (groups.length === 1 && !isRoute) throw new ScriptError('expected two sides, or two servers');
  return { type: 'cut', groups, oneWay };
}

/** `delay node.timeout_now ms=900`, or `delay n1.log-store -> n1.node ms=900`. */
function delay(words: Tokens): Command {
  const ms = words.numberOption('ms') ?? 0;
  const first = words.next('a message, or an actor');
  if (!words.has('->')) return { type: 'delay', message: first, ms };
  return { type: 'delay', from: first, to: words.next('an actor'), ms };
}

function nats(words: Tokens): Command {
  const state = words.next('up or down');
  const server = words.next('a server');
  if (state !== 'up' && state !== 'down') throw new ScriptError(`${state} is neither up nor down`);
  return { type: 'nats', state, server };
}

function wipe(words: Tokens): Command {
  const peer = words.next('a peer');
  const condition = words.option('if');
  if (condition === 'held') return { type: 'wipe', peer, ifSpare: false, ifHeld: true };
  if (condition !== undefined && condition !== 'spare')
    throw new ScriptError(`if=${condition}: expected spare or held`);
  return { type: 'wipe', peer, ifSpare: condition === 'spare' };
}

function flip(words: Tokens): Command {
  const peer = words.next('a peer');
  const part = oneOf(words.next('a part'), diskParts);
  const index = part === 'meta' ? 0 : words.number('an index');
  const condition = words.option('if');
  if (condition !== undefined && condition !== 'spare') throw new ScriptError(`if=${condition}: expected if=spare`);
  return { type: 'flip', peer, part, index, ifSpare: condition !== undefined };
}
