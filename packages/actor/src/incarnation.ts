import { randomBytes } from 'node:crypto';

/** Returns an id that nobody can guess: 22 characters of base64url, from 128 random bits. */
export function generateId(): string {
  return randomText(16);
}

/** Returns a random name for one run of a process: 16 characters that are valid in a subject. */
export function newIncarnation(): string {
  return randomText(12);
}

/** Never begins with `-`: people give ids to commands, which would take such an id for an option. */
function randomText(bytes: number): string {
  for (;;) {
    const text = randomBytes(bytes).toString('base64url');
    if (!text.startsWith('-')) return text;
  }
}
