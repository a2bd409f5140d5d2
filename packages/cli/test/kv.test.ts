import { describe, expect, it } from 'vitest';
import { textOrBytes } from '../src/commands/kv.js';

describe('a value from standard input', () => {
  it.each(['', 'x', 'line\n', 'ü €', '\u{1f600}', '\0', '\ufeffwith a mark'])('is the text %j', (text) => {
    expect(textOrBytes(Buffer.from(text))).toBe(text);
  });

  it.each([[[0xff]], [[0x61, 0xc3]], [[0xed, 0xa0, 0x80]], [[0xc0, 0x80]]])('is bytes: %j', (bytes) => {
    expect(textOrBytes(Buffer.from(bytes))).toEqual(Buffer.from(bytes));
  });
});
