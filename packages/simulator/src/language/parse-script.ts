/** The parsers of commands for processes, network, disks, NATS and time: all of a script's but its requests. */
import { stateParts } from '../mesh/corrupted-state.js';
import type { ClientCommand, Command, CutCommand, NetworkCommand, OperatorCommand, ProcessCommand } from './command.js';
import { diskParts, meshOptions, runUntil } from './command.js';
import { given, oneOf, ScriptError, type Tokens } from './tokens.js';

type ScriptVerb = Exclude<Command['type'], ClientCommand['type'] | OperatorCommand['type']>;

export const scriptParsers: Readonly<Record<ScriptVerb, (tokens: Tokens) => Command>> = {
  peers: (tokens) => ({ type: 'peers', peers: tokens.some('a peer'), ...given(tokens.numberOptions(meshOptions)) }),
  network,
  run: (tokens) => {
    const until = tokens.option('until');
    const ms = tokens.number('milliseconds');
    return { type: 'run', ms, ...(until === undefined ? {} : { until: oneOf(until, runUntil) }) };
  },
  crash: ofProcesses('crash'),
  start: ofProcesses('start'),
  pause: ofProcesses('pause'),
  resume: ofProcesses('resume'),
  build: (tokens) => ({
    type: 'build',
    build: oneOf(tokens.next('old or new'), ['old', 'new']),
    targets: tokens.some('who'),
  }),
  'duplicate-node': (tokens) => ({ type: 'duplicate-node', peer: tokens.next('a peer') }),
  skew: (tokens) => ({
    type: 'skew',
    target: tokens.next('an actor'),
    rate: tokens.numberOption('rate') ?? 1,
    offset: tokens.numberOption('offset') ?? 0,
  }),
  cut: (tokens) => cut(tokens.some('who')),
  delay,
  slow: (tokens) => {
    const ms = tokens.numberOption('ms') ?? 0;
    return { type: 'slow', peer: tokens.next('a peer'), ms };
  },
  reconnect: () => ({ type: 'reconnect' }),
  nats,
  'copy-disk': (tokens) => ({ type: 'copy-disk', peer: tokens.next('a peer') }),
  'restore-disk': (tokens) => ({ type: 'restore-disk', peer: tokens.next('a peer') }),
  wipe,
  disk: (tokens) => {
    const peer = tokens.next('a peer');
    const fail = tokens.has('fail');
    return { type: 'disk', peer, ...given(tokens.numberOptions(['delay', 'free'])), fail };
  },
  flip,
  corrupt: (tokens) => ({
    type: 'corrupt',
    peer: tokens.next('a peer'),
    part: oneOf(tokens.next('a part'), stateParts),
  }),
  'reset-survivors': (tokens) => ({
    type: 'reset-survivors',
    alone: tokens.has('alone'),
    ...(tokens.has('now') ? { now: true } : {}),
  }),
  recreate: (tokens) => {
    const isRestored = (tokens.numberOption('backup') ?? 0) > 0;
    return { type: 'recreate', peers: tokens.some('a peer'), ...(isRestored ? { backup: true } : {}) };
  },
  backup: (tokens) => ({ type: 'backup', peer: tokens.next('a peer') }),
  watch: (tokens) => ({ type: 'watch', prefix: tokens.peek() === undefined ? '' : tokens.next('a prefix') }),
  quiesce: () => ({ type: 'quiesce' }),
};

function ofProcesses(type: ProcessCommand['type']): (tokens: Tokens) => ProcessCommand {
  return (tokens) => ({ type, targets: tokens.some('who') });
}

function network(tokens: Tokens): NetworkCommand {
  return { type: 'network', ...given(tokens.numberOptions(['loss', 'repeat', 'delay', 'turn'])) };
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
function delay(tokens: Tokens): Command {
  const ms = tokens.numberOption('ms') ?? 0;
  const first = tokens.next('a message, or an actor');
  if (!tokens.has('->')) return { type: 'delay', message: first, ms };
  return { type: 'delay', from: first, to: tokens.next('an actor'), ms };
}

function nats(tokens: Tokens): Command {
  const state = tokens.next('up or down');
  const server = tokens.next('a server');
  if (state !== 'up' && state !== 'down') throw new ScriptError(`${state} is neither up nor down`);
  return { type: 'nats', state, server };
}

function wipe(tokens: Tokens): Command {
  const peer = tokens.next('a peer');
  const condition = tokens.option('if');
  if (condition === 'held') return { type: 'wipe', peer, ifSpare: false, ifHeld: true };
  if (condition !== undefined && condition !== 'spare')
    throw new ScriptError(`if=${condition}: expected spare or held`);
  return { type: 'wipe', peer, ifSpare: condition === 'spare' };
}

function flip(tokens: Tokens): Command {
  const peer = tokens.next('a peer');
  const part = oneOf(tokens.next('a part'), diskParts);
  const index = part === 'meta' ? 0 : tokens.number('an index');
  const condition = tokens.option('if');
  if (condition !== undefined && condition !== 'spare') throw new ScriptError(`if=${condition}: expected if=spare`);
  return { type: 'flip', peer, part, index, ifSpare: condition !== undefined };
}
