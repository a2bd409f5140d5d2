import { expect, test } from 'vitest';
import { History, type RecordedCall } from '../src/clients/history.js';
import type { Operation } from '../src/linearizability/index.js';
import { callsOfHistories, carriedInto } from '../src/run/calls-of-histories.js';

function get(groupUid: string, answeredMs: number, at?: string): RecordedCall {
  const where = at === undefined ? {} : { at };
  return { client: 'c1', operation: 'get', key: 'k', invokedMs: 0, answeredMs, outcome: 'ok', groupUid, ...where };
}

test('a peer that holds nothing answers a stale read from no history, and parts none from what it goes on with', () => {
  const history = new History();
  for (const call of [get('one', 1), get('', 2, 'n5'), get('reset', 3)]) history.add(call);
  history.continuing.add('reset');
  expect(callsOfHistories(history).map(({ groupUid, isContinuing }) => [groupUid, isContinuing])).toEqual([
    ['one', false],
    ['reset', true],
  ]);
  // Another read has no business there.
  history.add(get('', 4));
  expect(callsOfHistories(history).map(({ groupUid }) => groupUid)).toContain('');
});

test('of a delete before a reset only its number may show: the key need not have been there', () => {
  const done = { client: 'c1', key: 'k', outcome: 'done' } as const;
  const put: Operation = { ...done, name: 'put', value: 'v', called: 1, returned: 2, reply: { revision: 7 } };
  const removed: Operation = { ...done, name: 'delete', called: 3, returned: 4, reply: { revision: 8, deleted: true } };
  const other: Operation = { ...put, value: 'w', reply: { revision: 6 } };
  const read: Operation = {
    ...done,
    name: 'get',
    consistency: 'linearizable',
    called: 5,
    returned: 6,
    reply: { revision: 8, value: null },
  };
  expect(carriedInto([other, put, removed], [read])).toEqual([]);
  const again: Operation = { ...read, reply: { revision: 7, value: 'v' } };
  expect(carriedInto([other, put, removed], [again, read])).toEqual([put, { ...removed, outcome: 'unknown' }]);
});
