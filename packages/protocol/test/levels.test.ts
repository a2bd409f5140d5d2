import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import {
  asLogIndex,
  asTerm,
  batchFrom,
  batchHeader,
  batchIsIntact,
  batchPayloads,
  batchUpTo,
  ConclaveError,
  commonLevels,
  decodeSnapshotChunk,
  encodeBatch,
  encodeConfigurationBatch,
  type Member,
  SnapshotChunker,
} from '../src/index.js';

const text = (payload: Uint8Array | undefined) => Buffer.from(payload ?? []).toString();

function abc(level?: number): Uint8Array {
  return encodeBatch(
    'commands',
    asTerm(3),
    asLogIndex(7),
    ['a', 'b', 'c'].map((each) => Buffer.from(each)),
    level,
  );
}

/** As a later version would write it. */
function patched(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = value;
  new DataView(copy.buffer).setUint32(0, crc32(copy.subarray(4)));
  return copy;
}

describe('promise 31: a batch', () => {
  test('of level 0 has the bytes that the first version writes and reads', () => {
    expect(Buffer.from(abc()).toString('hex')).toBe(
      '203d4b1e01000000000000000000000300000000000000070000000300000001610000000162000000' + '0163',
    );
    expect(batchHeader(abc())).toEqual({ kind: 'commands', term: 3, first: 7, last: 9 });
  });

  test('of a higher level is of another version, which the first version does not read, and contains its level', () => {
    expect(abc(1)[4]).toBe(2);
    expect(batchHeader(abc(1))).toEqual({ kind: 'commands', term: 3, first: 7, last: 9, level: 1 });
    const peers: Member[] = [{ peer_id: 'n1' as Member['peer_id'], store_id: 's1' as Member['store_id'] }];
    const configuration = { peers, old_peers: [], level: 1 };
    expect(batchHeader(encodeConfigurationBatch(asTerm(1), asLogIndex(1), configuration))).toMatchObject({ level: 1 });
  });

  test('keeps its version, kind and level when it is cut', () => {
    const unknown = patched(abc(2), 5, 9);
    const cut = batchFrom(batchUpTo(unknown, asLogIndex(8)), asLogIndex(8));
    expect(batchHeader(cut)).toEqual({ kind: 'unknown', term: 3, first: 8, last: 8, level: 2 });
    expect(batchIsIntact(cut)).toBe(true);
    expect(batchPayloads(cut).map(text)).toEqual(['b']);
    expect(batchUpTo(abc(), asLogIndex(9))).toEqual(abc());
  });

  test('of a version, or of version 1 with a kind or level, that cannot be is refused', () => {
    for (const bytes of [patched(abc(), 4, 3), patched(abc(), 5, 9), patched(abc(), 7, 1), patched(abc(1), 7, 0)]) {
      expect(() => batchHeader(bytes)).toThrow(ConclaveError);
    }
  });
});

describe('promise 31: a chunk of a snapshot', () => {
  const chunk = (level: number) => {
    const cutter = new SnapshotChunker(asLogIndex(5), undefined, level);
    return [...cutter.add(Buffer.from('piece')), ...cutter.end()][0] as Uint8Array;
  };

  test('of a higher level is of another version, which the first version does not install', () => {
    expect([chunk(0)[4], chunk(0)[7], chunk(1)[4], chunk(1)[7]]).toEqual([1, 0, 2, 1]);
    for (const level of [0, 1]) expect(decodeSnapshotChunk(chunk(level)).parts.map(text)).toEqual(['piece']);
    expect(() => decodeSnapshotChunk(patched(chunk(1), 4, 3))).toThrow(ConclaveError);
  });
});

test('the levels that several processes support are those that each of them supports', () => {
  const levels = (lowest: number, highest: number) => ({ lowest, highest });
  expect(commonLevels([levels(0, 3), levels(1, 2)])).toEqual(levels(1, 2));
});
