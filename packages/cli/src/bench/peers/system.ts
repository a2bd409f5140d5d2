/** What the benchmark needs of another replicated store. */
import type { CleanUp } from '../../processes/clean-up.js';

/** Three servers of it run, and a client is connected. */
export interface RunningSystem {
  /** Writes a value, and resolves when a majority has stored it durably. */
  readonly put: (number: number) => Promise<unknown>;
}

export interface SystemOptions {
  /** A folder of its own, on the disk that is measured. */
  readonly folder: string;
  readonly value: Uint8Array;
  readonly keys: number;
}

/** A store that is installed on this machine, with its client. */
export interface InstalledSystem {
  /** As the server prints it. */
  readonly version: string;
  /** The clean-up stops everything that it starts. */
  start(cleanUp: CleanUp, options: SystemOptions): Promise<RunningSystem>;
}

/** Why a store cannot be measured, and how to change that: one line. */
export class NotInstalled extends Error {
  override readonly name = 'NotInstalled';
}

/**
 * Loads a client library, which is no dependency of this package.
 * @throws NotInstalled if it is not there
 */
export async function loadClient<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new NotInstalled(`its client is not installed: npm install --no-save ${name}`);
  }
}
