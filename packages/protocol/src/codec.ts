/**
 * Encoding and decoding: plain msgpack that any language can read, or JSON if a request was JSON.
 *
 * Decoding never trusts its input: lengths past the end, extension types and unbounded nesting are refused before anything is
 * built.
 */
import { Packr } from 'msgpackr';
import { ConclaveError } from './errors.js';
import { faultOf, writeIntegers } from './msgpack-tokens.js';

const packr = new Packr({
  useRecords: false,
  variableMapSize: true,
  mapsAsObjects: true,
  int64AsType: 'number',
  encodeUndefinedAsNil: true,
});

export type Encoding = 'json' | 'msgpack';

/**
 * Encodes as plain msgpack; safe integers are encoded as integers, whatever their size. An `undefined` property becomes nil: omit it
 * instead.
 */
export function encode(value: unknown): Uint8Array {
  const bytes = packr.pack(value);
  // Searching for one byte is cheap; most messages without large numbers have none.
  if (bytes.includes(0xcb)) writeIntegers(bytes);
  return bytes;
}

/**
 * Decodes plain msgpack. Binary values are views of `bytes`, not copies, and never a Buffer, whose `slice` differs.
 * @throws ConclaveError EINVAL if `bytes` are not one complete value of plain msgpack within the bounds, or hold an integer of 2^53
 * or more, which would be rounded
 */
export function decode(bytes: Uint8Array): unknown {
  const fault = faultOf(bytes);
  if (fault !== undefined) throw new ConclaveError('EINVAL', fault);
  try {
    return packr.unpack(plainView(bytes));
  } catch (error) {
    throw new ConclaveError('EINVAL', `not msgpack: ${(error as Error).message}`);
  }
}

function plainView(bytes: Uint8Array): Uint8Array {
  return Buffer.isBuffer(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length) : bytes;
}

/** The encoding of a body: JSON objects start with `{` or white space, which no msgpack map does. */
export function encodingOf(bytes: Uint8Array): Encoding {
  const first = bytes[0];
  if (first === undefined) return 'json';
  return first === 0x7b || first === 0x20 || (first >= 0x09 && first <= 0x0d) ? 'json' : 'msgpack';
}

/**
 * Whether a reply to a request in msgpack is of another program: Conclave replies in the encoding of the request. A JetStream stream on
 * the subjects of requests replies to each of them, in JSON, and earlier than a peer.
 */
export function isForeignReply(data: Uint8Array): boolean {
  return data.length > 0 && encodingOf(data) === 'json';
}

/**
 * Decodes a request's body in either encoding; an empty body is `{}`.
 * @throws ConclaveError EINVAL
 */
export function decodeRequest(bytes: Uint8Array): { value: unknown; encoding: Encoding } {
  if (bytes.length === 0) return { value: {}, encoding: 'json' };
  const encoding = encodingOf(bytes);
  if (encoding === 'msgpack') return { value: decode(bytes), encoding };
  try {
    return { value: JSON.parse(textDecoder.decode(bytes)), encoding };
  } catch (error) {
    throw new ConclaveError('EINVAL', `not JSON: ${(error as Error).message}`);
  }
}

/** Encodes a reply in the encoding of its request. Binary values become base64 in JSON. */
export function encodeAs(value: unknown, encoding: Encoding): Uint8Array {
  return encoding === 'msgpack' ? encode(value) : encodeJson(value);
}

export function encodeJson(value: unknown): Uint8Array {
  return textEncoder.encode(JSON.stringify(value, binaryAsBase64));
}

const textDecoder = new TextDecoder('utf-8', { fatal: true });
const textEncoder = new TextEncoder();

function binaryAsBase64(this: unknown, key: string, value: unknown): unknown {
  // A Buffer has its own toJSON, which has run by now: look at the holder's value.
  const raw = key === '' ? value : (this as Record<string, unknown>)[key];
  return raw instanceof Uint8Array ? Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString('base64') : value;
}
