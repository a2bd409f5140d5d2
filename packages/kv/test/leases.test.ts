import { asLogIndex, encode, type KvReply, limits } from '@conclave/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { encodeEntry, KvStateMachine } from '../src/index.js';
import { generator, Requester } from './support.js';

let requester: Requester;
beforeEach(() => {
  requester = new Requester(new KvStateMachine());
});

function grant(ttl_ms = 10_000): number {
  return (requester.ask('lease_grant', { ttl_ms }) as { lease_id: number }).lease_id;
}

function keysOf(lease_id: number): readonly string[] {
  return (requester.ask('lease_get', { lease_id }) as KvReply<'lease_get'>).keys;
}

function keys(): readonly string[] {
  return (requester.ask('range', { prefix: '', keys_only: true }) as KvReply<'range'>).found.map(([key]) => key);
}

/** What a leader proposes when it looks after the state at that time, applied. */
function housekeep(nowMs: number): unknown {
  const payload = requester.stateMachine.housekeeping(nowMs);
  return payload === undefined ? undefined : requester.apply(payload);
}

describe('a lease', () => {
  it('is granted with an id, kept, and revoked with its keys', () => {
    expect(requester.ask('lease_grant', { ttl_ms: 5000 })).toEqual({ lease_id: 1, ttl_ms: 5000 });
    expect(requester.ask('lease_grant', { ttl_ms: 1000 })).toEqual({ lease_id: 2, ttl_ms: 1000 });
    for (const key of ['b', 'a']) requester.ask('put', { key, value: 'v', lease_id: 1 });
    requester.ask('put', { key: 'c', value: 'v' });
    expect(requester.ask('lease_get', { lease_id: 1 })).toEqual({
      lease_id: 1,
      ttl_ms: 5000,
      remaining_ms: null,
      keys: ['a', 'b'],
      more: false,
    });
    expect(requester.ask('lease_keep', { lease_id: 1 })).toEqual({ lease_id: 1, ttl_ms: 5000 });
    // Each deletion has a revision, as it changes something.
    expect(requester.ask('lease_revoke', { lease_id: 1 })).toEqual({ revoked: true, revision: 5 });
    expect(requester.ask('lease_revoke', { lease_id: 1 })).toEqual({ revoked: false, revision: 5 });
    expect(keys()).toEqual(['c']);
    expect(requester.ask('lease_get', { lease_id: 1 })).toEqual({
      lease_id: 1,
      ttl_ms: 0,
      remaining_ms: null,
      keys: [],
      more: false,
    });
    expect(() => requester.ask('lease_keep', { lease_id: 1 })).toThrow('there is no lease 1');
    expect(requester.ask('lease_list', {})).toEqual({ leases: [[2, 1000, 0]], more: false });
    // No name comes twice.
    expect(grant()).toBe(3);
  });

  it('is granted once, however often that is sent', () => {
    const client_id = requester.openSession();
    const write = { client_id, commands: [[1, 'lease_grant', 2000]] };
    expect(requester.results(write)).toEqual([['done', 1, true]]);
    expect(requester.results(write)).toEqual([['done', 1, true]]);
    expect(requester.ask('lease_list', {})).toEqual({ leases: [[1, 2000, 0]], more: false });
  });

  it('lets a key go with its next write, or with its deletion', () => {
    const [first, second] = [grant(), grant()];
    for (const key of ['put', 'other', 'cas', 'deleted', 'kept'])
      requester.ask('put', { key, value: 'v', lease_id: first });
    requester.ask('put', { key: 'put', value: 'w' });
    requester.ask('put', { key: 'other', value: 'w', lease_id: second });
    requester.ask('put', { key: 'kept', value: 'w', lease_id: first });
    requester.ask('cas', { key: 'cas', value: 'w', expected_revision: 3 });
    requester.ask('delete', { key: 'deleted' });
    expect([keysOf(first), keysOf(second)]).toEqual([['kept'], ['other']]);
    requester.ask('lease_revoke', { lease_id: first });
    expect(keys()).toEqual(['cas', 'other', 'put']);
  });

  it('ties what a transaction puts, which does nothing where it cannot', () => {
    const lease_id = grant();
    const taken = { compare: [['a', 'revision', '=', 0]], then: [['put', 'a', 'v', lease_id]] };
    expect(requester.ask('txn', taken)).toMatchObject({ succeeded: true });
    expect(keysOf(lease_id)).toEqual(['a']);
    const none = {
      compare: [],
      then: [
        ['put', 'b', 'v'],
        ['put', 'c', 'v', 77],
      ],
    };
    expect(() => requester.ask('txn', none)).toThrow('there is no lease 77');
    expect(() => requester.ask('put', { key: 'b', value: 'v', lease_id: 77 })).toThrow('there is no lease 77');
    expect(keys()).toEqual(['a']);
  });

  it('has a bounded number of keys', () => {
    const lease_id = grant();
    const put = (from: number, count: number) =>
      requester.results({
        commands: Array.from({ length: count }, (_, at) => [0, 'put', `k${from + at}`, 'v', lease_id]),
      });
    put(0, limits.leaseKeys - 1);
    const two = [1, 2].map((at) => ['put', `more${at}`, 'v', lease_id]);
    expect(() => requester.ask('txn', { compare: [], then: two })).toThrow(/at most/);
    expect(put(limits.leaseKeys, 2)).toEqual([
      ['done', limits.leaseKeys, true],
      ['not_done', 'EINVAL', `a lease has at most ${limits.leaseKeys} keys`],
    ]);
    // One that it has can be put again.
    expect(put(0, 1)).toEqual([['done', limits.leaseKeys + 1, true]]);
  });

  it('shows its keys page by page, and all leases do', () => {
    const lease_id = grant();
    for (const key of ['c', '\u{10000}', 'a', '\uffff', 'b']) requester.ask('put', { key, value: 'v', lease_id });
    const page = (start_after?: string) =>
      requester.ask('lease_get', { lease_id, limit: 3, ...(start_after === undefined ? {} : { start_after }) });
    expect(page()).toMatchObject({ keys: ['a', 'b', 'c'], more: true });
    expect(page('c')).toMatchObject({ keys: ['\uffff', '\u{10000}'], more: false });
    grant();
    grant();
    expect(requester.ask('lease_list', { limit: 2 })).toEqual({
      leases: [
        [1, 10_000, 5],
        [2, 10_000, 0],
      ],
      more: true,
    });
    expect(requester.ask('lease_list', { limit: 2, start_after: 2 })).toEqual({
      leases: [[3, 10_000, 0]],
      more: false,
    });
    for (let at = 0; at < 600; at++)
      requester.ask('put', { key: `${at}`.padEnd(limits.keyBytes), value: '', lease_id });
    const { keys, more } = page('0'.padEnd(limits.keyBytes)) as KvReply<'lease_get'>;
    expect([keys.length, more]).toEqual([3, true]);
    const all = requester.ask('lease_get', { lease_id }) as KvReply<'lease_get'>;
    expect([all.keys.length, all.more]).toEqual([limits.foundBytes / limits.keyBytes, true]);
  });
});

