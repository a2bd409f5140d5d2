/** When a request is sent again, and after how long. */
import type { ErrorBody, ErrorCode } from '@conclave/protocol';
import type { ClientRequest } from './client-request.js';

/** These pass: another peer will lead, a queue will drain, a leader will have committed its first entry. */
const transient: readonly ErrorCode[] = ['EBUSY', 'EPERM', 'EFENCED', 'ESHUTDOWN', 'ETIMEDOUT', 'EUNREACHABLE'];

const firstPauseMs = 20;
const longestPauseMs = 250;
/** Attempts that are not answered get more time each: what is slow does not become faster by repeating it. */
const longestAttempt = 4;

/** The pause after a failed attempt: doubled each time, less up to a half of it by chance. */
export function pauseMs(failures: number, random: number): number {
  const pause = Math.min(firstPauseMs * 2 ** Math.min(failures - 1, 10), longestPauseMs);
  return pause * (1 - random / 2);
}

/** How long the answer to an attempt is awaited, after so many that were not answered. */
export function attemptMs(requestTimeoutMs: number, timeouts: number): number {
  return requestTimeoutMs * Math.min(2 ** Math.min(timeouts, 10), longestAttempt);
}

/** Whether a later attempt may succeed where this code refused one. */
export function isTransient(code: string): boolean {
  return (transient as readonly string[]).includes(code);
}

/**
 * Whether the request is sent again after this error. What may have been done is sent again too if it happens once
 * (a write) or changes nothing. A command is for people, who are told at once; but one that met a peer that no longer
 * leads looks for the leader, unless it named the leader that it wants.
 */
export function isSentAgain(request: ClientRequest, error: ErrorBody, namesLeader: boolean): boolean {
  // A peer that is asked itself is not in the group, and does not become a member by being asked again.
  if (error.code === 'EPERM' && request.target.peerId !== undefined) return false;
  if (request.kind !== 'admin') return error.outcome === 'unknown' || isTransient(error.code);
  return error.outcome === 'not_done' && error.code === 'EPERM' && request.target.peerId === undefined && !namesLeader;
}
