/**
 * Bytes to values and back: plain msgpack that any language can read, or JSON where a request came as JSON.
 *
 * Decoding never trusts its input: lengths past the end, extension types and nesting without bound are
 * refused before anything is built.
 */
import { Packr } from 'msgpackr';
import { ConclaveError } from './errors.js';
import { limits } from './limits.js';

const packr = new Packr({
  useRecords: false,
  variableMapSize: true,
  mapsAsObjects: true,
  int64AsType: 'number',
  encodeUndefinedAsNil: true,
});

export type Encoding = 'json' | 'msgpack';

/** Encodes as plain msgpack. A property that is `undefined` becomes nil: leave it out instead. */
export function encode(value: unknown): Uint8Array {
  return packr.pack(value);
}

/**
 * Decodes plain msgpack. Binary values are views of `bytes`, not copies, and never a Buffer, whose `slice` is another.
 * @throws ConclaveError EINVAL where `bytes` are not one complete value of plain msgpack within the bounds.
 */
export function decode(bytes: Uint8Array): unknown {
  checkPlain(bytes);
  try {
    return packr.unpack(plainView(bytes));
  } catch (error) {
    throw new ConclaveError('EINVAL', `not msgpack: ${(error as Error).message}`);
  }
}

function plainView(bytes: Uint8Array): Uint8Array {
  return Buffer.isBuffer(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length) : bytes;
}

/** How a body is encoded: JSON objects start with `{` or white space, which no msgpack map does. */
export function encodingOf(bytes: Uint8Array): Encoding {
  const first = bytes[0];
  if (first === undefined) return 'json';
  return first === 0x7b || first === 0x20 || (first >= 0x09 && first <= 0x0d) ? 'json' : 'msgpack';
}

/**
 * Decodes a request's body in whichever of the two encodings it came; an empty body is `{}`.
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
  // A Buffer has a toJSON of its own, which has run by now: look at the holder's value.
  const raw = key === '' ? value : (this as Record<string, unknown>)[key];
  return raw instanceof Uint8Array ? Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString('base64') : value;
}

/** What follows a type: bytes, values, pairs of values, or nothing that is plain. */
const shapes = { bytes: 0, values: 1, pairs: 2, refused: 3 } as const;

/** By type: its shape; the bytes of the count that follows; that count, where none does. */
const shapeOf = new Uint8Array(256).fill(shapes.bytes);
const sizeOfCount = new Uint8Array(256);
const fixedCount = new Uint8Array(256);

for (let type = 0x80; type <= 0x8f; type++) describe(type, shapes.pairs, 0, type & 0x0f);
for (let type = 0x90; type <= 0x9f; type++) describe(type, shapes.values, 0, type & 0x0f);
for (let type = 0xa0; type <= 0xbf; type++) describe(type, shapes.bytes, 0, type & 0x1f);
// 0xc1 and the extension types.
for (const type of [0xc1, 0xc7, 0xc8, 0xc9, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8]) describe(type, shapes.refused, 0, 0);
[0xc4, 0xc5, 0xc6].forEach((type, power) => {
  describe(type, shapes.bytes, 2 ** power, 0); // binary
});
[0xd9, 0xda, 0xdb].forEach((type, power) => {
  describe(type, shapes.bytes, 2 ** power, 0); // text
});
[0xcc, 0xcd, 0xce, 0xcf].forEach((type, power) => {
  describe(type, shapes.bytes, 0, 2 ** power); // whole numbers, 0 and above
});
[0xd0, 0xd1, 0xd2, 0xd3].forEach((type, power) => {
  describe(type, shapes.bytes, 0, 2 ** power); // whole numbers
});
describe(0xca, shapes.bytes, 0, 4); // numbers
describe(0xcb, shapes.bytes, 0, 8);
describe(0xdc, shapes.values, 2, 0);
describe(0xdd, shapes.values, 4, 0);
describe(0xde, shapes.pairs, 2, 0);
describe(0xdf, shapes.pairs, 4, 0);

function describe(type: number, shape: number, countBytes: number, count: number): void {
  shapeOf[type] = shape;
  sizeOfCount[type] = countBytes;
  fixedCount[type] = count;
}

/** @throws ConclaveError EINVAL */
function checkPlain(bytes: Uint8Array): void {
  const fault = faultOf(bytes);
  if (fault !== undefined) throw new ConclaveError('EINVAL', `not msgpack: ${fault}`);
}

/**
 * One pass over the tokens: each length is within what is left, nesting is bounded, and there are no
 * extension types (which could make a decoder build other things than plain values). Every message passes here, so
 * that it looks up what the types mean, and makes nothing.
 */
function faultOf(bytes: Uint8Array): string | undefined {
  const end = bytes.length;
  const outer: number[] = []; // values still to come, for each level further out
  let remaining = 1;
  let at = 0;
  for (;;) {
    while (remaining === 0) {
      const further = outer.pop();
      if (further === undefined) return at === end ? undefined : 'bytes behind the value';
      remaining = further;
    }
    remaining -= 1;
    if (at >= end) return 'cut short';
    const type = bytes[at] as number;
    at += 1;
    let count = fixedCount[type] as number;
    const countBytes = sizeOfCount[type] as number;
    if (countBytes > 0) {
      if (at + countBytes > end) return 'cut short';
      for (const last = at + countBytes; at < last; at++) count = count * 256 + (bytes[at] as number);
    }
    const shape = shapeOf[type];
    if (shape === shapes.bytes) {
      at += count;
      if (at > end) return 'cut short';
      continue;
    }
    if (shape === shapes.refused) return 'not plain';
    const values = shape === shapes.pairs ? 2 * count : count;
    if (values > end - at) return 'cut short';
    if (values === 0) continue;
    if (outer.length + 1 >= limits.messageDepth) return 'nested too deeply';
    outer.push(remaining);
    remaining = values;
  }
}
