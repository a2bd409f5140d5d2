/**
 * The paths of this package's own files. This module is beside the built files, whether modules are loaded one by one (`dist`) or
 * as one file (`bundle`): both folders have the same depth, and the same names for the files that are started as processes.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The `conclave` command, as a file for Node. */
export const conclaveFile = fileURLToPath(new URL('../bin/conclave.js', import.meta.url));

/** The program that ends the command of a lock when its own process has ended, as a file for Node. */
export const watchdogFile = fileURLToPath(new URL('lock/watchdog.js', import.meta.url));

/** The version of this package. */
export function ownVersion(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
