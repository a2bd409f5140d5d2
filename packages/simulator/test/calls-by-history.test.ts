import { numbersPerSecond } from '@conclave/protocol';
import { expect, test } from 'vitest';
import { History, type RecordedCall } from '../src/clients/history.js';
import type { Operation } from '../src/linearizability/index.js';
import { callsByHistory, carriedInto } from '../src/run/calls-by-history.js';
import { checkClients } from '../src/run/check-clients.js';

function get(groupUid: string, settledMs: number, at?: string): RecordedCall {
  const where = at === undefined ? {} : { at };
  return { client: 'c1', operation: 'get', key: 'k', invokedMs: 0, settledMs, outcome: 'ok', groupUid, ...where };
}

const done = { client: 'c1', key: 'k', outcome: 'done' } as const;
const put: Operation = { ...done, name: 'put', value: 'v', called: 1, returned: 2, reply: { revision: 7 } };

/** A get after the writes, which returns this value. */
function readOf(revision: number, value: string | null): Operation {
  const reply = { revision, value };
  return { ...done, name: 'get', consistency: 'linearizable', called: 5, returned: 6, reply };
}

test('a stale read of an empty peer belongs to no history and does not separate a history from the one it continues', () => {
  const history = new History();
  for (const call of [get('one', 1), get('', 2, 'n5'), get('reset', 3)]) history.add(call);
  history.continuing.add('reset');
  expect(callsByHistory(history).map(({ groupUid, isContinuing }) => [groupUid, isContinuing])).toEqual([
    ['one', false],
    ['reset', true],
  ]);
  // Another read must not do that.
  history.add(get('', 4));
  expect(callsByHistory(history).map(({ groupUid }) => groupUid)).toContain('');
});

test('a delete before a reset may be visible only by its revision: the key need not have existed', () => {
  const removed: Operation = { ...done, name: 'delete', called: 3, returned: 4, reply: { revision: 8, deleted: true } };
  const other: Operation = { ...put, value: 'w', reply: { revision: 6 } };
  const read = readOf(8, null);
  expect(carriedInto([other, put, removed], [read])).toEqual([]);
  const again = readOf(7, 'v');
  expect(carriedInto([other, put, removed], [again, read])).toEqual([put, { ...removed, outcome: 'unknown' }]);
});

test('a revision that a failed compare-and-set expected is not taken as inherited from an earlier history', () => {
  const cas = (swapped: boolean): Operation => ({
    ...done,
    name: 'cas',
    value: 'w',
    expectedRevision: 7,
    called: 5,
    returned: 6,
    reply: { revision: swapped ? 9 : 6, swapped },
  });
  expect(carriedInto([put], [cas(false)])).toEqual([]);
  expect(carriedInto([put], [cas(true)])).toEqual([put]);
});

test('a compare-and-set without a reply whose value is read shows the write that it expected', () => {
  const cas: Operation = {
    client: 'c1',
    key: 'k',
    name: 'cas',
    value: 'w',
    expectedRevision: 7,
    called: 3,
    returned: 4,
    outcome: 'unknown',
  };
  expect(carriedInto([put], [cas])).toEqual([]);
  expect(carriedInto([put], [cas, readOf(8, 'w')])).toEqual([put]);
});

test('an earlier compare-and-set that is inherited shows the write that it expected', () => {
  const unseen: Operation = { ...put, value: 'u', reply: { revision: 6 } };
  const cas: Operation = {
    ...done,
    name: 'cas',
    value: 'w',
    expectedRevision: 7,
    called: 3,
    returned: 4,
    reply: { revision: 8, swapped: true },
  };
  const read = readOf(8, 'w');
  expect(carriedInto([unseen, put, cas], [read])).toEqual([cas, put]);
});

test('a write is lost if this history shows another value with its revision', () => {
  expect(carriedInto([put], [readOf(7, 'v')])).toEqual([put]);
  expect(carriedInto([put], [readOf(7, 'w')])).toEqual([]);
});

test('a delete that finds a key which nobody has read in this history has removed one of the earlier writes, and it is not known which', () => {
  const found = (deleted: boolean): Operation => ({
    ...done,
    name: 'delete',
    called: 5,
    returned: 6,
    reply: { revision: deleted ? 20 : 0, deleted },
  });
  expect(carriedInto([put, { ...put, key: 'other' }], [found(true)])).toEqual([{ ...put, outcome: 'unknown' }]);
  expect(carriedInto([put], [found(false)])).toEqual([]);
});

test('a backup may be from any earlier history, not only from the last one', () => {
  const base = numbersPerSecond;
  const history = new History();
  const put = (groupUid: string, revision: number, atMs: number): RecordedCall => ({
    client: 'c1',
    operation: 'put',
    key: 'k',
    value: `v${revision}`,
    invokedMs: atMs,
    settledMs: atMs + 1,
    outcome: 'ok',
    groupUid,
    result: { revision },
  });
  const read: RecordedCall = {
    ...get('restored', 7),
    invokedMs: 6,
    result: { revision: base + 1, value: `v${base + 1}` },
  };
  for (const call of [put('one', base + 1, 1), put('two', 2 * base + 1, 3), read]) history.add(call);
  history.continuing.add('restored');
  expect(() => checkClients(history)).toThrow(/in the history restored/);
  history.restored.add('restored');
  expect(() => checkClients(history)).not.toThrow();
});

test('a write whose value an inherited get shows with another revision may have been executed there', () => {
  const read = readOf(8, 'v');
  expect(carriedInto([put], [read])).toEqual([{ ...put, outcome: 'unknown' }]);
  expect(carriedInto([put], [{ ...read, key: 'other' }])).toEqual([]);
});
