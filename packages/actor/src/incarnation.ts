import { randomBytes } from 'node:crypto';

/** Returns an id that nobody can guess: 22 characters of base64url, from 128 random bits. */
export function generateId(): string {
  return randomBytes(16).toString('base64url');
}

/** A name for one run of something, drawn at random: 16 characters that also fit a subject. */
export function drawIncarnation(): string {
  return randomBytes(12).toString('base64url');
}
