/** When the processes of a command are stopped, so that none of them runs once another client may hold the lock. */

export interface StopTimes {
  /** The remaining time of the lease at which they receive SIGTERM. */
  readonly terminateMs: number;
  /** The remaining time at which they receive SIGKILL. */
  readonly killMs: number;
  /** The remaining time at which the watchdog kills them, if this process did not. */
  readonly watchdogMs: number;
  /** The interval at which the remaining time is checked. */
  readonly lookMs: number;
}

const minKillMs = 250;
const maxKillMs = 2000;
const maxGraceMs = 5000;
const maxLookMs = 200;

/** Returns the times for a lease of that time. All are in milliseconds. */
export function stopTimesOf(ttlMs: number): StopTimes {
  const killMs = Math.min(Math.max(ttlMs / 10, minKillMs), maxKillMs);
  return {
    terminateMs: killMs + Math.min(ttlMs / 5, maxGraceMs),
    killMs,
    watchdogMs: killMs / 2,
    lookMs: Math.min(ttlMs / 50, maxLookMs),
  };
}
