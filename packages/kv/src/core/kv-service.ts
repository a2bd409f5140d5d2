/**
 * The service of the key-value store: parses requests and makes replies.
 *
 * Owns nothing. Checks everything: the state machine applies what it has accepted without another check.
 */
import type { RequestContext, Service, ServiceRequest } from '@conclave/actor/core';
import {
  type ClientId,
  type Command,
  ConclaveError,
  Consistency,
  featureLevel,
  invariant,
  isKvOperation,
  type KeyChange,
  type KvOperation,
  type KvReply,
  kvOperations,
  limits,
  readOperations,
} from '@conclave/protocol';
import { isSessionId, validateCommands, validateKeys } from './fast-validation.js';
import { fitChange, fitReply } from './fit-json.js';
import { type KvResult, validateClient, writeEntry } from './kv-entry.js';
import { entryCommands, eventsOf, isForced } from './lease-commands.js';
import { lockParsers } from './lock-requests.js';
import { checked, read, refuseFor, write, writeOne } from './service-request.js';

export class KvService implements Service {
  /**
   * Parses one request.
   * @param body decoded, not yet checked
   * @throws ConclaveError ENOENT: no such operation; EINVAL: it does not match its schema
   */
  parse(operation: string, body: unknown, context: RequestContext = ofLevel0): ServiceRequest {
    if (!isKvOperation(operation)) throw new ConclaveError('ENOENT', `there is no operation ${operation}`);
    const map = knownAt(context.level, asMap(body));
    const request = parsers[operation](map, context);
    const groupUid = groupUidOf(map);
    return groupUid === undefined ? request : { ...request, groupUid };
  }

  reads(operation: string): boolean {
    return isKvOperation(operation) && readOperations.includes(operation);
  }

  fitReply(operation: string, reply: unknown, maxBytes: number): unknown {
    return fitReply(operation, reply, maxBytes);
  }

  fitChange(change: unknown): unknown {
    return fitChange(change);
  }
}

const ofLevel0: RequestContext = {
  level: 0,
  generateId: () => {
    throw new ConclaveError('EINVAL', 'groups of level 0 generate no ids');
  },
};

const parsers: Readonly<
  Record<KvOperation, (body: Record<string, unknown>, context: RequestContext) => ServiceRequest>
> = {
  batch: parseBatch,
  batch_get: parseBatchGet,
  put: parsePut,
  delete: parseDelete,
  cas: parseCas,
  get: parseGet,
  range: parseRange,
  txn: parseTransaction,
  ...lockParsers,
  open_session: parseOpenSession,
  changes: parseChanges,
  watch: parseWatch,
  unwatch: parseUnwatch,
};

function parseBatch(body: Record<string, unknown>, context: RequestContext): ServiceRequest {
  refuseFor(validateFields(body, batchFields));
  const { commands, client_id, acknowledged } = body;
  refuseFor(validateCommands(commands) ?? validateClient(client_id, acknowledged));
  const requested = commands as readonly Command[];
  // A session of level 0 is a number for current clients, too. They name the history; clients of the first version do not know it.
  const isFirstVersion = typeof client_id === 'number' && body.group_uid === undefined;
  const inLog = entryCommands(requested, context, isFirstVersion);
  const entry = writeEntry(inLog, client_id as ClientId | undefined, acknowledged as number | undefined);
  const events = requested.some(isForced) ? (result: unknown) => eventsOf(requested, result as KvResult) : undefined;
  return write(
    entry,
    (result, { groupUid }) => {
      invariant('results' in result, 'writes have results');
      return { results: result.results, group_uid: groupUid };
    },
    events,
  );
}

function parseBatchGet(body: Record<string, unknown>): ServiceRequest {
  refuseFor(validateFields(body, batchGetFields));
  const { keys, consistency } = body;
  refuseFor(validateKeys(keys));
  const parsed = Consistency.optional().safeParse(consistency);
  if (!parsed.success) throw new ConclaveError('EINVAL', `consistency: one of ${Consistency.options.join(', ')}`);
  return read({ type: 'keys', keys: keys as string[] }, parsed.data, (found, { groupUid }) => ({
    found,
    group_uid: groupUid,
  }));
}

function parseRange(body: unknown): ServiceRequest {
  const { prefix, start_after, limit, keys_only, consistency } = checked('range', body);
  const query = {
    type: 'range',
    prefix,
    startAfter: start_after,
    limit: limit ?? limits.rangeKeys,
    keysOnly: keys_only ?? false,
  } as const;
  return read(query, consistency, (page, { groupUid }) => ({ ...page, group_uid: groupUid }));
}

function parsePut(body: unknown, context: RequestContext): ServiceRequest {
  const request = checked('put', body);
  const { key, value, lease_id, sequence = 0 } = request;
  return writeOne(
    request,
    context,
    lease_id === undefined ? [sequence, 'put', key, value] : [sequence, 'put', key, value, lease_id],
    ([, revision]): KvReply<'put'> => ({ revision }),
  );
}

function parseDelete(body: unknown, context: RequestContext): ServiceRequest {
  const request = checked('delete', body);
  return writeOne(
    request,
    context,
    [request.sequence ?? 0, 'delete', request.key],
    ([, revision, deleted]): KvReply<'delete'> => ({ deleted, revision }),
  );
}

