import { describe, expect, it } from 'vitest';
import { ConclaveError, decode, encode } from '../src/index.js';

describe('msgpack', () => {
  it.each([
    ['short and long text', ['a', 'b'.repeat(40), 'c'.repeat(300), 'd'.repeat(70_000)]],
    ['bytes, which are no Buffer', [0, 3, 300, 70_000].map((length) => new Uint8Array(length).fill(7))],
    ['numbers', [0, -1, 127, 128, 65_536, 2 ** 32, Number.MAX_SAFE_INTEGER, -129, -70_000, 0.5, 1e300]],
    ['lists and maps', [[], {}, [[1], { a: { b: [null, true, false] } }], Array.from({ length: 70_000 }, () => 1)]],
  ])('comes back as it went: %s', (_what, value) => {
    expect(decode(encode(value))).toEqual(value);
  });

  it.each([
    ['nothing', []],
    ['a text cut short', [0xd9, 5, 0x61]],
    ['a length cut short', [0xda, 5]],
    ['bytes behind the value', [0xc4, 1, 7, 7]],
    ['an extension', [0xd4, 1, 7]],
    ['a list that is longer than the message', [0xdd, 0xff, 0xff, 0xff, 0xff]],
    ['a type that is none', [0xc1]],
    ['an extension within a map', [0x81, 0xa1, 0x61, 0xc7, 1, 1, 7]],
    ['a number cut short', [0xcf, 1, 2, 3, 4, 5, 6, 7]],
    ['a map that lacks a value', [0xde, 0, 2, 1, 1, 2]],
    ['lists without end', Array.from({ length: 100 }, () => 0x91)],
  ])('is refused: %s', (_what, bytes) => {
    expect(() => decode(new Uint8Array(bytes))).toThrow(ConclaveError);
  });
});
