/** Parses a line of text to a command. */
import { stateParts } from '../mesh/flipped-state.js';
import {
  type Command,
  type CutCommand,
  type DiskPart,
  diskParts,
  meshOptions,
  type RunUntil,
  runUntil,
} from './command.js';
import { asNumber, oneOf, ScriptError, Tokens } from './tokens.js';

const clientPattern = /^c\d+$/;

/**
 * Returns the command of one line.
 * @throws ScriptError that says what is wrong with it
 */
export function parseCommand(line: string): Command {
  const [first = '', ...others] = line.trim().split(/\s+/);
  if (clientPattern.test(first)) return clientCommand(first, new Tokens(others, false));
  const words = new Tokens(others);
  const command = commandOf(first, words);
  words.end();
  return command;
}

function commandOf(first: string, words: Tokens): Command {
  switch (first) {
    case 'peers':
      return {
        type: first,
        peers: words.some('a peer'),
        ...given(numbers(words, meshOptions)),
      };
    case 'network':
      return { type: first, ...given(numbers(words, ['loss', 'repeat', 'delay', 'turn'])) };
    case 'run':
      return { type: first, ms: words.number('milliseconds'), ...given({ until: until(words) }) };
    case 'crash':
    case 'start':
    case 'pause':
    case 'resume':
      return { type: first, targets: words.some('who') };
    case 'build':
      return { type: first, build: oneOf(words.next('old or new'), ['old', 'new']), targets: words.some('who') };
    case 'duplicate-node':
      return { type: first, peer: words.next('a peer') };
    case 'skew':
      return {
        type: first,
        target: words.next('an actor'),
        rate: words.numberOption('rate') ?? 1,
        offset: words.numberOption('offset') ?? 0,
      };
    case 'cut':
      return cut(words.some('who'));
    case 'delay':
      return delay(words);
    case 'nats':
      return nats(words.next('up or down'), words.next('a server'));
    case 'reset-survivors':
      return { type: first, alone: isNext(words, 'alone'), ...(isNext(words, 'now') ? { now: true } : {}) };
    case 'recreate':
      return recreate(words);
    case 'backup':
      return { type: first, peer: words.next('a peer') };
    case 'watch':
      return { type: first, prefix: words.peek() === undefined ? '' : words.next('a prefix') };
    case 'reconnect':
    case 'quiesce':
    case 'cancel':
    case 'raise':
      return { type: first };
    default:
      return diskCommandOf(first, words);
  }
}

function recreate(words: Tokens): Command {
  const isRestored = (words.numberOption('backup') ?? 0) > 0;
  return { type: 'recreate', peers: words.some('a peer'), ...(isRestored ? { backup: true } : {}) };
}

function diskCommandOf(first: string, words: Tokens): Command {
  switch (first) {
    case 'copy-disk':
    case 'restore-disk':
      return { type: first, peer: words.next('a peer') };
    case 'wipe':
      return { type: first, peer: words.next('a peer'), ...wipeCondition(words) };
    case 'disk': {
      const peer = words.next('a peer');
      const fail = words.peek() === 'fail' && words.next('fail') === 'fail';
      return { type: first, peer, ...given(numbers(words, ['delay', 'free'])), fail };
    }
    case 'flip': {
      const peer = words.next('a peer');
      const part = words.next('a part');
      if (!isDiskPart(part)) throw new ScriptError(`${part} is none of ${diskParts.join(', ')}`);
      const index = part === 'meta' ? 0 : words.number('an index');
      return { type: first, peer, part, index, ifSpare: ifSpare(words) };
    }
    case 'corrupt': {
      const peer = words.next('a peer');
      const part = words.next('a part');
      if (part !== 'key' && part !== 'lock') throw new ScriptError(`${part} is none of ${stateParts.join(', ')}`);
      return { type: first, peer, part };
    }
    default:
      return operatorCommandOf(first, words);
  }
}

