import type { PeerId } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { Driver } from './driver.js';

const done = (revision: number) => ['done', revision, true];
const putDone = (revision: number) => ({ outcome: 'done', result: { revision } });
const put = (key: string) => ({ operation: 'put', key, value: 'v' }) as const;
const overWith = (outcome: string) => ({
  outcome,
  error: { code: 'EHISTORY', message: expect.any(String), outcome },
});
const refusal = { error: { code: 'EHISTORY', message: 'the history is two', outcome: 'not_done' } };

/** A client that has a session in history `one`. */
function inOne(): Driver {
  const driver = new Driver();
  driver.call(put('a'));
  driver.idle();
  driver.reply({ client_id: 'session-one', group_uid: 'one' });
  driver.idle();
  driver.reply({ results: [done(5)], group_uid: 'one' });
  expect(driver.settled.get(1)).toEqual(putDone(5));
  return driver;
}

describe('promises 21 and 29: a client of a group that is in another history', () => {
  it('names the history that it knows in each request, from the first reply on', () => {
    const driver = inOne();
    expect(driver.requests.map(({ body }) => body.group_uid)).toEqual([undefined, 'one']);
    driver.call({ operation: 'get', key: 'a' });
    driver.call(put('b'));
    driver.call({ operation: 'query', name: 'range', body: { prefix: '' } });
    driver.call({ operation: 'lease_keep', leaseId: 7 });
    driver.idle();
    expect(driver.requests.slice(2).every(({ body }) => body.group_uid === 'one')).toBe(true);
    expect(driver.requests.length).toBe(6);
    expect(driver.core.history).toBe('one');
  });

  it('is notified once, and then continues with a session of the next history', () => {
    const driver = inOne();
    const call = driver.call(put('b'));
    driver.idle();
    const waiting = driver.call(put('c'));
    driver.reply(refusal);
    expect(driver.settled.get(call)).toEqual(overWith('not_done'));
    expect(driver.settled.get(waiting)).toEqual(overWith('not_done'));
    expect(driver.ended).toEqual(['one']);
    const next = driver.call(put('d'));
    driver.idle();
    expect(driver.requests.at(-1)).toMatchObject({ target: { name: 'open_session' }, body: {} });
    expect(driver.requests.at(-1)?.body).not.toHaveProperty('group_uid');
    driver.reply({ client_id: 'session-two', group_uid: 'two' });
    driver.idle();
    expect(driver.requests.at(-1)?.body).toMatchObject({ client_id: 'session-two', group_uid: 'two' });
    driver.reply({ results: [done(9)], group_uid: 'two' });
    expect(driver.settled.get(next)).toEqual(putDone(9));
    expect(driver.ended).toEqual(['one']);
  });

  it('reports a call that may have been executed in the old history as unknown', () => {
    const driver = inOne();
    const call = driver.call(put('b'));
    driver.idle();
    const { requestId } = driver.requests.at(-1) as { requestId: number };
    // The first attempt is not answered; the second one names the same history.
    driver.pass(1000);
    expect(driver.requests.at(-1)?.body).toMatchObject({ client_id: 'session-one', group_uid: 'one' });
    expect(driver.requests.at(-1)?.requestId).toBeGreaterThan(requestId);
    driver.reply(refusal);
    expect(driver.settled.get(call)).toEqual(overWith('unknown'));
  });

  it('leaves requests that are under way their own answers', () => {
    const driver = inOne();
    const [written, read] = [driver.call(put('b')), driver.call({ operation: 'get', key: 'a' })];
    driver.idle();
    const [write] = driver.requests.slice(-2);
    driver.reply(refusal);
    expect(driver.settled.get(read)).toEqual(overWith('not_done'));
    expect(driver.settled.has(written)).toBe(false);
    driver.step({
      type: 'reply',
      requestId: write?.requestId ?? 0,
      reply: { type: 'body', body: { results: [done(6)], group_uid: 'one' } },
    });
    expect(driver.settled.get(written)).toEqual(putDone(6));
  });

  it('learns of it from the reply to a request that named none, too', () => {
    const driver = new Driver();
    driver.call({ operation: 'get', key: 'a' });
    driver.call({ operation: 'query', name: 'range', body: { prefix: '' } });
    driver.idle();
    const [read, range] = driver.requests;
    const answer = (requestId = 0, body: object = {}) =>
      driver.step({ type: 'reply', requestId, reply: { type: 'body', body } });
    answer(read?.requestId, { found: [['v', 3]], group_uid: 'one' });
    answer(range?.requestId, { found: [], more: false, revision: 1, group_uid: 'two' });
    expect(driver.ended).toEqual(['one']);
    expect(driver.core.history).toBe('two');
  });

  it('does not consider a peer that was left behind to be the group', () => {
    const driver = inOne();
    const call = driver.call({ operation: 'get', key: 'a', peerId: 'n2' as PeerId });
    driver.idle();
    driver.reply(refusal);
    expect(driver.settled.get(call)).toEqual(overWith('not_done'));
    expect(driver.ended).toEqual([]);
    expect(driver.core.history).toBe('one');
  });

  it('names none if the peers report none, as those of the first version', () => {
    const driver = new Driver();
    driver.call(put('a'));
    driver.idle();
    driver.reply({ client_id: 7 });
    driver.idle();
    driver.reply({ results: [done(1)] });
    driver.call(put('b'));
    driver.idle();
    expect(driver.requests.every(({ body }) => !('group_uid' in body))).toBe(true);
  });
});
