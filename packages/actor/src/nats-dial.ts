/** Finds a NATS server that accepts a login, with retries; the error contains the reason if none does. */
import { ConclaveError } from '@conclave/protocol';
import { findServer, LoginError, type NatsLogin } from '@conclave/protocol/login';
import type { LineLog } from './actor-log.js';

export const defaultLoginAttempts = 10;
/** The pause after the first failed attempt; doubled after each further one. */
const firstPauseMs = 100;
const longestPauseMs = 2000;

export interface DialOptions {
  readonly login: NatsLogin;
  /** How many consecutive rejected logins end the attempts; 0: none does. Servers that cannot be reached are retried without limit. */
  readonly loginAttempts?: number;
  readonly log: LineLog;
}

/**
 * Waits until a server accepts the login.
 * @param timeoutMs how long a server may take to reply before the next one is tried
 * @returns the position of the server in the list of the login
 * @throws ConclaveError ELOGIN, EINVAL
 */
export async function dial(
  { login, log, loginAttempts = defaultLoginAttempts }: DialOptions,
  timeoutMs: number,
): Promise<number> {
  let [pauseMs, rejections, lastReason] = [firstPauseMs, 0, ''];
  for (;;) {
    try {
      return await findServer(login, timeoutMs);
    } catch (error) {
      const { code, message } = asConclaveError(error);
      rejections = code === 'ELOGIN' ? rejections + 1 : 0;
      if (code === 'EINVAL' || (loginAttempts > 0 && rejections >= loginAttempts))
        throw new ConclaveError(code, message);
      if (message !== lastReason) {
        log.write(code === 'ELOGIN' ? 'error' : 'warn', 'not connected to NATS', { reason: message });
      }
      lastReason = message;
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    pauseMs = Math.min(2 * pauseMs, longestPauseMs);
  }
}

/**
 * Waits for a connection that the package retries without limit, and logs meanwhile why the attempts fail: a login that was accepted
 * a moment ago may be rejected now, for example because the server has as many connections as it accepts.
 */
export async function whileConnecting<T>(
  connecting: Promise<T>,
  { login, log }: DialOptions,
  timeoutMs: number,
): Promise<T> {
  let [isDone, lastReason] = [false, ''];
  const report = async (): Promise<void> => {
    const reason = await reasonNotConnected(login, timeoutMs);
    if (isDone || reason === undefined || reason === lastReason) return;
    lastReason = reason;
    log.write('error', 'not connected to NATS', { reason });
  };
  let timer: NodeJS.Timeout | undefined;
  // The next attempt begins only after the last one: it must not compete with the connection, nor report out of order.
  const reportLater = (): void => {
    timer = setTimeout(() => void report().finally(() => isDone || reportLater()), longestPauseMs);
  };
  reportLater();
  try {
    return await connecting;
  } finally {
    isDone = true;
    clearTimeout(timer);
  }
}

/** Returns why no server accepts the login now; undefined: one does. */
export async function reasonNotConnected(login: NatsLogin, timeoutMs: number): Promise<string | undefined> {
  try {
    await findServer(login, timeoutMs);
    return undefined;
  } catch (error) {
    return asConclaveError(error).message;
  }
}

function asConclaveError(error: unknown): ConclaveError {
  const { code, message } = error as LoginError;
  return error instanceof LoginError ? new ConclaveError(code, message) : new ConclaveError('EUNREACHABLE', message);
}
