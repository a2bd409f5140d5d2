/** The check of leases: what it accepts, and what it rejects. */
import { expect, test } from 'vitest';
import { checkHistory, type LeaseCall, LeaseHistories, type Operation } from '../../src/linearizability/index.js';

const client = 'c1';
const lease = 'x';
const whenPassed = (fromMs: number, forMs: number): number => fromMs + forMs;

type More = Partial<LeaseCall>;

function call(name: LeaseCall['name'], called: number, returned: number, more: More = {}): LeaseCall {
  return { client, name, lease, called, returned, outcome: 'done', ...more };
}

const granted = call('grant', 0, 10, { ttlMs: 1000 });
const tied = call('put', 20, 30, { key: 't', value: 'v' });
const ended = (called: number, returned: number): LeaseCall =>
  call('keep', called, returned, { outcome: 'not_done', code: 'ENOENT' });

function put(called: number, returned: number, revision: number): Operation {
  return { client, key: 't', name: 'put', value: 'v', called, returned, outcome: 'done', reply: { revision } };
}

function get(called: number, returned: number, value: string | null, revision: number): Operation {
  const reply = { value, revision };
  return { client, key: 't', name: 'get', consistency: 'linearizable', called, returned, outcome: 'done', reply };
}

function faultOf(calls: readonly LeaseCall[], operations: readonly Operation[] = []): string | undefined {
  return new LeaseHistories(calls, whenPassed).fault(operations);
}

function verdictOf(calls: readonly LeaseCall[], operations: readonly Operation[]): string {
  const deletions = new LeaseHistories(calls, whenPassed).deletions();
  return checkHistory([...operations, ...deletions], { allWritesRecorded: true }).verdict;
}

test('a lease may have ended once its time has passed since the last acknowledged keep', () => {
  expect(faultOf([granted, ended(1000, 1010)])).toBeUndefined();
  expect(faultOf([granted, call('keep', 500, 510), ended(1490, 1500)])).toBeUndefined();
});

test('a lease that was kept in time must exist', () => {
  expect(faultOf([granted, ended(980, 990)])).toMatch(/did not find it, and it was kept in time/);
  expect(faultOf([granted, call('keep', 500, 510), ended(1200, 1210)])).toMatch(/kept in time/);
});

test('a lease may have ended after an unacknowledged keep, or after a revoke', () => {
  const unknown = call('keep', 500, 600, { outcome: 'unknown' });
  expect(faultOf([granted, unknown, ended(1200, 1210)])).toBeUndefined();
  expect(faultOf([granted, call('revoke', 100, 110, { changed: true }), ended(120, 130)])).toBeUndefined();
});

test('a lease may have ended earlier by a clock that ran fast', () => {
  const twice = (fromMs: number, forMs: number): number => fromMs + forMs / 2;
  expect(new LeaseHistories([granted, ended(600, 610)], twice).fault([])).toBeUndefined();
});

test('a lease that has ended does not come back', () => {
  const over = [granted, ended(1500, 1510)];
  expect(faultOf([...over, call('keep', 1520, 1530)])).toMatch(/keep of c1 at 1520 found it, when it was over/);
  expect(faultOf([...over, call('put', 1520, 1530, { key: 't', value: 'w' })])).toMatch(/put of c1 at 1520 found it/);
  expect(faultOf([...over, call('revoke', 1520, 1530, { changed: true })])).toMatch(/revoked it at 1520/);
  expect(faultOf([...over, call('keep', 1505, 1530)])).toBeUndefined();
});

test('a key of a lease is not read after the lease has ended', () => {
  const calls = [granted, tied, ended(1500, 1510)];
  expect(faultOf(calls, [put(20, 30, 1), get(1520, 1530, 'v', 1)])).toMatch(/read t, which was tied to x, at 1520/);
  expect(faultOf(calls, [put(20, 30, 1), get(1520, 1530, null, 0)])).toBeUndefined();
  // Another write has set the same value.
  const again: Operation[] = [put(20, 30, 1), put(1000, 1010, 2), get(1520, 1530, 'v', 2)];
  expect(faultOf(calls, again)).toBeUndefined();
});

test('a key that is missing while its lease was kept in time is a violation', () => {
  const calls = [granted, tied, call('keep', 900, 910)];
  expect(verdictOf(calls, [put(20, 30, 1), get(1500, 1510, null, 0)])).toBe('violated');
  expect(verdictOf(calls, [put(20, 30, 1), get(1900, 1910, null, 0)])).toBe('linearizable');
});
