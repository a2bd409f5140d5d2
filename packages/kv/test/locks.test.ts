import { type KvReply, limits } from '@conclave/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { KvStateMachine } from '../src/index.js';
import { generator, Requester } from './support.js';

let requester: Requester;
beforeEach(() => {
  requester = new Requester(new KvStateMachine());
});

const refused = { acquired: false, token: 0 };

function grant(ttl_ms = 10_000): number {
  return (requester.ask('lease_grant', { ttl_ms }) as { lease_id: number }).lease_id;
}

function lock(name: string, owner: string, lease_id: number, wait = false): KvReply<'lock'> {
  return requester.ask('lock', { name, owner, lease_id, wait }) as KvReply<'lock'>;
}

function unlock(name: string, token: number): boolean {
  return (requester.ask('unlock', { name, token }) as KvReply<'unlock'>).released;
}

/** Owner and token of the holder, and how many wait. */
function seen(name: string): unknown {
  const { holder, waiting } = requester.ask('lock_get', { name }) as KvReply<'lock_get'>;
  return holder === null ? ['nobody', 0, waiting] : [holder.owner, holder.token, waiting];
}

describe('a lock', () => {
  it('has one holder, which gets the same token again, and a higher one the next time', () => {
    const [mine, yours] = [grant(), grant()];
    requester.ask('put', { key: 'k', value: 'v' });
    expect(lock('l', 'me', mine)).toEqual({ acquired: true, token: 2 });
    expect(lock('l', 'me', mine)).toEqual({ acquired: true, token: 2 });
    expect(lock('l', 'you', yours)).toEqual(refused);
    // Another owner of the same lease is another.
    expect(lock('l', 'you', mine)).toEqual(refused);
    expect(requester.ask('lock_get', { name: 'l' })).toEqual({
      holder: { owner: 'me', lease_id: mine, token: 2 },
      waiting: 0,
    });
    expect(unlock('l', 1)).toBe(false);
    expect(unlock('l', 2)).toBe(true);
    expect(unlock('l', 2)).toBe(false);
    expect(seen('l')).toEqual(['nobody', 0, 0]);
    expect(lock('other', 'you', yours)).toEqual({ acquired: true, token: 3 });
    expect(lock('l', 'me', mine)).toEqual({ acquired: true, token: 4 });
    // Tokens are revisions: no write has the same.
    expect(requester.ask('put', { key: 'k', value: 'w' })).toEqual({ revision: 5 });
  });

  it('is acquired in the order of the queue', () => {
    const leases = ['a', 'b', 'c', 'd'].map((owner) => [owner, grant()] as const);
    for (const [owner, lease] of leases) lock('l', owner, lease, true);
    expect(seen('l')).toEqual(['a', 1, 3]);
    // Asking again does not change the place; not to wait any more gives it up.
    expect(lock('l', 'b', leases[1]![1], true)).toEqual(refused);
    expect(lock('l', 'c', leases[2]![1], false)).toEqual(refused);
    expect(seen('l')).toEqual(['a', 1, 2]);
    expect(unlock('l', 1)).toBe(true);
    expect(seen('l')).toEqual(['b', 2, 1]);
    expect(lock('l', 'b', leases[1]![1], true)).toEqual({ acquired: true, token: 2 });
    expect(unlock('l', 2)).toBe(true);
    expect(seen('l')).toEqual(['d', 3, 0]);
    expect(unlock('l', 3)).toBe(true);
    expect(seen('l')).toEqual(['nobody', 0, 0]);
  });

  it('is lost with its lease, and so is a place in the queue', () => {
    const [first, second, third] = [grant(), grant(), grant()];
    lock('l', 'first', first);
    lock('l', 'second', second, true);
    lock('l', 'third', third, true);
    lock('l', 'first, too', first, true);
    lock('m', 'second', second);
    requester.ask('lease_revoke', { lease_id: second });
    expect([seen('l'), seen('m')]).toEqual([
      ['first', 1, 2],
      ['nobody', 0, 0],
    ]);
    // It goes with both places of its lease, to who is left.
    requester.ask('lease_revoke', { lease_id: first });
    expect(seen('l')).toEqual(['third', 3, 0]);
    requester.ask('lease_revoke', { lease_id: third });
    expect(seen('l')).toEqual(['nobody', 0, 0]);
    expect(() => lock('l', 'first', first)).toThrow('there is no such lease');
  });

  it('goes to another owner of the same lease, too', () => {
    const lease = grant();
    lock('l', 'one', lease);
    lock('l', 'other', lease, true);
    expect(unlock('l', 1)).toBe(true);
    expect(seen('l')).toEqual(['other', 2, 0]);
    requester.ask('lease_revoke', { lease_id: lease });
    expect(seen('l')).toEqual(['nobody', 0, 0]);
  });

  it('is acquired once, however often that is sent', () => {
    const lease = grant();
    const client_id = requester.openSession();
    const ask = { client_id, commands: [[1, 'lock', 'l', 'me', lease, false]] };
    expect(requester.results(ask)).toEqual([['done', 1, true]]);
    const giveBack = { client_id, commands: [[2, 'unlock', 'l', 1]] };
    expect(requester.results(giveBack)).toEqual([['done', 1, true]]);
    // A late repeat does not take it again.
    expect(requester.results(ask)).toEqual([['done', 1, true]]);
    expect(requester.results(giveBack)).toEqual([['done', 1, true]]);
    expect(seen('l')).toEqual(['nobody', 0, 0]);
  });

  it('has a bounded queue, and a lease a bounded number of locks', () => {
    const [holder, ...waiters] = Array.from({ length: 3 }, () => grant()) as [number, ...number[]];
    lock('l', 'holder', holder);
    for (let at = 0; at < limits.lockWaiters; at++) lock('l', `${at}`, waiters[at % 2]!, true);
    expect(() => lock('l', 'one more', waiters[0]!, true)).toThrow(`${limits.lockWaiters} wait for the lock`);
    expect(lock('l', 'one more', waiters[0]!)).toEqual(refused);
    const lease = grant();
    for (let at = 0; at < limits.leaseLocks; at++) lock(`m${at}`, 'me', lease);
    expect(() => lock('another', 'me', lease)).toThrow(/at most/);
    expect(unlock('m0', lock('m0', 'me', lease).token)).toBe(true);
    expect(lock('another', 'me', lease).acquired).toBe(true);
  });
});

