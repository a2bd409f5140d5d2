/** A value as it is kept: apart from the message that it came in, and as cheap to make as can be. */
import type { PublicLeaseId, Value } from '@conclave/protocol';
import { hashOf, hashOfCharacters, hashOfValue, mixNumber } from './state-digest.js';

/** Behind `toString('latin1')`. It takes any array of bytes, so that none need be made into a Buffer first. */
const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
};

/** About what the frame of one value takes in an answer. */
export const foundOverheadBytes = 16;

export interface Stored {
  /** In memory of its own. */
  readonly key: string;
  /** The text, or the bytes with one character each. */
  text: string;
  isBinary: boolean;
  revision: number;
  /** The lease that it is tied to; 0: none. */
  leaseId: PublicLeaseId | 0;
  /** For the digest of the state (`ChangedKeys`): the hash that it is counted with; undefined: not yet. */
  countedHash: number | undefined;
  /** It has changed since it was counted. */
  isChanged: boolean;
}

export function newlyStored(
  key: string,
  text: string,
  isBinary: boolean,
  revision: number,
  leaseId: PublicLeaseId | 0,
): Stored {
  return { key, text, isBinary, revision, leaseId, countedHash: undefined, isChanged: false };
}

/** For the digest: what is stored under a key. */
export function hashOfStored({ key, text, isBinary, revision, leaseId }: Readonly<Stored>): number {
  const keyHash = hashOfValue(key);
  const hash = mixNumber(isBinary ? hashOfCharacters(text, keyHash) : hashOfValue(text, keyHash), revision);
  return leaseId === 0 ? hash : hashOf(leaseId, hash);
}

export function sizeOf({ text, isBinary }: Readonly<Stored>): number {
  return isBinary ? text.length : Buffer.byteLength(text);
}

export function keptValue({ text, isBinary }: Readonly<Stored>): Value {
  return isBinary ? new Uint8Array(Buffer.from(text, 'latin1')) : text;
}

/** Below 0: what is stored comes before the value; 0: they are the same bytes. */
export function compareValues({ text, isBinary }: Readonly<Stored>, value: Value): number {
  return Buffer.compare(
    Buffer.from(text, isBinary ? 'latin1' : 'utf8'),
    typeof value === 'string' ? Buffer.from(value) : value,
  );
}

/**
 * Bytes as text. An array of bytes of its own would have to be got from the system and given back, which takes longer
 * than all else that a write does here; text is V8's own, and costs its length.
 */
export function oneCharacterEach(bytes: Uint8Array): string {
  return latin1Slice.call(bytes, 0, bytes.length);
}

/**
 * The same text in memory of its own. Decoding cuts texts from one long text of the whole message, and V8 keeps
 * that alive as long as any piece of 13 or more units; joining and cutting makes it copy.
 */
export function detached(text: string): string {
  return text.length < 13 ? text : ` ${text}`.slice(1);
}

/** The same text in memory of its own and in one piece, which is dearer to make, and much cheaper to compare. */
export function inOnePiece(text: string): string {
  return Buffer.from(text).toString();
}
