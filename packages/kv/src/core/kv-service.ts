/**
 * The door of the key-value store: understands requests and makes replies.
 *
 * Owns nothing. Checks everything: what it lets pass, the state machine applies without another look.
 */
import type { RequestContext, Service, ServiceRequest } from '@conclave/actor/core';
import {
  type Command,
  ConclaveError,
  Consistency,
  invariant,
  isKvOperation,
  type KeyChange,
  type KvOperation,
  type KvReply,
  type KvRequest,
  kvOperations,
  limits,
} from '@conclave/protocol';
import { faultOfCommands, faultOfKeys } from './check.js';
import {
  encodeEntry,
  faultOfClient,
  type KvCommandResult,
  type KvEntry,
  type KvResult,
  writeEntry,
} from './kv-entry.js';
import type { KvFindings, KvQuery } from './kv-query.js';

type DoneResult = Extract<KvCommandResult, readonly ['done', ...unknown[]]>;

export class KvService implements Service {
  /**
   * Understands one request.
   * @param body decoded, not yet checked.
   * @throws ConclaveError ENOENT: no such operation; EINVAL: not what its schema asks for.
   */
  parse(operation: string, body: unknown, _context?: RequestContext): ServiceRequest {
    if (!isKvOperation(operation)) throw new ConclaveError('ENOENT', `there is no operation ${operation}`);
    switch (operation) {
      case 'batch':
        return parseBatch(body);
      case 'batch_get':
        return parseBatchGet(body);
      case 'put':
        return parsePut(body);
      case 'delete':
        return parseDelete(body);
      case 'cas':
        return parseCas(body);
      case 'get':
        return parseGet(body);
      case 'range':
        return parseRange(body);
      case 'txn':
        return parseTransaction(body);
      case 'lease_grant':
        return parseLeaseGrant(body);
      case 'lease_keep':
        return parseLeaseKeep(body);
      case 'lease_revoke':
        return parseLeaseRevoke(body);
      case 'lease_get':
        return parseLeaseGet(body);
      case 'lease_list':
        return parseLeaseList(body);
      case 'lock':
        return parseLock(body);
      case 'unlock':
        return parseUnlock(body);
      case 'lock_get':
        return parseLockGet(body);
      case 'open_session':
        return parseOpenSession(body);
      case 'changes':
        return parseChanges(body);
      case 'watch':
        return parseWatch(body);
    }
  }
}

function parseBatch(body: unknown): ServiceRequest {
  const { commands, client_id, acknowledged } = asMap(body);
  refuseFor(faultOfCommands(commands) ?? faultOfClient(client_id, acknowledged));
  const entry = writeEntry(commands as Command[], client_id as number | undefined, acknowledged as number | undefined);
  return write(entry, (result) => {
    invariant('results' in result, 'writes have results');
    return { results: result.results };
  });
}

function parseBatchGet(body: unknown): ServiceRequest {
  const { keys, consistency } = asMap(body);
  refuseFor(faultOfKeys(keys));
  const asked = Consistency.optional().safeParse(consistency);
  if (!asked.success) throw new ConclaveError('EINVAL', `consistency: one of ${Consistency.options.join(', ')}`);
  return read({ type: 'keys', keys: keys as string[] }, asked.data, (found) => ({ found }));
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
  return read(query, consistency, (page) => page);
}

function parsePut(body: unknown): ServiceRequest {
  const request = checked('put', body);
  const { key, value, lease_id, sequence = 0 } = request;
  return writeOne(
    request,
    lease_id === undefined ? [sequence, 'put', key, value] : [sequence, 'put', key, value, lease_id],
    ([, revision]): KvReply<'put'> => ({ revision }),
  );
}

function parseDelete(body: unknown): ServiceRequest {
  const request = checked('delete', body);
  return writeOne(
    request,
    [request.sequence ?? 0, 'delete', request.key],
    ([, revision, deleted]): KvReply<'delete'> => ({ deleted, revision }),
  );
}

function parseCas(body: unknown): ServiceRequest {
  const request = checked('cas', body);
  return writeOne(
    request,
    [request.sequence ?? 0, 'cas', request.key, request.value, request.expected_revision],
    ([, revision, swapped]): KvReply<'cas'> => ({ swapped, revision }),
  );
}

function parseTransaction(body: unknown): ServiceRequest {
  const request = checked('txn', body);
  return writeOne(
    request,
    [request.sequence ?? 0, 'txn', request.compare, request.then, request.else ?? []],
    ([, revision, succeeded, results]): KvReply<'txn'> => ({ succeeded, revision, results: [...(results ?? [])] }),
  );
}

function parseLeaseGrant(body: unknown): ServiceRequest {
  const request = checked('lease_grant', body);
  const { ttl_ms } = request;
  return writeOne(
    request,
    [request.sequence ?? 0, 'lease_grant', ttl_ms],
    ([, lease_id]): KvReply<'lease_grant'> => ({ lease_id, ttl_ms }),
  );
}

function parseLeaseKeep(body: unknown): ServiceRequest {
  const request = checked('lease_keep', body);
  const { lease_id } = request;
  return writeOne(
    request,
    [request.sequence ?? 0, 'lease_keep', lease_id],
    ([, ttl_ms]): KvReply<'lease_keep'> => ({ lease_id, ttl_ms }),
  );
}

function parseLeaseRevoke(body: unknown): ServiceRequest {
  const request = checked('lease_revoke', body);
  return writeOne(
    request,
    [request.sequence ?? 0, 'lease_revoke', request.lease_id],
    ([, revision, revoked]): KvReply<'lease_revoke'> => ({ revoked, revision }),
  );
}