function parseCas(body: unknown, context: RequestContext): ServiceRequest {
  const request = checked('cas', body);
  return writeOne(
    request,
    context,
    [request.sequence ?? 0, 'cas', request.key, request.value, request.expected_revision],
    ([, revision, swapped]): KvReply<'cas'> => ({ swapped, revision }),
  );
}

function parseTransaction(body: unknown, context: RequestContext): ServiceRequest {
  const request = checked('txn', body);
  return writeOne(
    request,
    context,
    [request.sequence ?? 0, 'txn', request.compare, request.then, request.else ?? []],
    ([, revision, succeeded, results]): KvReply<'txn'> => ({ succeeded, revision, results: [...(results ?? [])] }),
  );
}

function parseGet(body: unknown): ServiceRequest {
  const { key, consistency } = checked('get', body);
  return read({ type: 'keys', keys: [key] }, consistency, ([found]): KvReply<'get'> => {
    invariant(found !== undefined, 'a reply has at least one key');
    return { key, value: found[0], revision: found[1] };
  });
}

function parseChanges(body: unknown): ServiceRequest {
  const { prefix, from_revision, limit = limits.watchChanges, consistency } = checked('changes', body);
  const query = { type: 'changes', prefix, from: from_revision, limit } as const;
  return read(query, consistency, ({ first, revision, page }, { groupUid, isStale = false }): KvReply<'changes'> => {
    if (from_revision > revision + 1) throw beyond(from_revision, revision, isStale);
    if (page === undefined) {
      const text = `changes are known from revision ${first} on; the last revision is ${revision}`;
      throw new ConclaveError('ECOMPACTED', text);
    }
    const next_revision = Math.max(page.upTo + 1, from_revision);
    const changes = page.changes as KeyChange[];
    return { changes, more: next_revision <= revision, next_revision, revision, group_uid: groupUid };
  });
}

/** There is no such revision yet. A peer that may lag can only report that it has not reached it. */
function beyond(from: number, revision: number, isStale: boolean): ConclaveError {
  if (isStale) return new ConclaveError('EBUSY', `this peer has reached revision ${revision}, not yet ${from}`);
  return new ConclaveError('EINVAL', `from_revision ${from} is beyond the group's last revision, ${revision}`);
}

function parseWatch(body: unknown): ServiceRequest {
  const { watch_id, prefix, from_revision } = checked('watch', body);
  return {
    type: 'watch',
    watchId: watch_id,
    selector: prefix,
    from: from_revision,
    reply: ({ after, revision, renewMs }, { groupUid }): KvReply<'watch'> => {
      return { after, revision, renew_ms: renewMs, group_uid: groupUid };
    },
  };
}

function parseUnwatch(body: unknown): ServiceRequest {
  const { watch_id } = checked('unwatch', body);
  return { type: 'unwatch', watchId: watch_id, reply: ({ closed }): KvReply<'unwatch'> => ({ closed }) };
}

function parseOpenSession(body: unknown, { level, generateId }: RequestContext): ServiceRequest {
  const { id } = checked('open_session', body);
  const name = level < featureLevel.histories || (id === 'text' ? generateId() : randomNumber(generateId()));
  return write({ open_session: name }, (result, { groupUid }): KvReply<'open_session'> => {
    invariant('client_id' in result, 'a session has a name');
    return { client_id: result.client_id, group_uid: groupUid };
  });
}

const base64url = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Returns the first 53 bits of a random id, as many as a number in JSON can have. */
function randomNumber(id: string): number {
  let number = 0;
  for (const character of id.slice(0, 8)) number = number * 64 + base64url.indexOf(character);
  return number * 32 + (base64url.indexOf(id.charAt(8)) >> 1);
}

function asMap(body: unknown): Record<string, unknown> {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>;
  throw new ConclaveError('EINVAL', 'a request is a map');
}

/** The history that a request names; undefined: none. */
function groupUidOf({ group_uid }: Record<string, unknown>): string | undefined {
  if (group_uid === undefined) return undefined;
  const isId = typeof group_uid === 'string' && group_uid.length <= limits.idBytes;
  if (!isId) throw new ConclaveError('EINVAL', 'group_uid: not the id of a history');
  return group_uid;
}

/** At level 0 sessions are numbers, from 1 on, and entries may hold no others: any other name has no session there. */
function knownAt(level: number, body: Record<string, unknown>): Record<string, unknown> {
  const isUnknown = level < featureLevel.histories && isSessionId(body.client_id);
  return isUnknown ? { ...body, client_id: 0 } : body;
}

/** @returns what is wrong with the fields of a request that is read by hand: an unknown one */
function validateFields(body: Record<string, unknown>, fields: ReadonlySet<string>): string | undefined {
  for (const name in body) if (!fields.has(name)) return `Unrecognized key: "${name}"`;
  return undefined;
}

const batchFields: ReadonlySet<string> = new Set(Object.keys(kvOperations.batch.request.shape));
const batchGetFields: ReadonlySet<string> = new Set(Object.keys(kvOperations.batch_get.request.shape));
