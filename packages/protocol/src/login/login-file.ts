/** Reads the files of a login: regular ones, as each is read again at every connection. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { systemErrorText } from '../system-errors.js';
import { LoginError } from './login-error.js';

/** Longer than any secret, certificate or bundle of authorities. */
const maxFileBytes = 2 ** 24;

/** A setting that has the content of a file instead of its name: several lines, JSON, the seed of an nkey, or a JWT. */
const content = /[\r\n]|\{\s*"|\bS[A-Z][A-Z2-7]{56}\b|\bey[\w-]+\.[\w-]+\.[\w-]+/;

/** A line of a file of settings, `<name>: <value>`, or its value. A file may have such a name, too. */
const settingLine = /:\s|^\s/;

/** Whether a setting may have the content of a file instead of its name. Errors must not quote it: it may contain secrets. */
export function mayBeContent(setting: string): boolean {
  return content.test(setting) || settingLine.test(setting);
}

/** Returns the name of a file for people: `***` if the setting has the content of the file instead. */
export function shownName(file: string): string {
  return mayBeContent(file) ? '***' : file;
}

/**
 * @param what for people: what the file holds
 * @returns its text. @throws LoginError ELOGIN, with the file's name, if it cannot be read, or only once
 */
export function readLoginFile(what: string, file: string): string {
  const isContent = `the ${what} for NATS cannot be read: the setting has the content of the file; it must name the file`;
  if (content.test(file)) throw new LoginError('ELOGIN', isContent);
  try {
    const found = statSync(file);
    // A pipe would be read once, or wait without end for a writer.
    if (!found.isFile()) throw new Error(`${file} is no regular file, which can be read again at each connection`);
    if (found.size > maxFileBytes) throw new Error(`${file} has ${found.size} bytes`);
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (mayBeContent(file)) throw new LoginError('ELOGIN', isContent);
    throw new LoginError('ELOGIN', `the ${what} for NATS cannot be read: ${systemErrorText(error)}`);
  }
}

/** As `readLoginFile`, for a file of one word. A relative name that is not found may be that word, and is not in the error. */
export function readSecretFile(what: string, file: string): string {
  if (path.isAbsolute(file) || existsSync(file)) return readLoginFile(what, file);
  const folder = process.cwd();
  throw new LoginError(
    'ELOGIN',
    `the ${what} for NATS cannot be read: there is no file of the given name in ${folder}`,
  );
}
