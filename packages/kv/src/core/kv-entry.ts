/** What the state machine finds in an entry of the log, and what it makes of it. */
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
import { faultOfEntryCommands, isClientId, isCount, isPublicLeaseId, isSessionId } from './check.js';

/** Writes of one request, in order. Without a `client_id` each is done as often as it comes. */
export interface WriteEntry {
  readonly commands: readonly EntryCommand[];
  readonly client_id?: ClientId;
  readonly acknowledged?: number;
}

/**
 * Opens a session of this name, which the leader has drawn. `true`, at level 0: the index of this entry becomes its `client_id`,
 * after a reset with that of its epoch before it.
 */
export interface OpenSessionEntry {
  readonly open_session: true | string;
}

/**
 * Ends sessions and leases, each by its id and the index of the entry that used or kept it last: one used or kept since
 * is spared.
 */
export interface ExpireEntry {
  readonly expire: readonly (readonly [ClientId, number])[];
  /** By their public ids. */
  readonly expire_leases?: readonly (readonly [PublicLeaseId, number])[];
  /** From feature level 1 on: lease, the index of the entry that kept it last, and what was left of its time, in milliseconds. */
  readonly remaining?: readonly (readonly [PublicLeaseId, number, number])[];
}

export type KvEntry = WriteEntry | OpenSessionEntry | ExpireEntry;

/** The protocol's `CommandResult`, with codes that are known. */
export type KvCommandResult =
  | readonly ['done', number, boolean]
  /** Of `lease_grant` alone. */
  | readonly ['done', LeaseId, boolean]
  | readonly ['done', number, boolean, readonly OperationResult[]]
  | readonly ['not_done', ErrorCode, string]
  | readonly ['unknown', ErrorCode, string];

/** The result of one entry. `refused`: the entry makes no sense, and nothing has happened. */
export type KvResult =
  | { readonly results: readonly KvCommandResult[] }
  | { readonly client_id: ClientId }
  | { readonly expired: number }
  | { readonly refused: string };

export function encodeEntry(entry: KvEntry): Uint8Array {
  return encode(entry);
}

const noEntry = 'an entry has commands, open_session or expire';

/** What a payload says, or a sentence on why it says nothing. Never throws: what is in the log must be applied. */
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
  if ('open_session' in value && (value.open_session === true || isSessionId(value.open_session))) {
    return { open_session: value.open_session };
  }
  if ('expire' in value) return asExpireEntry(value as Record<string, unknown>);
  return noEntry;
}

function asWriteEntry({ commands, client_id, acknowledged }: Record<string, unknown>): WriteEntry | string {
  const fault = faultOfEntryCommands(commands) ?? faultOfClient(client_id, acknowledged);
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

/** What is wrong with the client's part of a request, in a sentence; undefined: nothing. */
export function faultOfClient(clientId: unknown, acknowledged: unknown): string | undefined {
  if (clientId !== undefined && !isClientId(clientId)) return 'client_id: not the name of a session';
  if (acknowledged !== undefined && !isCount(acknowledged)) return 'acknowledged: not a whole number';
  return undefined;
}

/** An entry without the properties that are not given, as nothing else may stand in for "none". */
export function writeEntry(commands: readonly EntryCommand[], clientId?: ClientId, acknowledged?: number): WriteEntry {
  if (clientId === undefined) return { commands };
  return { client_id: clientId, ...(acknowledged === undefined ? {} : { acknowledged }), commands };
}

/** Of rows that begin with an id, and go on with numbers. */
function isListOf(value: unknown, length: number, isId: (id: unknown) => boolean): boolean {
  return (
    Array.isArray(value) &&
    value.length <= limits.requestCommands &&
    value.every((row) => Array.isArray(row) && row.length === length && isId(row[0]) && row.slice(1).every(isCount))
  );
}
