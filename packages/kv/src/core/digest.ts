/**
 * The digest of a command without its number: it distinguishes two commands under one number. 32 bits suffice: to
 * construct another command with the same digest, one needs the name of the session, which is secret.
 */
import type { EntryCommand } from '@conclave/protocol';
import { hashOf, hashOfValue } from './state-digest.js';

/** @returns the digest of a command: an unsigned number of 32 bits */
export function digestOf(command: EntryCommand): number {
  // The leader generates another lease id each time that the same call is repeated.
  if (command[1] === 'lease_grant') return hashOf(command.slice(1, 3)) >>> 0;
  if (command[1] !== 'put') return hashOf(command.slice(1)) >>> 0;
  const hash = hashOfValue(command[3], hashOfValue(command[2]));
  return (command.length === 4 ? hash : hashOf(command[4], hash)) >>> 0;
}
