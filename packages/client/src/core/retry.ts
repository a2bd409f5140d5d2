/** When a request is resent, and after what pause. */
import type { ErrorBody, ErrorCode } from '@conclave/protocol';
import type { ClientRequest } from './client-request.js';

/** Errors that end by themselves: another peer will lead, a queue will drain, a leader will have committed its first entry. */
const transient: readonly ErrorCode[] = ['EBUSY', 'EPERM', 'EFENCED', 'ESHUTDOWN', 'ETIMEDOUT', 'EUNREACHABLE'];

const firstPauseMs = 20;
const longestPauseMs = 250;
/** Later attempts wait longer for a reply, up to this factor: repeating it does not make a slow group faster. */
const longestAttempt = 4;

/** The pause after a failed attempt: doubled each time, less a random part of up to a half. */
export function pauseMs(failures: number, random: number): number {
  const pause = Math.min(firstPauseMs * 2 ** Math.min(failures - 1, 10), longestPauseMs);
  return pause * (1 - random / 2);
}

/** How long to wait for the reply to an attempt, after this many without one. */
export function attemptMs(requestTimeoutMs: number, timeouts: number): number {
  return requestTimeoutMs * Math.min(2 ** Math.min(timeouts, 10), longestAttempt);
}

/** Whether a later attempt may succeed after one was refused with this code. */
export function isTransient(code: string): boolean {
  return (transient as readonly string[]).includes(code);
}

/**
 * Whether the request is resent after this error. A request that may have been executed is resent too if it happens once (a write) or
 * changes nothing. A command returns its error to its user at once; but a command that reached a peer that no longer leads is sent to
 * the new leader, unless it named the leader that it wants.
 */
export function isSentAgain(request: ClientRequest, error: ErrorBody, namesLeader: boolean): boolean {
  // A peer that was asked by name is not in the group, and repeating the request does not change that.
  if (error.code === 'EPERM' && request.target.peerId !== undefined) return false;
  if (request.kind !== 'admin') return error.outcome === 'unknown' || isTransient(error.code);
  return error.outcome === 'not_done' && error.code === 'EPERM' && request.target.peerId === undefined && !namesLeader;
}
