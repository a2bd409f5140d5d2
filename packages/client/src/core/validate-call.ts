/** Checks calls before they are sent: a call that the group would refuse must not fail others in its request. */
import {
  type AdminCommand,
  adminCommands,
  ConclaveError,
  defaultTimes,
  type ErrorBody,
  formatIssues,
  isWellFormed,
  kvOperations,
  LeaseId,
  limits,
  readCommands,
  type SchemaIssue,
  type Value,
} from '@conclave/protocol';
import type { Call } from './call.js';

/** About the frame of one command in a request. */
const commandOverheadBytes = 24;

type TransactionCall = Extract<Call, { readonly operation: 'txn' }>;

type KeyCall = Extract<Call, { readonly key: string }>;

/** The part of a schema's result that is used. */
interface Parsed {
  readonly error?: { readonly issues: readonly SchemaIssue[] };
}

/** Commands with their own deadline, that of a membership change. */
const changingCommands: readonly AdminCommand[] = ['add_peer', 'remove_peer', 'change_peers', 'bootstrap'];

/** @returns about how many bytes the call takes in a request, or why it must not be sent */
export function sizeOrError(call: Call): number | ErrorBody {
  switch (call.operation) {
    case 'admin':
      return validationError(adminCommands[call.command].request.safeParse(call.body)) ?? 0;
    case 'query': {
      return validationError(kvOperations[call.name].request.safeParse(call.body)) ?? 0;
    }
    case 'txn':
      return sizeOfTransaction(call);
    case 'lease_grant':
      return sizeOfSmall(kvOperations.lease_grant.request.safeParse({ ttl_ms: call.ttlMs }));
    case 'lease_keep':
      return sizeOfSmall(kvOperations.lease_keep.request.safeParse({ lease_id: call.leaseId }));
    case 'lease_revoke':
      return sizeOfSmall(LeaseId.safeParse(call.leaseId));
    case 'lock': {
      const { name, owner, leaseId, wait } = call;
      return sizeOfSmall(kvOperations.lock.request.safeParse({ name, owner, lease_id: leaseId, wait }));
    }
    case 'unlock': {
      const { name, token, leaseId } = call;
      return sizeOfSmall(kvOperations.unlock.request.safeParse({ name, token, lease_id: leaseId }));
    }
    default:
      return sizeOfKeyCall(call);
  }
}

/** Of calls with a name and an owner at most. */
function sizeOfSmall(parsed: Parsed): number | ErrorBody {
  return validationError(parsed) ?? limits.keyBytes + limits.ownerBytes + commandOverheadBytes;
}

function sizeOfKeyCall(call: KeyCall): number | ErrorBody {
  const keyBytes = textBytes(call.key);
  if (!(keyBytes > 0 && keyBytes <= limits.keyBytes)) return invalid(`a key is text of 1 to ${limits.keyBytes} bytes`);
  if (call.operation === 'get' || call.operation === 'delete') return keyBytes + commandOverheadBytes;
  const valueBytes = call.value instanceof Uint8Array ? call.value.length : textBytes(call.value);
  if (!(valueBytes <= limits.valueBytes))
    return invalid(`a value is text or binary of up to ${limits.valueBytes} bytes`);
  if (call.operation === 'cas' && !isWholeNumber(call.expectedRevision, 0)) {
    return invalid('a revision is a whole number, 0 or above');
  }
  if (call.operation === 'put' && call.leaseId !== undefined && !LeaseId.safeParse(call.leaseId).success) {
    return invalid('the id of a lease is a whole number, 1 or above, or <public>.<secret>');
  }
  return keyBytes + valueBytes + commandOverheadBytes;
}

function isWholeNumber(value: number, min: number): boolean {
  return Number.isSafeInteger(value) && value >= min;
}

function sizeOfTransaction({ compare, operations, otherwise }: TransactionCall): number | ErrorBody {
  const fault = validationError(kvOperations.txn.request.safeParse({ compare, then: operations, else: otherwise }));
  if (fault !== undefined) return fault;
  let bytes = commandOverheadBytes;
  for (const part of [...compare, ...operations, ...otherwise]) {
    for (const item of part) bytes += typeof item === 'number' ? 9 : lengthOf(item) + 5;
  }
  return bytes <= limits.entryBytes ? bytes : invalid(`a transaction has at most ${limits.entryBytes} bytes`);
}

function lengthOf(value: Value): number {
  return typeof value === 'string' ? Buffer.byteLength(value) : value.length;
}

function validationError(parsed: Parsed): ErrorBody | undefined {
  if (parsed.error === undefined) return undefined;
  return invalid(formatIssues(parsed.error.issues));
}

/** NaN, with which no comparison holds, if it is not a well-formed text; callers may ignore types. */
function textBytes(text: string): number {
  return typeof text === 'string' && isWellFormed(text) ? Buffer.byteLength(text) : Number.NaN;
}

function invalid(message: string): ErrorBody {
  return new ConclaveError('EINVAL', message).toBody();
}

/** Whether the call changes nothing, so that without a reply it is `not_done`. */
export function isReadOnlyCall(call: Call): boolean {
  return (
    call.operation === 'get' ||
    call.operation === 'query' ||
    (call.operation === 'admin' && readCommands.includes(call.command))
  );
}

/**
 * Whether the call is urgent: it does not wait for other calls, so that thousands of open calls delay neither the renewal of a lease nor
 * its end.
 */
export function isUrgent(call: Call): boolean {
  switch (call.operation) {
    case 'lease_keep':
    case 'lease_revoke':
    case 'unlock':
      return true;
    case 'query':
      return call.urgent === true;
    default:
      return false;
  }
}

/** How long a call may take by default: a membership change takes its own time in addition. */
export function timeoutOf(call: Call, timeoutMs: number): number {
  if (call.operation !== 'admin' || !changingCommands.includes(call.command)) return timeoutMs;
  const { timeout_ms } = call.body as { readonly timeout_ms?: number };
  return (timeout_ms ?? defaultTimes.changeTimeoutMs) + defaultTimes.jointTimeoutMs + timeoutMs;
}
