/** Reads the files of a login: regular ones, as each is read again at every connection. */
import { readFileSync, statSync } from 'node:fs';
import { LoginError } from './login-error.js';

/** Longer than any secret, certificate or bundle of authorities. */
const maxFileBytes = 2 ** 24;

/**
 * @param what for people: what the file holds
 * @returns its text. @throws LoginError ELOGIN, with the file's name, where it cannot be read, or only once
 */
export function readLoginFile(what: string, file: string): string {
  try {
    const found = statSync(file);
    // A pipe would be read once, or wait without end for somebody to write into it.
    if (!found.isFile()) throw new Error(`${file} is no regular file, which can be read again at each connection`);
    if (found.size > maxFileBytes) throw new Error(`${file} has ${found.size} bytes`);
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new LoginError('ELOGIN', `the ${what} for NATS cannot be read: ${(error as Error).message}`);
  }
}