describe('the end of a lease', () => {
  it('goes through the log, when the leader has seen it not kept for its time', () => {
    const lost = grant(3000);
    const kept = grant(3000);
    requester.ask('put', { key: 'lost', value: 'v', lease_id: lost });
    requester.ask('put', { key: 'kept', value: 'v', lease_id: kept });
    for (const nowMs of [50_000, 51_000]) expect(housekeep(nowMs)).toBeUndefined();
    requester.ask('lease_keep', { lease_id: kept });
    for (const nowMs of [52_000, 52_999]) expect(housekeep(nowMs)).toBeUndefined();
    const payload = requester.stateMachine.housekeeping(53_000);
    expect(payload).toEqual(encodeEntry({ expire: [], expire_leases: [[lost, asLogIndex(1)]] }));
    // It is named once, and again after a while, should the entry be lost.
    expect(requester.stateMachine.housekeeping(53_200)).toBeUndefined();
    expect(requester.stateMachine.housekeeping(53_300)).toEqual(payload);
    expect(requester.apply(payload!)).toEqual({ expired: 1 });
    expect(keys()).toEqual(['kept']);
    // The deletion has a revision.
    expect(requester.ask('put', { key: 'next', value: 'v' })).toEqual({ revision: 4 });
    // Seen as kept at 52,000, it lasts until 55,000.
    expect(housekeep(54_900)).toBeUndefined();
    expect(housekeep(55_000)).toEqual({ expired: 1 });
    expect(keys()).toEqual(['next']);
  });

  it('spares one that was kept after its end was proposed', () => {
    const lease_id = grant(1000);
    requester.ask('put', { key: 'k', value: 'v', lease_id });
    requester.stateMachine.housekeeping(0);
    const payload = requester.stateMachine.housekeeping(1000);
    requester.ask('lease_keep', { lease_id });
    expect(requester.apply(payload!)).toEqual({ expired: 0 });
    expect(keys()).toEqual(['k']);
  });

  it('is not counted on from an earlier leadership, however soon the leader is back in office', () => {
    requester.ask('lease_grant', { ttl_ms: 5000 });
    for (let nowMs = 0; nowMs <= 4000; nowMs += 1000)
      expect(requester.stateMachine.housekeeping(nowMs, 2)).toBeUndefined();
    // Another has led for a moment, in term 3, and may have kept it.
    for (let nowMs = 5000; nowMs < 10_000; nowMs += 1000) {
      expect(requester.stateMachine.housekeeping(nowMs, 4)).toBeUndefined();
    }
    expect(requester.stateMachine.housekeeping(10_000, 4)).toBeDefined();
  });

  it('is no earlier for a clock that jumps, nor for a leader that returns', () => {
    grant(3000);
    housekeep(0);
    housekeep(1500);
    // It received no request for long: it may not have led, so the time restarts.
    expect(housekeep(60_000)).toBeUndefined();
    for (const nowMs of [61_500, 62_900]) expect(housekeep(nowMs)).toBeUndefined();
    expect(housekeep(63_000)).toEqual({ expired: 1 });
    grant(3000);
    housekeep(64_000);
    // Backwards: it comes later.
    for (const nowMs of [10_000, 11_000, 12_000, 13_000]) expect(housekeep(nowMs)).toBeUndefined();
  });

  it('of many leases is split into several entries', () => {
    const leases = [1, 2, 3].map(() => grant(1000));
    for (const lease_id of leases) {
      const commands = Array.from({ length: 3000 }, (_, at) => [0, 'put', `${lease_id}/${at}`, 'v', lease_id]);
      requester.results({ commands });
    }
    housekeep(0);
    expect(housekeep(1000)).toEqual({ expired: 2 });
    expect(housekeep(2000)).toEqual({ expired: 1 });
    expect(keys()).toEqual([]);
  });

  it('is in one entry with that of sessions', () => {
    requester = new Requester(new KvStateMachine({ clientSessionMs: 1000 }));
    const session = requester.openSession();
    const lease = grant(1000);
    requester.stateMachine.housekeeping(0);
    const payload = requester.stateMachine.housekeeping(1000);
    const [first, second] = [asLogIndex(1), asLogIndex(2)];
    expect(payload).toEqual(encodeEntry({ expire: [[session, first]], expire_leases: [[lease, second]] }));
    expect(requester.apply(payload!)).toEqual({ expired: 2 });
  });

  it('makes no sense in these entries, and is refused', () => {
    for (const expire_leases of [7, [[1]], [[1, -1]], [[1, 'x']]]) {
      expect(requester.apply(encode({ expire: [], expire_leases }))).toEqual({ refused: expect.any(String) });
    }
    expect(requester.apply(encode({ expire: [], expire_leases: [[1, 1]] }))).toEqual({ expired: 0 });
  });
});

