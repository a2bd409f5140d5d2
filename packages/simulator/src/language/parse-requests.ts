/** The parsers of requests: a client's calls, an operator's commands, and requests that are sent once. */
import { Consistency } from '@conclave/protocol';
import type { ClientCommand, OperatorCommand } from './command.js';
import type { AnsweredRequest, AskCommand, PlainRequest } from './scenario-command.js';
import { asNumber, given, oneOf, ScriptError, Tokens } from './tokens.js';

type RequestVerb = OperatorCommand['type'] | PlainRequest['operation'];

export const requestParsers: Readonly<Record<RequestVerb, (words: Tokens) => OperatorCommand | PlainRequest>> = {
  bootstrap: (words) => {
    const [at, peers] = [words.next('a peer'), words.some('a peer')];
    const isNew = words.option('new') === 'yes' ? { isNew: true } : {};
    return { type: 'bootstrap', at, peers, ...timeout(words), ...isNew };
  },
  reset: (words) => ({ type: 'reset', at: words.next('a peer'), peers: words.some('a peer') }),
  change: (words) => ({ type: 'change', peers: words.some('a peer'), ...timeout(words) }),
  add: (words) => ({ type: 'add', peer: words.next('a peer'), ...timeout(words) }),
  remove: (words) => ({ type: 'remove', peer: words.next('a peer'), ...timeout(words) }),
  cancel: () => ({ type: 'cancel' }),
  raise: () => ({ type: 'raise' }),
  'read-only': (words) => {
    const peer = words.next('a peer');
    return { type: 'read-only', peer, on: oneOf(words.next('on or off'), ['on', 'off']) === 'on' };
  },
  snapshot: (words) => ({ type: 'snapshot', peer: words.next('a peer') }),
  transfer: (words) => {
    const [peer] = words.peek() === undefined ? [] : [words.next('a peer')];
    return { type: 'transfer', ...given({ peer }) };
  },
  put: (words) => {
    const key = words.next('a key');
    return { type: 'plain', operation: 'put', key, value: words.next('a value'), by: undefined };
  },
  get: (words) => {
    const key = words.next('a key');
    const by = words.after('by');
    return { type: 'plain', operation: 'get', key, value: '', by: by === undefined ? by : consistency(by) };
  },
};

function timeout(words: Tokens): { timeout?: number } {
  return given({ timeout: words.numberOption('timeout') });
}

function consistency(word: string): PlainRequest['by'] {
  return oneOf(word, Consistency.options);
}

/** @throws ScriptError if the words are no command, or one that is not answered */
export function parseRequest([first = '', ...others]: readonly string[]): AnsweredRequest {
  if (isClient(first)) return parseClientCall(first, others);
  if (!isRequestVerb(first)) throw new ScriptError(`${first} is not answered`);
  return Tokens.parseAll(others, requestParsers[first]);
}

/** Parses what follows `ask`: a peer, and the request to it. */
export function parseAsk([peer, ...what]: readonly string[]): AskCommand {
  if (peer === undefined || what.length === 0) throw new ScriptError('expected a peer, and what it is asked');
  const request = parseRequest(what);
  if (request.type === 'client') throw new ScriptError('a client chooses its peer itself');
  return { type: 'ask', peer, what: request };
}

function isRequestVerb(word: string): word is RequestVerb {
  return Object.hasOwn(requestParsers, word);
}

// ---- clients -------------------------------------------------------------------------------------

/** Whether a word names a client: `c1`. */
export function isClient(word: string): boolean {
  return /^c\d+$/.test(word);
}

/** Parses what follows the client's name. Values may contain a `=`. */
export function parseClientCall(client: string, others: readonly string[]): ClientCommand {
  const words = new Tokens(others, false);
  const parsed = clientCall(client, words);
  words.end();
  return parsed;
}

function clientCall(client: string, words: Tokens): ClientCommand {
  const type = 'client';
  const operation = words.next('an operation');
  const key = words.next('a key');
  switch (operation) {
    case 'put':
      return { type, client, operation, key, value: words.next('a value'), ...given({ lease: words.after('lease') }) };
    case 'grant':
      return { type, client, operation, key, ttl: words.number('milliseconds') };
    case 'get': {
      const at = words.after('at');
      const by = words.after('by');
      return { type, client, operation, key, at, by: by === undefined ? by : oneOf(by, ['quorum', 'lease'] as const) };
    }
    case 'delete':
    case 'lock':
    case 'unlock':
    case 'keep':
    case 'revoke':
      return { type, client, operation, key };
    case 'cas':
      return { type, client, operation, key, revision: revision(words), value: words.next('a value') };
    case 'txn': {
      const other = words.next('another key');
      return { type, client, operation, key, other, revision: revision(words), value: words.next('a value') };
    }
    default:
      throw new ScriptError(`there is no operation ${operation}`);
  }
}

function revision(words: Tokens): number | 'last' {
  const word = words.next('a revision');
  return word === 'last' ? word : asNumber(word, 'revision');
}
