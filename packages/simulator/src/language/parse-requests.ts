/** The parsers of requests: a client's calls, an operator's commands, and requests that are sent once. */
import { Consistency } from '@conclave/protocol';
import type { ClientCommand, OperatorCommand } from './command.js';
import type { AnsweredRequest, AskCommand, PlainRequest } from './scenario-command.js';
import { asNumber, given, oneOf, ScriptError, Tokens } from './tokens.js';

type RequestVerb = OperatorCommand['type'] | PlainRequest['operation'];

export const requestParsers: Readonly<Record<RequestVerb, (tokens: Tokens) => OperatorCommand | PlainRequest>> = {
  bootstrap: (tokens) => {
    const [at, peers] = [tokens.next('a peer'), tokens.some('a peer')];
    const isNew = tokens.option('new') === 'yes' ? { isNew: true } : {};
    return { type: 'bootstrap', at, peers, ...timeout(tokens), ...isNew };
  },
  reset: (tokens) => ({ type: 'reset', at: tokens.next('a peer'), peers: tokens.some('a peer') }),
  change: (tokens) => ({ type: 'change', peers: tokens.some('a peer'), ...timeout(tokens) }),
  add: (tokens) => ({ type: 'add', peer: tokens.next('a peer'), ...timeout(tokens) }),
  remove: (tokens) => ({ type: 'remove', peer: tokens.next('a peer'), ...timeout(tokens) }),
  cancel: () => ({ type: 'cancel' }),
  raise: () => ({ type: 'raise' }),
  'read-only': (tokens) => {
    const peer = tokens.next('a peer');
    return { type: 'read-only', peer, on: oneOf(tokens.next('on or off'), ['on', 'off']) === 'on' };
  },
  snapshot: (tokens) => ({ type: 'snapshot', peer: tokens.next('a peer') }),
  transfer: (tokens) => {
    const [peer] = tokens.peek() === undefined ? [] : [tokens.next('a peer')];
    return { type: 'transfer', ...given({ peer }) };
  },
  put: (tokens) => {
    const key = tokens.next('a key');
    return { type: 'plain', operation: 'put', key, value: tokens.next('a value'), by: undefined };
  },
  get: (tokens) => {
    const key = tokens.next('a key');
    const by = tokens.after('by');
    return { type: 'plain', operation: 'get', key, value: '', by: by === undefined ? by : consistency(by) };
  },
};

function timeout(tokens: Tokens): { timeout?: number } {
  return given({ timeout: tokens.numberOption('timeout') });
}

function consistency(word: string): PlainRequest['by'] {
  return oneOf(word, Consistency.options);
}

/** @throws ScriptError if the words are no command, or a command that gets no reply */
export function parseRequest([first = '', ...others]: readonly string[]): AnsweredRequest {
  if (isClient(first)) return parseClientCall(first, others);
  if (!isRequestVerb(first)) throw new ScriptError(`${first} is no request, and gets no reply`);
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
  const tokens = new Tokens(others, false);
  const parsed = clientCall(client, tokens);
  tokens.end();
  return parsed;
}

function clientCall(client: string, tokens: Tokens): ClientCommand {
  const type = 'client';
  const operation = tokens.next('an operation');
  const key = tokens.next('a key');
  switch (operation) {
    case 'put':
      return {
        type,
        client,
        operation,
        key,
        value: tokens.next('a value'),
        ...given({ lease: tokens.after('lease') }),
      };
    case 'grant':
      return { type, client, operation, key, ttl: tokens.number('milliseconds') };
    case 'get': {
      const at = tokens.after('at');
      const by = tokens.after('by');
      return { type, client, operation, key, at, by: by === undefined ? by : oneOf(by, ['quorum', 'lease'] as const) };
    }
    case 'delete':
    case 'lock':
    case 'unlock':
    case 'keep':
    case 'revoke':
      return { type, client, operation, key };
    case 'cas':
      return { type, client, operation, key, revision: revision(tokens), value: tokens.next('a value') };
    case 'txn': {
      const other = tokens.next('another key');
      return { type, client, operation, key, other, revision: revision(tokens), value: tokens.next('a value') };
    }
    default:
      throw new ScriptError(`there is no operation ${operation}`);
  }
}

function revision(tokens: Tokens): number | 'last' {
  const word = tokens.next('a revision');
  return word === 'last' ? word : asNumber(word, 'revision');
}
