import { describe, expect, it } from 'vitest';
import { faultOfLocks, type Holding, type Operation } from '../../src/linearizability/index.js';
import { Client, type Times } from './operations.js';

const writer = new Client('c9');

function holds([called, returned]: Times, owner: string, token: number, name = 'l'): Holding {
  return { client: `client of ${owner}`, owner, name, token, called, returned };
}

describe('promise 20: the check of locks accepts', () => {
  it.each<[string, Holding[], Operation[]]>([
    ['one after the other', [holds([1, 2], 'x', 1), holds([3, 4], 'y', 2)], []],
    ['the same holder receives its token twice', [holds([1, 2], 'x', 1), holds([5, 6], 'x', 1)], []],
    ['calls that overlap are listed in another order', [holds([1, 5], 'x', 3), holds([4, 6], 'y', 2)], []],
    ['locks of other names', [holds([1, 2], 'x', 5), holds([3, 4], 'y', 2, 'm'), holds([5, 6], 'x', 5)], []],
    ['writes before and after', [holds([3, 4], 'x', 2)], [writer.put([1, 2], 'v', 1), writer.put([5, 6], 'v', 3)]],
    ['a write at the same time', [holds([1, 4], 'x', 2)], [writer.put([2, 3], 'v', 1)]],
  ])('%s', (_what, holdings, operations) => {
    expect(faultOfLocks(holdings, operations)).toBeUndefined();
  });
});

describe('promise 20: the check of locks finds', () => {
  it.each<[string, Holding[], Operation[], string]>([
    [
      'a token of two holders',
      [holds([1, 9], 'x', 1), holds([2, 8], 'y', 1)],
      [],
      'token 1 was issued to two holders: client of x (x) holds l with token 1, by a call from 1 to 9',
    ],
    ['a token of two locks', [holds([1, 9], 'x', 1), holds([2, 8], 'x', 1, 'm')], [], 'issued to two holders'],
    ['a token that falls', [holds([1, 2], 'x', 7), holds([3, 4], 'y', 6)], [], 'a lower token came after a higher one'],
    [
      'a holder that comes back',
      [holds([1, 2], 'x', 1), holds([3, 4], 'y', 2), holds([5, 6], 'x', 1)],
      [],
      'a lower token came after a higher one',
    ],
    ['a token that a write has', [holds([1, 9], 'x', 4)], [writer.put([1, 9], 'v', 4)], 'a write of a has revision 4'],
    [
      'a token from the future',
      [holds([1, 2], 'x', 9)],
      [writer.put([3, 4], 'v', 8)],
      'a write of a has revision 8, and was called after client of x (x) holds l with token 9',
    ],
  ])('%s', (_what, holdings, operations, said) => {
    expect(faultOfLocks(holdings, operations)).toContain(said);
  });
});