function operatorCommandOf(first: string, words: Tokens): Command {
  const timeout = (): { timeout?: number } => given({ timeout: words.numberOption('timeout') });
  switch (first) {
    case 'bootstrap': {
      const [at, peers] = [words.next('a peer'), words.some('a peer')];
      const isNew = words.option('new') === 'yes' ? { isNew: true } : {};
      return { type: first, at, peers, ...timeout(), ...isNew };
    }
    case 'reset':
      return { type: first, at: words.next('a peer'), peers: words.some('a peer') };
    case 'change':
      return { type: first, peers: words.some('a peer'), ...timeout() };
    case 'add':
    case 'remove':
      return { type: first, peer: words.next('a peer'), ...timeout() };
    case 'read-only': {
      const peer = words.next('a peer');
      return { type: first, peer, on: oneOf(words.next('on or off'), ['on', 'off']) === 'on' };
    }
    case 'snapshot':
      return { type: first, peer: words.next('a peer') };
    case 'transfer': {
      const [peer] = words.peek() === undefined ? [] : [words.next('a peer')];
      return { type: first, ...given({ peer }) };
    }
    default:
      throw new ScriptError(`there is no command ${first}`);
  }
}

function clientCommand(client: string, words: Tokens): Command {
  const operation = words.next('an operation');
  const key = words.next('a key');
  const parsed = ((): Command => {
    switch (operation) {
      case 'put':
        return {
          type: 'client',
          client,
          operation,
          key,
          value: words.next('a value'),
          ...given({ lease: after(words, 'lease') }),
        };
      case 'grant':
        return { type: 'client', client, operation, key, ttl: words.number('milliseconds') };
      case 'get':
        return { type: 'client', client, operation, key, at: after(words, 'at'), by: by(words) };
      case 'delete':
      case 'lock':
      case 'unlock':
      case 'keep':
      case 'revoke':
        return { type: 'client', client, operation, key };
      case 'cas':
        return { type: 'client', client, operation, key, revision: revision(words), value: words.next('a value') };
      case 'txn': {
        const other = words.next('another key');
        return {
          type: 'client',
          client,
          operation,
          key,
          other,
          revision: revision(words),
          value: words.next('a value'),
        };
      }
      default:
        throw new ScriptError(`there is no operation ${operation}`);
    }
  })();
  words.end();
  return parsed;
}

function revision(words: Tokens): number | 'last' {
  const word = words.next('a revision');
  return word === 'last' ? word : asNumber(word, 'revision');
}

/** Returns the token after this word; undefined: the word is not there. */
function after(words: Tokens, word: string): string | undefined {
  if (words.peek() !== word) return undefined;
  words.next(word);
  return words.next(`what is ${word}`);
}

function by(words: Tokens): 'quorum' | 'lease' | undefined {
  const word = after(words, 'by');
  return word === undefined ? undefined : oneOf(word, ['quorum', 'lease'] as const);
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
  if (!isNext(words, '->')) return { type: 'delay', message: first, ms };
  return { type: 'delay', from: first, to: words.next('an actor'), ms };
}

function until(words: Tokens): RunUntil | undefined {
  const what = words.option('until');
  return what === undefined ? undefined : oneOf(what, runUntil);
}

/** Consumes the word if it is the next token. */
function isNext(words: Tokens, word: string): boolean {
  return words.peek() === word && words.next(word) === word;
}

function nats(state: string, server: string): Command {
  if (state !== 'up' && state !== 'down') throw new ScriptError(`${state} is neither up nor down`);
  return { type: 'nats', state, server };
}

function wipeCondition(words: Tokens): { ifSpare: boolean; ifHeld?: true } {
  const condition = words.option('if');
  if (condition === 'held') return { ifSpare: false, ifHeld: true };
  if (condition !== undefined && condition !== 'spare')
    throw new ScriptError(`if=${condition}: expected spare or held`);
  return { ifSpare: condition === 'spare' };
}

function ifSpare(words: Tokens): boolean {
  const condition = words.option('if');
  if (condition !== undefined && condition !== 'spare') throw new ScriptError(`if=${condition}: expected if=spare`);
  return condition !== undefined;
}

function isDiskPart(word: string): word is DiskPart {
  return (diskParts as readonly string[]).includes(word);
}

function numbers<N extends string>(words: Tokens, names: readonly N[]): Partial<Record<N, number | undefined>> {
  return Object.fromEntries(names.map((name) => [name, words.numberOption(name)])) as Partial<Record<N, number>>;
}

/** Returns the options without undefined ones, so that a formatted command is parsed to an equal one. */
function given<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
