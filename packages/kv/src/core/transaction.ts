/**
 * A transaction: compare, then execute one branch or the other, atomically.
 *
 * Owns nothing. Each write in it has its own revision, so that a revision still names one write of one key; nothing comes between
 * them, as between the entries of a log.
 */
import {
  type Command,
  type Comparison,
  type LeaseId,
  limits,
  type Operation,
  type OperationResult,
  publicPartOf,
  type Value,
} from '@conclave/protocol';
import type { KeySpace } from './key-space.js';
import type { KvCommandResult } from './kv-entry.js';
import type { LeaseFault } from './leases.js';
import type { ResultBudget, RoomFault } from './result-budget.js';
import { compareValues, foundOverheadBytes, sizeOf } from './stored-value.js';

export type TransactionCommand = Extract<Command, readonly [number, 'txn', ...unknown[]]>;

const roomFaults: Readonly<Record<RoomFault, KvCommandResult>> = {
  never: ['not_done', 'EINVAL', `what a transaction reads has at most ${limits.foundBytes} bytes`],
  not_now: ['not_done', 'EBUSY', 'there is no room for what it reads beside other results'],
};

/** Executes a transaction, or nothing of it. */
export function transact(
  keys: KeySpace,
  [, , compare, then, otherwise]: TransactionCommand,
  room: ResultBudget,
): KvCommandResult {
  const holds = compare.every((comparison) => isTrue(keys, comparison));
  const operations = holds ? then : otherwise;
  const tieFault = validateTies(keys, operations);
  if (tieFault !== undefined) return tieFault;
  const bytes = replyBytes(keys, operations);
  const fault = room.faultOf(bytes);
  if (fault !== undefined) return roomFaults[fault];
  room.take(bytes);
  const before = holds ? 0 : then.length;
  const results = operations.map((operation, number) => {
    keys.history.turnToOperation(before + number);
    return execute(keys, operation);
  });
  return ['done', keys.revision, holds, results];
}

/** @param more how many other keys are to be tied. @returns why the key cannot be tied to a lease, as a result; undefined: it can */
export function validateTie(keys: KeySpace, leaseId: LeaseId, key: string, more = 0): KvCommandResult | undefined {
  const code = keys.tieFault(leaseId, key, more);
  if (code === undefined) return undefined;
  if (code === 'EINVAL') return ['not_done', code, `a lease has at most ${limits.leaseKeys} keys`];
  return leaseFault(leaseId, code);
}

/** Why a lease cannot be used, as a result. */
export function leaseFault(leaseId: LeaseId, code: LeaseFault): KvCommandResult {
  const name = publicPartOf(leaseId);
  return [
    'not_done',
    code,
    code === 'ENOENT'
      ? `there is no lease ${name}, or it has another secret`
      : `lease ${name} was granted in an earlier history of the group`,
  ];
}

function validateTies(keys: KeySpace, operations: readonly Operation[]): KvCommandResult | undefined {
  const ties = new Map<LeaseId, number>();
  for (const [name, key, , leaseId] of operations) {
    if (name !== 'put' || leaseId === undefined) continue;
    const before = ties.get(leaseId) ?? 0;
    const fault = validateTie(keys, leaseId, key, before);
    if (fault !== undefined) return fault;
    ties.set(leaseId, before + 1);
  }
  return undefined;
}

/** How many bytes that transactions read the result contains; 0 for other results. */
export function bytesAnswered(result: KvCommandResult): number {
  let bytes = 0;
  for (const [name, value] of resultsIn(result)) {
    bytes += foundOverheadBytes + (name === 'get' && value !== null ? bytesOf(value) : 0);
  }
  return bytes;
}

function resultsIn(result: KvCommandResult): readonly OperationResult[] {
  return result[0] === 'done' ? (result[3] ?? []) : [];
}

function isTrue(keys: KeySpace, [key, what, relation, wanted]: Comparison): boolean {
  if (what === 'lock') return stands(keys.locks.tokenOf(key) - wanted, relation);
  const stored = keys.at(key);
  if (what === 'revision') return stands((stored?.revision ?? 0) - wanted, relation);
  return stored !== undefined && stands(compareValues(stored, wanted), relation);
}

function stands(difference: number, relation: Comparison[2]): boolean {
  switch (relation) {
    case '=':
      return difference === 0;
    case '!=':
      return difference !== 0;
    case '<':
      return difference < 0;
    case '>':
      return difference > 0;
  }
}

function execute(keys: KeySpace, operation: Operation): OperationResult {
  const [name, key] = operation;
  switch (name) {
    case 'put':
      return ['put', keys.put(key, operation[2], operation[3] === undefined ? 0 : publicPartOf(operation[3]))];
    case 'delete': {
      const revision = keys.delete(key);
      return ['delete', revision, revision > 0];
    }
    case 'get':
      return ['get', ...keys.get(key)];
  }
}

/** The size of the operations' results, computed in advance: a get reads what those before it have put. */
function replyBytes(keys: KeySpace, operations: readonly Operation[]): number {
  const written = new Map<string, number>();
  let bytes = 0;
  for (const operation of operations) {
    const [name, key] = operation;
    bytes += foundOverheadBytes;
    if (name === 'put') written.set(key, bytesOf(operation[2]));
    else if (name === 'delete') written.set(key, 0);
    else bytes += written.get(key) ?? storedBytes(keys, key);
  }
  return bytes;
}

function storedBytes(keys: KeySpace, key: string): number {
  const stored = keys.at(key);
  return stored === undefined ? 0 : sizeOf(stored);
}

function bytesOf(value: Value): number {
  return typeof value === 'string' ? Buffer.byteLength(value) : value.length;
}
