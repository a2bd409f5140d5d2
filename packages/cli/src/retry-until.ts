/** Retries until there is a result or the time is over. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ConclaveError } from '@conclave/protocol';

const pauseMs = 100;

/**
 * Calls `attempt` until it returns something other than undefined. An error for which `retryable` returns true counts as
 * undefined.
 * @throws the last such error, or ConclaveError ETIMEDOUT naming `what`, when the time is over
 */
export async function retryUntil<T>(
  what: string,
  timeoutMs: number,
  attempt: () => Promise<T | undefined>,
  retryable: (error: unknown) => boolean = () => false,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    let last: unknown;
    try {
      const result = await attempt();
      if (result !== undefined) return result;
    } catch (error) {
      if (!retryable(error)) throw error;
      last = error;
    }
    if (performance.now() + pauseMs > deadline) {
      throw last ?? new ConclaveError('ETIMEDOUT', `not within ${timeoutMs} ms: ${what}`, 'unknown');
    }
    await sleep(pauseMs);
  }
}

/** Whether an error may disappear by itself: there is no leader, nobody subscribes, or the leader is too new. */
export function isTransient(error: unknown): boolean {
  return error instanceof ConclaveError && ['EUNREACHABLE', 'ETIMEDOUT', 'EBUSY', 'EPERM'].includes(error.code);
}

/** Whether an error means that nobody subscribes to the subject of the request. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof ConclaveError && error.code === 'EUNREACHABLE';
}

/** Whether an error means that another process or change is in progress. */
export function isBusy(error: unknown): boolean {
  return error instanceof ConclaveError && error.code === 'EBUSY';
}
