/** The body of a request, from the calls that it holds. */
import { type Command, invariant, type LeaseId } from '@conclave/protocol';
import type { ReadCall, WriteCall } from './call.js';
import type { ClientRequest, OpenCall } from './client-request.js';

export function bodyOf(request: ClientRequest, calls: readonly OpenCall[]): Readonly<Record<string, unknown>> {
  const body = contentOf(request, calls);
  return request.groupUid === undefined ? body : { group_uid: request.groupUid, ...body };
}

function contentOf(request: ClientRequest, calls: readonly OpenCall[]): Readonly<Record<string, unknown>> {
  const first = calls[0]?.call;
  switch (request.kind) {
    case 'session':
      return { id: 'text' };
    case 'admin':
      invariant(first?.operation === 'admin', 'a command is a request of its own');
      return first.body as Record<string, unknown>;
    case 'read': {
      invariant(first?.operation === 'get', 'a request of reads holds reads');
      const { consistency, peerId } = first;
      const keys = calls.map(({ call }) => (call as ReadCall).key);
      const requested = consistency ?? (peerId === undefined ? undefined : 'stale');
      return requested === undefined ? { keys } : { keys, consistency: requested };
    }
    case 'query': {
      invariant(first?.operation === 'query', 'a query is sent in its own request');
      const requested = first.body.consistency ?? (first.peerId === undefined ? undefined : 'stale');
      return requested === undefined ? first.body : { ...first.body, consistency: requested };
    }
    case 'write': {
      const commands = calls.map(commandOf);
      if (request.session === undefined) return { commands };
      const { clientId, acknowledged } = request.session;
      return { client_id: clientId, acknowledged, commands };
    }
  }
}

function commandOf({ sequence, call }: OpenCall): Command {
  const write = call as WriteCall;
  switch (write.operation) {
    case 'put':
      return write.leaseId === undefined
        ? [sequence, 'put', write.key, write.value]
        : [sequence, 'put', write.key, write.value, write.leaseId];
    case 'txn':
      return [sequence, 'txn', [...write.compare], [...write.operations], [...write.otherwise]];
    case 'lease_grant':
      return [sequence, 'lease_grant', write.ttlMs];
    case 'lease_keep':
      return [sequence, 'lease_keep', write.leaseId];
    case 'lease_revoke':
      return write.force === true
        ? [sequence, 'lease_revoke', write.leaseId, 'force']
        : [sequence, 'lease_revoke', write.leaseId as LeaseId];
    case 'lock':
      return [sequence, 'lock', write.name, write.owner, write.leaseId, write.wait];
    case 'unlock':
      return unlockCommand(sequence, write);
    case 'delete':
      return [sequence, 'delete', write.key];
    case 'cas':
      return [sequence, 'cas', write.key, write.value, write.expectedRevision];
  }
}

function unlockCommand(
  sequence: number,
  { name, token, leaseId, force }: Extract<WriteCall, { readonly operation: 'unlock' }>,
): Command {
  const by = force === true ? 'force' : leaseId;
  return by === undefined ? [sequence, 'unlock', name, token] : [sequence, 'unlock', name, token, by];
}
