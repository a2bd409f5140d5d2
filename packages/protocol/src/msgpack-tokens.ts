/**
 * The tokens of plain msgpack: one pass over a message that checks it before anything is built, and one that writes large
 * integers as integers.
 */
import { limits } from './limits.js';

const float64 = 0xcb;
const uint64 = 0xcf;
const int64 = 0xd3;

const cutShort = 'not msgpack: cut short';
const unsafeInteger = 'an integer is not below 2^53, and would be rounded';

/** What follows a type: bytes, values, pairs of values, or nothing that is plain. */
const shapes = { bytes: 0, values: 1, pairs: 2, refused: 3 } as const;

/** By type: its shape; the bytes of the count that follows; if no count follows, the count itself. */
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

/**
 * One pass over the tokens: each length is within what is left, nesting is bounded, and there are no
 * extension types (which could make a decoder build other things than plain values). Every message passes here, so
 * that it looks up what the types mean, and makes nothing.
 * @returns what is wrong; undefined: nothing
 */
export function faultOf(bytes: Uint8Array): string | undefined {
  const end = bytes.length;
  const outer: number[] = []; // values still to come, for each level further out
  let remaining = 1;
  let at = 0;
  for (;;) {
    while (remaining === 0) {
      const further = outer.pop();
      if (further === undefined) return at === end ? undefined : 'not msgpack: bytes after the value';
      remaining = further;
    }
    remaining -= 1;
    if (at >= end) return cutShort;
    const type = bytes[at] as number;
    at += 1;
    let count = fixedCount[type] as number;
    const countBytes = sizeOfCount[type] as number;
    if (countBytes > 0) {
      if (at + countBytes > end) return cutShort;
      for (const last = at + countBytes; at < last; at++) count = count * 256 + (bytes[at] as number);
    }
    const shape = shapeOf[type];
    if (shape === shapes.bytes) {
      at += count;
      if (at > end) return cutShort;
      if ((type === uint64 || type === int64) && !isSafe(bytes, at - 8, type)) return unsafeInteger;
      continue;
    }
    if (shape === shapes.refused) return 'not msgpack: not plain';
    const values = shape === shapes.pairs ? 2 * count : count;
    if (values > end - at) return cutShort;
    if (values === 0) continue;
    if (outer.length + 1 >= limits.messageDepth) return 'not msgpack: nested too deeply';
    outer.push(remaining);
    remaining = values;
  }
}

/** Whether the eight bytes of an integer are within what a number holds exactly. */
function isSafe(bytes: Uint8Array, at: number, type: number): boolean {
  const high = ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16);
  const half = high | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
  if (half >= 0 || type === uint64) return half >= 0 && half < 2 ** 21;
  // -2^53 itself is not safe.
  if (half !== -(2 ** 21)) return half > -(2 ** 21);
  return bytes[at + 4] !== 0 || bytes[at + 5] !== 0 || bytes[at + 6] !== 0 || bytes[at + 7] !== 0;
}

/**
 * Rewrites each float64 that holds a safe integer as uint64 or int64, which take as many bytes. The encoder writes numbers
 * from 2^32 on as float64; a strict decoder (Go, Python, Rust) refuses that if it expects an integer.
 * @param bytes one value that the encoder made: it is not checked
 */
export function writeIntegers(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    const type = bytes[at] as number;
    at += 1;
    if (type === float64) writeInteger(bytes, at);
    let count = fixedCount[type] as number;
    for (const last = at + (sizeOfCount[type] as number); at < last; at++) count = count * 256 + (bytes[at] as number);
    // The elements of lists and maps are tokens of their own.
    if (shapeOf[type] === shapes.bytes) at += count;
  }
}

/** A view of each message would cost more than the rest. */
const oneNumber = new Uint8Array(8);
const oneNumberView = new DataView(oneNumber.buffer);

function writeInteger(bytes: Uint8Array, at: number): void {
  for (let byte = 0; byte < 8; byte++) oneNumber[byte] = bytes[at + byte] as number;
  const value = oneNumberView.getFloat64(0);
  if (!Number.isSafeInteger(value)) return;
  bytes[at - 1] = value < 0 ? int64 : uint64;
  oneNumberView.setInt32(0, Math.floor(value / 2 ** 32));
  oneNumberView.setUint32(4, value % 2 ** 32);
  for (let byte = 0; byte < 8; byte++) bytes[at + byte] = oneNumber[byte] as number;
}
