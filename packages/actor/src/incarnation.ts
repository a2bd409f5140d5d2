import { randomBytes } from 'node:crypto';

/** Returns an id that nobody can guess: 22 characters of base64url, from 128 random bits. */
export function generateId(): string {
  return randomBytes(16).toString('base64url');
}

/** Returns a random name for one run of a process: 16 characters that are valid in a subject. */
export function newIncarnation(): string {
  return randomBytes(12).toString('base64url');
}
