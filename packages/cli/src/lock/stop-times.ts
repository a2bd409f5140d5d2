/** When the processes of a command are stopped, so that none of them works once another client may hold the lock. */

export interface StopTimes {
  /** With so much left of the lease they get SIGTERM, */
  readonly terminateMs: number;
  /** with so much left SIGKILL, */
  readonly killMs: number;
  /** and with so much left the watchdog kills them, where this process did not. */
  readonly watchdogMs: number;
  /** How often what is left is looked at. */
  readonly lookMs: number;
}

const leastKillMs = 250;
const mostKillMs = 2000;
const mostGraceMs = 5000;
const mostLookMs = 200;

/** Returns them for a lease of that time. All are in milliseconds. */
export function stopTimesOf(ttlMs: number): StopTimes {
  const killMs = Math.min(Math.max(ttlMs / 10, leastKillMs), mostKillMs);
  return {
    terminateMs: killMs + Math.min(ttlMs / 5, mostGraceMs),
    killMs,
    watchdogMs: killMs / 2,
    lookMs: Math.min(ttlMs / 50, mostLookMs),
  };
}