describe('promise 20: a lock has a fencing token that grows', () => {
  it('so a client that has lost it without knowing writes no more', () => {
    const [slow, quick] = [grant(1000), grant(60_000)];
    const { token: old } = lock('l', 'slow', slow);
    lock('l', 'quick', quick, true);
    const guarded = (token: number, value: string) =>
      requester.ask('txn', { compare: [['l', 'lock', '=', token]], then: [['put', 'guarded', value]] });
    expect(guarded(old, 'of slow')).toMatchObject({ succeeded: true });
    // The lease of the first ends, and the first is not notified.
    requester.stateMachine.housekeeping(0);
    requester.apply(requester.stateMachine.housekeeping(1000)!);
    const { acquired, token } = lock('l', 'quick', quick, true);
    expect(acquired).toBe(true);
    expect(token).toBeGreaterThan(old);
    expect(guarded(token, 'of quick')).toMatchObject({ succeeded: true });
    expect(guarded(old, 'of slow, late')).toMatchObject({ succeeded: false });
    expect(requester.ask('get', { key: 'guarded' })).toMatchObject({ value: 'of quick' });
    // Nor does what it gives back take the lock from the other.
    expect(unlock('l', old)).toBe(false);
    expect(seen('l')).toEqual(['quick', token, 0]);
    expect(unlock('l', token)).toBe(true);
    expect(requester.ask('txn', { compare: [['l', 'lock', '=', 0]], then: [] })).toMatchObject({ succeeded: true });
  });

  it('and no two hold it, nor have one token, whatever happens', () => {
    const random = generator(17);
    const requesters = [requester, new Requester(new KvStateMachine(), true)];
    const both = (operation: string, body: object): unknown => {
      const [one, other] = requesters.map((each) => {
        try {
          return each.ask(operation, body);
        } catch (error) {
          return String(error);
        }
      });
      expect(other).toEqual(one);
      return one;
    };
    /** For each token who got it: with two owners of one token two would have held a lock. */
    const owners = new Map<number, string>();
    let [granted, acquired, highest, nowMs] = [0, 0, 0, 0];
    for (let round = 0; round < 3000; round++) {
      const [name, owner, lease_id] = [`l${random(3)}`, `o${random(3)}`, Math.max(1, granted - random(5))];
      const act = random(10);
      if (act < 2) granted = (both('lease_grant', { ttl_ms: 1000 + random(4000) }) as { lease_id: number }).lease_id;
      else if (act < 4) both('lease_keep', { lease_id });
      else if (act < 5) both('unlock', { name, token: Math.max(1, highest - random(3)) });
      else if (act < 9) both('lock', { name, owner, lease_id, wait: random(3) > 0 });
      else both('put', { key: 'k', value: 'v' });
      nowMs += random(400);
      const payload = requester.stateMachine.housekeeping(nowMs);
      if (payload !== undefined) for (const each of requesters) each.apply(payload);
      for (const each of ['l0', 'l1', 'l2']) {
        const { holder } = both('lock_get', { name: each }) as KvReply<'lock_get'>;
        if (holder === null) continue;
        const called = `${each} ${holder.owner} ${holder.lease_id}`;
        if (!owners.has(holder.token)) acquired += 1;
        expect(owners.get(holder.token) ?? called).toBe(called);
        owners.set(holder.token, called);
        highest = Math.max(highest, holder.token);
      }
    }
    expect(acquired).toBeGreaterThan(300);
  });
});
