/**
 * Where this package's own files are. It stands beside what the package builds, whether modules are loaded one by one (`dist`) or
 * as one file (`bundle`): both folders are as deep, and hold the files that are started by themselves under the same names.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The `conclave` command, as a file for Node. */
export const conclaveFile = fileURLToPath(new URL('../bin/conclave.js', import.meta.url));

/** What ends the command of a lock when its own process is gone, as a file for Node. */
export const watchdogFile = fileURLToPath(new URL('lock/watchdog.js', import.meta.url));

/** The version of this package. */
export function ownVersion(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
