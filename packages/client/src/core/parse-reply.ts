/** Parses the bodies of replies, by hand if they hold a thousand results. Undefined: the body does not match its schema. */
import {
  type AdminCommand,
  adminCommands,
  ClientId,
  type CommandResult,
  type ErrorBody,
  ErrorReply,
  type GroupUid,
  type KeyChange,
  kvOperations,
  LeaseId,
  OperationResult,
  type Value,
} from '@conclave/protocol';
import type { Call, QueryOperation } from './call.js';

/** @returns the error in a reply; `malformed`: it is not a valid error; undefined: there is none */
export function errorOf(body: unknown): ErrorBody | 'malformed' | undefined {
  if (!isMap(body) || body.error === undefined) return undefined;
  const parsed = ErrorReply.safeParse(body);
  return parsed.success ? parsed.data.error : 'malformed';
}

/** The results of a `batch` of these writes. */
export function resultsOf(
  body: unknown,
  writes: readonly { readonly call: Call }[],
): readonly CommandResult[] | undefined {
  if (!isMap(body) || !Array.isArray(body.results) || body.results.length !== writes.length) return undefined;
  if (!body.results.every((result, place) => isResult(result, writes[place]?.call.operation))) return undefined;
  return body.results as CommandResult[];
}

/** The result of a `batch_get` of this many keys: of the first keys, at least one. */
export function foundOf(body: unknown, count: number): readonly (readonly [Value | null, number])[] | undefined {
  if (!isMap(body) || !Array.isArray(body.found)) return undefined;
  if (body.found.length === 0 || body.found.length > count) return undefined;
  for (const found of body.found) if (!isFound(found)) return undefined;
  return body.found as [Value | null, number][];
}

/** The reply to a command, parsed. */
export function adminReplyOf(command: AdminCommand, body: unknown): object | undefined {
  const parsed = adminCommands[command].reply.safeParse(body);
  return parsed.success ? parsed.data : undefined;
}

/** The reply to a query, parsed. Its binary values are copies: decoded bytes are views of the whole message. */
export function queryReplyOf(name: QueryOperation, body: unknown): object | undefined {
  const parsed = kvOperations[name].reply.safeParse(body);
  if (!parsed.success) return undefined;
  // The client itself handles the history.
  const { group_uid: _, ...data } = { group_uid: undefined, ...parsed.data };
  if ('changes' in data) return { ...data, changes: data.changes.map(ownChange) };
  if (!('found' in data)) return data;
  const { found, ...rest } = data;
  return { found: found.map(([key, value, revision]) => [key, ownValue(value), revision]), ...rest };
}

export function ownValue(value: Value | null): Value | null {
  return value instanceof Uint8Array ? new Uint8Array(value) : value;
}

/** A change with its value in its own memory. */
export function ownChange(change: KeyChange): KeyChange {
  if (change[1] === 'delete' || typeof change[3] === 'string') return change;
  const [revision, what, key, value, leaseId] = change;
  const own = ownValue(value) as Uint8Array;
  return leaseId === undefined ? [revision, what, key, own] : [revision, what, key, own, leaseId];
}

export function clientIdOf(body: unknown): ClientId | undefined {
  const parsed = isMap(body) ? ClientId.safeParse(body.client_id) : undefined;
  return parsed?.data;
}

/** The history that a reply names. */
export function groupUidOf(body: unknown): GroupUid | undefined {
  if (!isMap(body) || typeof body.group_uid !== 'string' || body.group_uid === '') return undefined;
  return body.group_uid as GroupUid;
}

function isResult(result: unknown, operation: Call['operation'] | undefined): boolean {
  if (!Array.isArray(result)) return false;
  if (result[0] === 'done') {
    const isTransaction = operation === 'txn';
    const isNumber = operation === 'lease_grant' ? LeaseId.safeParse(result[1]).success : isCount(result[1]);
    if (result.length !== (isTransaction ? 4 : 3) || !isNumber || typeof result[2] !== 'boolean') return false;
    return !isTransaction || (Array.isArray(result[3]) && result[3].every(isOperationResult));
  }
  if (result.length !== 3) return false;
  return (result[0] === 'not_done' || result[0] === 'unknown') && isText(result[1]) && isText(result[2]);
}

function isOperationResult(result: unknown): boolean {
  return OperationResult.safeParse(result).success;
}

function isFound(found: unknown): boolean {
  if (!Array.isArray(found) || found.length !== 2 || !isCount(found[1])) return false;
  return found[0] === null || isText(found[0]) || found[0] instanceof Uint8Array;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
