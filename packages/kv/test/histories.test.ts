import { type GroupUid, historyGap, type KvReply } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { KvStateMachine } from '../src/index.js';
import { piecesOf, Requester, restored } from './support.js';

const [first, second] = ['history-1' as GroupUid, 'history-2' as GroupUid];

/** What clients of a group can have been given out. */
function numbersOf(requester: Requester): number[] {
  const { lease_id } = requester.ask('lease_grant', { ttl_ms: 5000 }) as KvReply<'lease_grant'>;
  const { revision } = requester.ask('put', { key: 'k', value: 'v', lease_id }) as KvReply<'put'>;
  const { token } = requester.ask('lock', { name: `lock ${revision}`, owner: 'me', lease_id }) as KvReply<'lock'>;
  return [revision, token];
}

describe('promises 29 and 30: a history of the store', () => {
  it('issues only numbers above its base', () => {
    const requester = new Requester(new KvStateMachine());
    requester.stateMachine.beginHistory({ groupUid: first, base: 2 ** 48 });
    expect(numbersOf(requester).every((number) => number > 2 ** 48 && Number.isSafeInteger(number))).toBe(true);
  });

  it('begins far above all numbers that were issued before, whatever its base', () => {
    const requester = new Requester(new KvStateMachine());
    requester.stateMachine.beginHistory({ groupUid: first, base: 2 ** 48 });
    const before = Math.max(...numbersOf(requester));
    requester.stateMachine.beginHistory({ groupUid: second, base: 2 ** 40 });
    expect(Math.min(...numbersOf(requester))).toBeGreaterThan(before + historyGap - 1);
  });

  it('begins at its base, and no higher, if that is above all numbers that were issued before', () => {
    const requester = new Requester(new KvStateMachine());
    requester.stateMachine.beginHistory({ groupUid: first, base: 2 ** 48 });
    const base = Math.max(...numbersOf(requester)) + 1;
    requester.stateMachine.beginHistory({ groupUid: second, base });
    const numbers = numbersOf(requester);
    expect(Math.min(...numbers)).toBeGreaterThan(base);
    expect(Math.max(...numbers)).toBeLessThan(base + 100);
  });

  it('has none of the sessions of the one before it, and does nothing for them', () => {
    const requester = new Requester(new KvStateMachine());
    requester.stateMachine.beginHistory({ groupUid: first, base: 1 });
    const client_id = requester.openSession();
    const write = { client_id, commands: [[1, 'put', 'k', 'w']] };
    expect(requester.results(write)).toMatchObject([['done', expect.anything(), true]]);
    requester.stateMachine.beginHistory({ groupUid: second, base: 2 });
    for (const sequence of [1, 2]) {
      const again = { client_id, commands: [[sequence, 'put', 'k', 'x']] };
      expect(requester.results(again)).toMatchObject([['unknown', 'ESESSION', expect.anything()]]);
    }
    expect(requester.ask('get', { key: 'k' })).toMatchObject({ value: 'w' });
  });

  it('reports that earlier changes are no longer known, also below its first revision', () => {
    const requester = new Requester(new KvStateMachine());
    requester.stateMachine.beginHistory({ groupUid: first, base: 1000 });
    const [revision = 0] = numbersOf(requester);
    requester.stateMachine.beginHistory({ groupUid: second, base: 2 ** 48 });
    for (const from_revision of [1, revision, revision + 100]) {
      expect(() => requester.ask('changes', { prefix: '', from_revision })).toThrow('are known from revision');
    }
  });

  it('begins once, and is the same from a snapshot', () => {
    const requester = new Requester(new KvStateMachine());
    requester.stateMachine.beginHistory({ groupUid: first, base: 2 ** 48 });
    numbersOf(requester);
    const other = restored(requester);
    for (const one of [requester, other]) one.stateMachine.beginHistory({ groupUid: first, base: 2 ** 48 });
    expect(numbersOf(other)).toEqual(numbersOf(requester));
    expect(piecesOf(other.stateMachine)).toEqual(piecesOf(requester.stateMachine));
  });

  it('continues with numbers and sessions if its group reaches level 1 only now', () => {
    const requester = new Requester(new KvStateMachine());
    const [before = 0] = numbersOf(requester);
    const client_id = requester.openSession();
    requester.stateMachine.beginHistory({ groupUid: first, base: 0 });
    const write = { client_id, commands: [[1, 'put', 'k', 'w']] };
    expect(requester.results(write)).toMatchObject([['done', expect.anything(), true]]);
    expect(numbersOf(requester)[0]).toBeLessThan(before + 10);
  });

  it('leaves the snapshots of a group of level 0 as they were', () => {
    const requester = new Requester(new KvStateMachine());
    numbersOf(requester);
    const [head] = piecesOf(requester.stateMachine);
    requester.stateMachine.beginHistory({ groupUid: first, base: 0 });
    expect(piecesOf(requester.stateMachine)[0]?.length).toBeGreaterThan(head?.length ?? Number.POSITIVE_INFINITY);
  });
});