describe('peers that apply the same entries', () => {
  it('have the same leases and keys, whatever they decoded them from', () => {
    const random = generator(5);
    const requesters = [new Requester(new KvStateMachine()), new Requester(new KvStateMachine(), true)];
    let nowMs = 0;
    for (let round = 0; round < 3000; round++) {
      const [key, lease_id] = [`k${random(40)}`, 1 + random(30)];
      const requests: [string, object][] = [
        ['put', { key, value: `${round}`, lease_id }],
        ['put', { key, value: `${round}` }],
        ['delete', { key }],
        ['lease_grant', { ttl_ms: 1000 + random(5000) }],
        ['lease_keep', { lease_id }],
        ['lease_revoke', { lease_id: 1 + random(300) }],
        ['txn', { compare: [[key, 'revision', '>', round]], then: [], else: [['put', key, 'v', lease_id]] }],
      ];
      const [operation, body] = requests[random(requests.length)] as [string, object];
      const answers = requesters.map((one) => {
        try {
          return one.ask(operation, body);
        } catch (error) {
          return String(error);
        }
      });
      expect(answers[1]).toEqual(answers[0]);
      nowMs += random(1500);
      const payload = requesters[0]?.stateMachine.housekeeping(nowMs);
      if (payload !== undefined) {
        const [one, other] = requesters.map((each) => each.apply(payload));
        expect(other).toEqual(one);
      }
      if (round % 500 !== 499) continue;
      const states = requesters.map((one) => [one.ask('range', { prefix: '' }), one.ask('lease_list', {})]);
      expect(states[1]).toEqual(states[0]);
    }
  });
});
