import { randomBytes } from 'node:crypto';

/** A name for one run of something, drawn at random: 16 characters that also fit a subject. */
export function drawIncarnation(): string {
  return randomBytes(12).toString('base64url');
}