function parseLeaseGet(body: unknown): ServiceRequest {
  const { lease_id, start_after = '', limit = limits.rangeKeys, consistency } = checked('lease_get', body);
  const query = { type: 'lease', leaseId: lease_id, startAfter: start_after, limit } as const;
  return read(query, consistency, ({ ttlMs, keys, more }) => ({ lease_id, ttl_ms: ttlMs, keys, more }));
}

function parseLeaseList(body: unknown): ServiceRequest {
  const { start_after = 0, limit = limits.rangeKeys, consistency } = checked('lease_list', body);
  return read({ type: 'leases', startAfter: start_after, limit }, consistency, (page) => page);
}

function parseLock(body: unknown): ServiceRequest {
  const request = checked('lock', body);
  const { name, owner, lease_id, wait = false } = request;
  return writeOne(
    request,
    [request.sequence ?? 0, 'lock', name, owner, lease_id, wait],
    ([, token, acquired]): KvReply<'lock'> => ({ acquired, token }),
  );
}

function parseUnlock(body: unknown): ServiceRequest {
  const request = checked('unlock', body);
  return writeOne(
    request,
    [request.sequence ?? 0, 'unlock', request.name, request.token],
    ([, revision, released]): KvReply<'unlock'> => ({ released, revision }),
  );
}

function parseLockGet(body: unknown): ServiceRequest {
  const { name, consistency } = checked('lock_get', body);
  return read({ type: 'lock', name }, consistency, ({ holder, waiting }): KvReply<'lock_get'> => {
    if (holder === null) return { holder, waiting };
    return { holder: { owner: holder.owner, lease_id: holder.leaseId, token: holder.token }, waiting };
  });
}

function parseGet(body: unknown): ServiceRequest {
  const { key, consistency } = checked('get', body);
  return read({ type: 'keys', keys: [key] }, consistency, ([found]): KvReply<'get'> => {
    invariant(found !== undefined, 'the first key is answered in any case');
    return { key, value: found[0], revision: found[1] };
  });
}

function parseChanges(body: unknown): ServiceRequest {
  const { prefix, from_revision, limit = limits.watchChanges, consistency } = checked('changes', body);
  const query = { type: 'changes', prefix, from: from_revision, limit } as const;
  return read(query, consistency, ({ first, revision, page }): KvReply<'changes'> => {
    if (page === undefined) {
      const text = `what has changed is known from revision ${first} on; the last one is ${revision}`;
      throw new ConclaveError('ECOMPACTED', text);
    }
    const next_revision = Math.max(page.upTo + 1, from_revision);
    return { changes: page.changes as KeyChange[], more: next_revision <= revision, next_revision, revision };
  });
}

function parseWatch(body: unknown): ServiceRequest {
  const { watch_id, prefix, from_revision } = checked('watch', body);
  return {
    type: 'watch',
    watchId: watch_id,
    selector: prefix,
    from: from_revision,
    reply: ({ after, revision, renewMs }): KvReply<'watch'> => ({ after, revision, renew_ms: renewMs }),
  };
}

function parseOpenSession(body: unknown): ServiceRequest {
  checked('open_session', body);
  return write({ open_session: true }, (result): KvReply<'open_session'> => {
    invariant('client_id' in result, 'a session has a name');
    return { client_id: result.client_id };
  });
}

function write(entry: KvEntry, reply: (result: KvResult) => unknown): ServiceRequest {
  const payload = encodeEntry(entry);
  if (payload.length > limits.entryBytes) {
    throw new ConclaveError('EINVAL', `a request has at most ${limits.entryBytes} bytes`);
  }
  return {
    type: 'write',
    payload,
    command: entry,
    reply: (result) => {
      const kvResult = result as KvResult;
      if ('refused' in kvResult) throw new ConclaveError('EINVAL', kvResult.refused);
      return reply(kvResult);
    },
  };
}

function writeOne(
  once: {
    readonly client_id?: number | undefined;
    readonly sequence?: number | undefined;
    acknowledged?: number | undefined;
  },
  command: Command,
  reply: (result: DoneResult) => unknown,
): ServiceRequest {
  if ((once.client_id === undefined) !== (once.sequence === undefined)) {
    throw new ConclaveError('EINVAL', 'client_id and sequence go together');
  }
  return write(writeEntry([command], once.client_id, once.acknowledged), (result) => {
    invariant('results' in result && result.results[0] !== undefined, 'a write has a result');
    const [only] = result.results;
    if (only[0] === 'done') return reply(only);
    throw new ConclaveError(only[1], only[2], only[0]);
  });
}

function read<Query extends KvQuery>(
  query: Query,
  consistency: Consistency | undefined,
  reply: (found: KvFindings[Query['type']]) => unknown,
): ServiceRequest {
  return {
    type: 'read',
    consistency,
    query,
    reply: (found) => reply(found as KvFindings[Query['type']]),
  };
}

function asMap(body: unknown): Record<string, unknown> {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>;
  throw new ConclaveError('EINVAL', 'a request is a map');
}

function refuseFor(fault: string | undefined): void {
  if (fault !== undefined) throw new ConclaveError('EINVAL', fault);
}

function checked<O extends KvOperation>(operation: O, body: unknown): KvRequest<O> {
  const parsed = kvOperations[operation].request.safeParse(body);
  if (parsed.success) return parsed.data as KvRequest<O>;
  const [issue] = parsed.error.issues;
  throw new ConclaveError('EINVAL', `${issue?.path.join('.') || 'the request'}: ${issue?.message}`);
}
