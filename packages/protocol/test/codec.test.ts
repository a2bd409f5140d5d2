import { describe, expect, it } from 'vitest';
import { ConclaveError, decode, encode } from '../src/index.js';
import goldenBodies from './golden-bodies.json' with { type: 'json' };

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
    ['bytes after the value', [0xc4, 1, 7, 7]],
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

  // The same bytes are decoded by a Go and a Python program: test/long/other-languages.test.ts.
  it.each(goldenBodies)(
    'promise 36: is encoded to the bytes on record, and decoded from them: $what',
    ({ body, hex }) => {
      expect(Buffer.from(encode(body)).toString('hex')).toBe(hex);
      expect(decode(Buffer.from(hex, 'hex'))).toEqual(body);
    },
  );

  it('writes each safe integer beyond 32 bits as an integer, wherever it occurs', () => {
    const integers = [2 ** 32, 2 ** 53 - 1, -(2 ** 31) - 1, -(2 ** 32), 1 - 2 ** 53, 458_209_634_418_689];
    const lists = integers.map((integer) => [new Uint8Array(203).fill(0xcb), 'ˀ'.repeat(203), integer, 0.5]);
    const bytes = encode({ a: lists, b: Object.fromEntries(lists.entries()), c: integers });
    expect(decode(bytes)).toEqual({ a: lists, b: Object.fromEntries(lists.entries()), c: integers });
    expect(encode(integers).filter((byte, at) => at % 9 === 1 && byte !== 0xcf && byte !== 0xd3)).toHaveLength(0);
  });

  it.each([
    ['2^53', 'cf0020000000000000'],
    ['2^64 - 1', 'cfffffffffffffffff'],
    ['-2^53', 'd3ffe0000000000000'],
    ['-2^63', 'd38000000000000000'],
    ['2^63 - 1', 'd37fffffffffffffff'],
  ])('is refused rather than rounded: the integer %s', (_what, hex) => {
    expect(() => decode(Buffer.from(hex, 'hex'))).toThrow('2^53');
  });

  it('decodes the whole numbers of an older build, which are encoded as float64', () => {
    expect(decode(Buffer.from('cb41f0000000000000', 'hex'))).toBe(2 ** 32);
  });
});
