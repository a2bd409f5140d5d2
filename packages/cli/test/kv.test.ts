import { ConclaveError, type PeerId } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { hintAtPeer, textOrBytes } from '../src/commands/kv.js';

describe('a value from standard input', () => {
  it.each(['', 'x', 'line\n', 'ü €', '\u{1f600}', '\0', '\ufeffwith a mark'])('is the text %j', (text) => {
    expect(textOrBytes(Buffer.from(text))).toBe(text);
  });

  it.each([[[0xff]], [[0x61, 0xc3]], [[0xed, 0xa0, 0x80]], [[0xc0, 0x80]]])('is bytes: %j', (bytes) => {
    expect(textOrBytes(Buffer.from(bytes))).toEqual(Buffer.from(bytes));
  });
});

describe('a read that gets no reply', () => {
  const error = new ConclaveError('ETIMEDOUT', 'no reply within 10000 ms: nobody answers', 'not_done');
  const rethrown = (options: Parameters<typeof hintAtPeer>[0], thrown: unknown = error): unknown => {
    try {
      return hintAtPeer(options)(thrown);
    } catch (found) {
      return found;
    }
  };

  it('says that a stale read needs no leader if it names a peer', () => {
    for (const options of [{ stale: true }, { stale: false, consistency: 'stale' } as const]) {
      expect(rethrown(options)).toMatchObject({
        code: 'ETIMEDOUT',
        outcome: 'not_done',
        message: expect.stringMatching(/^no reply within 10000 ms: nobody answers; .*--peer <name>/),
      });
    }
  });

  it('says nothing of it if the read names a peer, needs a leader, or fails otherwise', () => {
    expect(rethrown({ stale: true, peer: 'n1' as PeerId })).toBe(error);
    expect(rethrown({ stale: false })).toBe(error);
    const refused = new ConclaveError('EINVAL', 'the key is too long');
    expect(rethrown({ stale: true }, refused)).toBe(refused);
  });
});
