import { expect, test } from 'vitest';
import { History, type RecordedCall } from '../src/clients/history.js';
import { callsOfHistories } from '../src/run/calls-of-histories.js';

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
