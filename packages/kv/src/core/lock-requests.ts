/** The parsers of requests about leases and locks. */
import type { RequestContext, ServiceRequest } from '@conclave/actor/core';
import { type Command, ConclaveError, type KvReply, type KvRequest, LeaseId, limits } from '@conclave/protocol';
import { checked, read, writeOne } from './service-request.js';

export const lockParsers = {
  lease_grant: parseLeaseGrant,
  lease_keep: parseLeaseKeep,
  lease_revoke: parseLeaseRevoke,
  lease_get: parseLeaseGet,
  lease_list: parseLeaseList,
  lock: parseLock,
  unlock: parseUnlock,
  lock_get: parseLockGet,
  lock_list: parseLockList,
};

function parseLeaseGrant(body: unknown, context: RequestContext): ServiceRequest {
  const request = checked('lease_grant', body);
  const { ttl_ms } = request;
  return writeOne(
    request,
    context,
    [request.sequence ?? 0, 'lease_grant', ttl_ms],
    ([, lease_id]: readonly ['done', LeaseId, ...unknown[]], { groupUid }): KvReply<'lease_grant'> => ({
      lease_id,
      ttl_ms,
      group_uid: groupUid,
    }),
  );
}

function parseLeaseKeep(body: unknown, context: RequestContext): ServiceRequest {
  const request = checked('lease_keep', body);
  const { lease_id } = request;
  return writeOne(
    request,
    context,
    [request.sequence ?? 0, 'lease_keep', lease_id],
    ([, ttl_ms], { groupUid }): KvReply<'lease_keep'> => ({ lease_id, ttl_ms, group_uid: groupUid }),
  );
}

function parseLeaseRevoke(body: unknown, context: RequestContext): ServiceRequest {
  const request = checked('lease_revoke', body);
  return writeOne(
    request,
    context,
    leaseRevokeCommand(request),
    ([, revision, revoked]): KvReply<'lease_revoke'> => ({ revoked, revision }),
  );
}

function parseLeaseGet(body: unknown): ServiceRequest {
  const { lease_id, start_after = '', limit = limits.rangeKeys, consistency } = checked('lease_get', body);
  const query = { type: 'lease', leaseId: lease_id, startAfter: start_after, limit } as const;
  return read(
    query,
    consistency,
    ({ name, ttlMs, remainingMs, keys, more }): KvReply<'lease_get'> => ({
      lease_id: name,
      ttl_ms: ttlMs,
      remaining_ms: remainingMs,
      keys: [...keys],
      more,
    }),
  );
}

function parseLeaseList(body: unknown): ServiceRequest {
  const { start_after = 0, limit = limits.rangeKeys, consistency } = checked('lease_list', body);
  return read({ type: 'leases', startAfter: start_after, limit }, consistency, (page) => page);
}

function parseLock(body: unknown, context: RequestContext): ServiceRequest {
  const request = checked('lock', body);
  const { name, owner, lease_id, wait = false } = request;
  return writeOne(
    request,
    context,
    [request.sequence ?? 0, 'lock', name, owner, lease_id, wait],
    ([, token, acquired], { groupUid }): KvReply<'lock'> => ({ acquired, token, group_uid: groupUid }),
  );
}

function parseUnlock(body: unknown, context: RequestContext): ServiceRequest {
  const request = checked('unlock', body);
  return writeOne(
    request,
    context,
    unlockCommand(request),
    ([, revision, released]): KvReply<'unlock'> => ({ released, revision }),
  );
}

function parseLockGet(body: unknown): ServiceRequest {
  const { name, consistency } = checked('lock_get', body);
  return read(
    { type: 'lock', name },
    consistency,
    ({ holder, waiting }, { groupUid: group_uid }): KvReply<'lock_get'> => {
      if (holder === null) return { holder, waiting, group_uid };
      return { holder: { owner: holder.owner, lease_id: holder.leaseId, token: holder.token }, waiting, group_uid };
    },
  );
}

function parseLockList(body: unknown): ServiceRequest {
  const { start_after = '', limit = limits.rangeKeys, consistency } = checked('lock_list', body);
  return read({ type: 'locks', startAfter: start_after, limit }, consistency, (page) => page);
}

function leaseRevokeCommand({ sequence = 0, lease_id, force = false }: KvRequest<'lease_revoke'>): Command {
  if (force) return [sequence, 'lease_revoke', lease_id, 'force'];
  const whole = LeaseId.safeParse(lease_id);
  if (whole.success) return [sequence, 'lease_revoke', whole.data];
  throw new ConclaveError('EINVAL', 'lease_id: needs the complete id of the lease, or `force`');
}

function unlockCommand({ sequence = 0, name, token, lease_id, force = false }: KvRequest<'unlock'>): Command {
  const by = force ? 'force' : lease_id;
  return by === undefined ? [sequence, 'unlock', name, token] : [sequence, 'unlock', name, token, by];
}
