/**
 * The commands of leases and locks, as they are written to the log.
 *
 * Owns nothing. From feature level 1 on a granted lease gets its secret here, at the leader: the state machine, which must do the same
 * on every peer, generates none. At level 0 the log must contain only what an older peer can read.
 */
import type { RequestContext } from '@conclave/actor/core';
import {
  type Command,
  type ConclaveEvent,
  type EntryCommand,
  featureLevel,
  type LeaseId,
  newLeaseSecret,
  type Operation,
  publicPartOf,
} from '@conclave/protocol';
import type { KvResult } from './kv-entry.js';

/** In the log of a group of level 0: a number that no lease has, for an id that no lease of such a group has. */
const noLease = Number.MAX_SAFE_INTEGER;

/**
 * @param numbersOnly whether the client is one of the first version, which reads only numbers as ids of leases
 * @returns the commands as the log of a group of this level contains them; the same list if nothing changes
 */
export function entryCommands(
  commands: readonly Command[],
  context: RequestContext | undefined,
  numbersOnly: boolean,
): readonly EntryCommand[] {
  const level = context?.level ?? 0;
  if (context !== undefined && level >= featureLevel.histories) {
    if (numbersOnly || !commands.some(([, name]) => name === 'lease_grant')) return commands;
    return commands.map((command) =>
      command[1] === 'lease_grant' ? [command[0], command[1], command[2], newLeaseSecret(context.generateId)] : command,
    );
  }
  return commands.some(namesLease) ? commands.map(ofLevel0) : commands;
}

/** Whether the command takes from a holder what it did not release. */
export function isForced(command: Command): boolean {
  return (
    (command[1] === 'unlock' && command[4] === 'force') || (command[1] === 'lease_revoke' && command[3] === 'force')
  );
}

/** The events for forced commands, by their results. */
export function eventsOf(commands: readonly Command[], result: KvResult): ConclaveEvent[] {
  const results = 'results' in result ? result.results : [];
  return commands.flatMap((command, at): ConclaveEvent[] => {
    const [outcome, , changed] = results[at] ?? [];
    if (!isForced(command) || outcome !== 'done' || changed !== true) return [];
    if (command[1] === 'unlock') return [{ name: 'lock_forced', detail: { name: command[2], token: command[3] } }];
    if (command[1] !== 'lease_revoke') return [];
    return [{ name: 'lease_forced', detail: { lease_id: publicPartOf(command[2]) } }];
  });
}

function namesLease(command: Command): boolean {
  switch (command[1]) {
    case 'put':
      return command.length === 5;
    case 'delete':
    case 'cas':
    case 'lease_grant':
      return false;
    default:
      return true;
  }
}

function ofLevel0(command: Command): Command {
  switch (command[1]) {
    case 'put':
      return command[4] === undefined ? command : [command[0], 'put', command[2], command[3], numberOf(command[4])];
    case 'txn': {
      const [sequence, name, compare, then, otherwise] = command;
      return [sequence, name, compare, then.map(operationOfLevel0), otherwise.map(operationOfLevel0)];
    }
    case 'lease_keep':
      return [command[0], 'lease_keep', numberOf(command[2])];
    case 'lease_revoke':
      return [command[0], 'lease_revoke', numberOf(command[2])];
    case 'lock':
      return [command[0], 'lock', command[2], command[3], numberOf(command[4]), command[5]];
    case 'unlock':
      return [command[0], 'unlock', command[2], command[3]];
    default:
      return command;
  }
}

function operationOfLevel0(operation: Operation): Operation {
  if (operation[0] !== 'put' || operation[3] === undefined) return operation;
  return ['put', operation[1], operation[2], numberOf(operation[3])];
}

function numberOf(leaseId: LeaseId): number {
  return typeof leaseId === 'number' ? leaseId : noLease;
}
