/** A stored value: it shares no memory with the message that contained it, and is cheap to make. */
import type { PublicLeaseId, Value } from '@conclave/protocol';
import { hashOf, hashOfCharacters, hashOfValue, mixNumber } from './state-digest.js';

/** The implementation of `toString('latin1')`. It accepts any array of bytes, so that none has to become a Buffer first. */
const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
};

/** About the frame of one value in a reply. */
export const foundOverheadBytes = 16;

export interface Stored {
  /** In its own memory. */
  readonly key: string;
  /** The text, or the bytes with one character each. */
  text: string;
  isBinary: boolean;
  revision: number;
  /** The lease that it is tied to; 0: none. */
  leaseId: PublicLeaseId | 0;
  /** For the digest of the state (`ChangedKeys`): the hash that is included; undefined: none yet. */
  countedHash: number | undefined;
  /** It has changed since it was hashed. */
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

/** The hash of a stored key, for the digest. */
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

/** @returns below 0: the stored value is less than the value; 0: they are the same bytes */
export function compareValues({ text, isBinary }: Readonly<Stored>, value: Value): number {
  return Buffer.compare(
    Buffer.from(text, isBinary ? 'latin1' : 'utf8'),
    typeof value === 'string' ? Buffer.from(value) : value,
  );
}

/**
 * Bytes as text. An array of bytes would have to be allocated and freed outside of V8's heap, which takes longer than everything
 * else in a write; text is on the heap, and costs its length.
 */
export function oneCharacterEach(bytes: Uint8Array): string {
  return latin1Slice.call(bytes, 0, bytes.length);
}

/**
 * The same text in its own memory. Decoding slices texts out of one long text of the whole message, and V8 keeps that alive as
 * long as any slice of 13 or more units; concatenating and slicing makes it copy.
 */
export function detached(text: string): string {
  return text.length < 13 ? text : ` ${text}`.slice(1);
}

/** The same text in its own memory and flat, which is slower to make, and much faster to compare. */
export function inOnePiece(text: string): string {
  return Buffer.from(text).toString();
}
