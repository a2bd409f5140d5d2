import { type KvReply, limits } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { KvStateMachine } from '../src/index.js';
import { Requester, restored } from './support.js';

/** What one peer has of a group, and what clients of it can have been given out. */
function some(requester: Requester) {
  const { lease_id } = requester.ask('lease_grant', { ttl_ms: 5000 }) as { lease_id: number };
  const { revision } = requester.ask('put', { key: 'k', value: 'v', lease_id }) as KvReply<'put'>;
  const { token } = requester.ask('lock', { name: `lock ${lease_id}`, owner: 'me', lease_id }) as KvReply<'lock'>;
  return [lease_id, revision, token, requester.openSession()];
}

describe('an epoch, which a reset begins', () => {
  it('issues no revision, token, lease or session that the lost history may have issued', () => {
    const requester = new Requester(new KvStateMachine());
    some(requester);
    const survivor = restored(requester);
    const lost = Array.from({ length: 20 }, () => some(requester)).flat();
    survivor.stateMachine.beginEpoch(1);
    const found = Array.from({ length: 20 }, () => some(survivor)).flat();
    expect(found.filter((one) => lost.includes(one))).toEqual([]);
    expect(Math.min(...found.map(Number))).toBeGreaterThan(Math.max(...lost.map(Number)));
    // A session of the lost history is none here.
    const write = { client_id: lost[3], commands: [[1, 'put', 'k', 'w']] };
    expect(survivor.results(write)).toMatchObject([['unknown', 'ESESSION', expect.anything()]]);
  });

  it('forgets earlier changes: a watch starts again from the present keys', () => {
    const requester = new Requester(new KvStateMachine());
    some(requester);
    const { revision } = requester.stateMachine.history;
    requester.stateMachine.beginEpoch(1);
    for (const from_revision of [1, revision + 1, revision + 100]) {
      expect(() => requester.ask('changes', { prefix: '', from_revision })).toThrow('are known from revision');
    }
    expect(requester.ask('get', { key: 'k' })).toMatchObject({ value: 'v', revision: 1 });
  });

  it('begins once, and is the same from a snapshot', () => {
    const requester = new Requester(new KvStateMachine());
    some(requester);
    requester.stateMachine.beginEpoch(limits.epochs - 1);
    some(requester);
    const other = restored(requester);
    for (const one of [requester, other]) one.stateMachine.beginEpoch(limits.epochs - 1);
    expect(some(other)).toEqual(some(requester));
    requester.stateMachine.beginEpoch(limits.epochs);
    expect(some(requester).every((one) => Number.isSafeInteger(one))).toBe(true);
  });
});
