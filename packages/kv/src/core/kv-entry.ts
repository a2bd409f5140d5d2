/** The entries of the log for the state machine, and their results. */
import {
  type ClientId,
  ConclaveError,
  decode,
  type EntryCommand,
  type ErrorCode,
  encode,
  type LeaseId,
  limits,
  type OperationResult,
  type PublicLeaseId,
} from '@conclave/protocol';
import { isClientId, isCount, isPublicLeaseId, validateEntryCommands } from './fast-validation.js';

/** The writes of one request, in order. Without a `client_id` each is executed every time it occurs. */
export interface WriteEntry {
  readonly commands: readonly EntryCommand[];
  readonly client_id?: ClientId;
  readonly acknowledged?: number;
}

/**
 * Opens a session of this name, which the leader has generated. `true`, at level 0: the index of this entry becomes its
 * `client_id`, after a reset plus the begin of its epoch.
 */
export interface OpenSessionEntry {
  readonly open_session: true | ClientId;
}

/**
 * Ends sessions and leases, each by its id and the index of the entry that used or kept it last: those used or kept since
 * are not ended.
 */
export interface ExpireEntry {
  readonly expire: readonly (readonly [ClientId, number])[];
  /** By their public ids. */
  readonly expire_leases?: readonly (readonly [PublicLeaseId, number])[];
  /** From feature level 1 on: lease, the index of the entry that kept it last, and its remaining time, in milliseconds. */
  readonly remaining?: readonly (readonly [PublicLeaseId, number, number])[];
}

export type KvEntry = WriteEntry | OpenSessionEntry | ExpireEntry;

/** The protocol's `CommandResult`, with known codes. */
export type KvCommandResult =
  | readonly ['done', number, boolean]
  /** Only of `lease_grant`. */
  | readonly ['done', LeaseId, boolean]
  | readonly ['done', number, boolean, readonly OperationResult[]]
  | readonly ['not_done', ErrorCode, string]
  | readonly ['unknown', ErrorCode, string];

/** The result of one entry. `refused`: the entry is invalid, and nothing was done. */
export type KvResult =
  | { readonly results: readonly KvCommandResult[] }
  | { readonly client_id: ClientId }
  | { readonly expired: number }
  | { readonly refused: string };

export function encodeEntry(entry: KvEntry): Uint8Array {
  return encode(entry);
}

const noEntry = 'an entry has commands, open_session or expire';

/** @returns the entry, or what is wrong with the payload, in a sentence. Never throws: everything in the log must be applied. */
export function decodeEntry(payload: Uint8Array): KvEntry | string {
  let value: unknown;
  try {
    value = decode(payload);
  } catch (error) {
    if (error instanceof ConclaveError) return error.message;
    throw error;
  }
  if (typeof value !== 'object' || value === null) return 'an entry is a map';
  if ('commands' in value) return asWriteEntry(value as Record<string, unknown>);
  if ('open_session' in value && (value.open_session === true || isClientId(value.open_session))) {
    return { open_session: value.open_session };
  }
  if ('expire' in value) return asExpireEntry(value as Record<string, unknown>);
  return noEntry;
}

function asWriteEntry({ commands, client_id, acknowledged }: Record<string, unknown>): WriteEntry | string {
  const fault = validateEntryCommands(commands) ?? validateClient(client_id, acknowledged);
  if (fault !== undefined) return fault;
  return writeEntry(commands as EntryCommand[], client_id as ClientId | undefined, acknowledged as number | undefined);
}

function asExpireEntry({ expire, expire_leases = [], remaining = [] }: Record<string, unknown>): ExpireEntry | string {
  const isExpireEntry =
    isListOf(expire, 2, isClientId) &&
    isListOf(expire_leases, 2, isPublicLeaseId) &&
    isListOf(remaining, 3, isPublicLeaseId);
  if (!isExpireEntry) return noEntry;
  return {
    expire: expire as [ClientId, number][],
    expire_leases: expire_leases as [PublicLeaseId, number][],
    remaining: remaining as [PublicLeaseId, number, number][],
  };
}

/** @returns what is wrong with the client's fields of a request, in a sentence; undefined: nothing */
export function validateClient(clientId: unknown, acknowledged: unknown): string | undefined {
  if (clientId !== undefined && !isClientId(clientId)) return 'client_id: not the name of a session';
  if (acknowledged !== undefined && !isCount(acknowledged)) return 'acknowledged: not a whole number';
  return undefined;
}

/** An entry without undefined properties, as they must not be encoded. */
export function writeEntry(commands: readonly EntryCommand[], clientId?: ClientId, acknowledged?: number): WriteEntry {
  if (clientId === undefined) return { commands };
  return { client_id: clientId, ...(acknowledged === undefined ? {} : { acknowledged }), commands };
}

/** Whether the rows begin with an id, followed by numbers. */
function isListOf(value: unknown, length: number, isId: (id: unknown) => boolean): boolean {
  return (
    Array.isArray(value) &&
    value.length <= limits.requestCommands &&
    value.every((row) => Array.isArray(row) && row.length === length && isId(row[0]) && row.slice(1).every(isCount))
  );
}
