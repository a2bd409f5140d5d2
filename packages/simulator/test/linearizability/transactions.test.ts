import { describe, expect, it } from 'vitest';
import {
  checkHistory,
  faultOfTransactions,
  type Operation,
  operationsOf,
  type PartResult,
  type Transaction,
} from '../../src/linearizability/index.js';
import { Client, type Times } from './operations.js';

const one = new Client('c1');
const other = new Client('c2', 'b');

/** If `a` has the revision sets `a` and `b`, and reads `b`; else reads `a` and deletes `b`. */
function transaction(
  [called, returned]: Times,
  expected: number,
  ended: readonly [succeeded: boolean, revision: number, ...PartResult[]] | 'unknown' | 'not_done',
): Transaction {
  const parts = {
    compare: [['a', expected]],
    then: [
      ['put', 'a', 'A'],
      ['put', 'b', 'B'],
      ['get', 'b'],
    ],
    else: [
      ['get', 'a'],
      ['delete', 'b'],
    ],
  } as const;
  const times = { client: 'c3', called, returned, ...parts };
  if (typeof ended === 'string') return { ...times, ended: { outcome: ended } };
  const [succeeded, revision, ...results] = ended;
  return { ...times, ended: { outcome: 'done', reply: { succeeded, revision, results } } };
}

function verdictOf(transactions: readonly Transaction[], others: readonly Operation[]): string {
  const operations = [...others, ...transactions.flatMap(operationsOf)];
  const judgement = checkHistory(operations, { allWritesRecorded: true });
  if (judgement.verdict !== 'linearizable') return judgement.report;
  return faultOfTransactions(transactions, operations) ?? 'fine';
}

const held = (revision: number): readonly [boolean, number, ...PartResult[]] => [
  true,
  revision,
  ['put', revision - 1],
  ['put', revision],
  ['get', 'B', revision],
];

describe('the check of transactions accepts atomic ones', () => {
  it.each<[string, Transaction[], Operation[]]>([
    ['on nothing', [transaction([1, 2], 0, held(2))], []],
    ['after a write', [transaction([3, 4], 1, held(3))], [one.put([1, 2], 'x', 1)]],
    [
      'that take the other branch',
      [transaction([5, 6], 9, [false, 3, ['get', 'x', 1], ['delete', 3, true]])],
      [one.put([1, 2], 'x', 1), other.put([3, 4], 'y', 2)],
    ],
    ['that find nothing', [transaction([1, 2], 9, [false, 0, ['get', null, 0], ['delete', 0, false]])], []],
    [
      'of unknown outcome that are seen',
      [transaction([1, 2], 0, 'unknown')],
      [one.get([3, 4], 'A', 1), other.get([3, 4], 'B', 2)],
    ],
    ['of unknown outcome that are not seen', [transaction([1, 2], 0, 'unknown')], [one.get([3, 4], null, 0)]],
    ['that were not done', [transaction([1, 2], 0, 'not_done')], [one.get([3, 4], null, 0)]],
    [
      'behind a deletion that may have happened',
      [transaction([5, 6], 0, held(4))],
      [one.put([1, 2], 'x', 1), one.delete([3, 4], 'unknown')],
    ],
    [
      'at the same time as others',
      [transaction([1, 9], 1, held(4)), transaction([1, 9], 3, held(6))],
      [one.put([1, 9], 'x', 1), other.put([1, 9], 'y', 2)],
    ],
  ])('%s', (_what, transactions, others) => {
    expect(verdictOf(transactions, others)).toBe('fine');
  });
});

describe('the check of transactions finds those that are not atomic', () => {
  it.each<[string, Transaction[], Operation[], string]>([
    [
      'a write between what was compared and what was written',
      [transaction([1, 9], 1, held(4))],
      [one.put([1, 9], 'x', 1), one.put([1, 9], 'y', 2)],
      'it found a at revision 1, and 2 had been written when it happened',
    ],
    [
      'a write between two writes',
      [transaction([1, 9], 0, [true, 3, ['put', 1], ['put', 3], ['get', 'B', 3]])],
      [new Client('c1', 'k').put([1, 9], 'x', 2)],
      'its writes have the revisions 1, 3',
    ],
    [
      'a comparison that did not hold',
      [transaction([3, 4], 0, held(3))],
      [one.put([1, 2], 'x', 1)],
      'this found no key, but revision 1 was there',
    ],
    [
      'the wrong branch',
      [transaction([3, 4], 1, [false, 1, ['get', 'x', 1], ['delete', 0, false]])],
      [one.put([1, 2], 'x', 1)],
      'took the other branch',
    ],
    [
      'what it has not left so',
      [transaction([3, 4], 0, [true, 3, ['put', 2], ['put', 3], ['get', 'y', 1]])],
      [other.put([1, 2], 'y', 1)],
      'it found b at revision 1, and not as it had left it',
    ],
    [
      'a half of it',
      [transaction([1, 2], 0, held(2))],
      [one.get([3, 4], 'A', 1), other.get([3, 4], null, 0)],
      'this found no key, but revision 2 was there',
    ],
    [
      'results of other parts',
      [transaction([1, 2], 0, [true, 1, ['put', 1]])],
      [],
      'another number of results than of parts',
    ],
    ['it happened twice', [transaction([1, 2], 0, held(2)), transaction([1, 2], 0, held(4))], [], ''],
  ])('%s', (_what, transactions, others, said) => {
    const verdict = verdictOf(transactions, others);
    expect(verdict).not.toBe('fine');
    expect(verdict).toContain(said);
  });
});
