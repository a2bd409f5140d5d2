import { Unsupported } from '@conclave/actor/core';
import { asLogIndex, encode, limits } from '@conclave/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { encodeEntry, type KvResult, KvStateMachine } from '../src/index.js';
import { Requester } from './support.js';

const noSession = ['unknown', 'ESESSION', 'the session is unknown or has expired'];
const forgotten = ['unknown', 'ESESSION', 'the result was acknowledged and is no longer kept'];

describe.each([
  ['from what the requester decoded', false],
  ['from the payload', true],
])('a state machine that applies %s', (_how, fromPayload) => {
  let requester: Requester;
  beforeEach(() => {
    requester = new Requester(new KvStateMachine(), fromPayload);
  });

  it('counts a revision for each write that changes something', () => {
    const commands = [
      [0, 'put', 'a', 'one'],
      [0, 'put', 'a', 'two'],
      [0, 'delete', 'nothing'],
      [0, 'cas', 'a', 'three', 1],
      [0, 'cas', 'a', 'three', 2],
      [0, 'cas', 'b', 'new', 0],
      [0, 'cas', 'c', 'new', 7],
      [0, 'delete', 'a'],
      [0, 'put', 'a', 'again'],
    ];
    expect(requester.results({ commands })).toEqual([
      ['done', 1, true],
      ['done', 2, true],
      ['done', 0, false],
      ['done', 2, false],
      ['done', 3, true],
      ['done', 4, true],
      ['done', 0, false],
      ['done', 5, true],
      ['done', 6, true],
    ]);
    expect(requester.ask('batch_get', { keys: ['a', 'b', 'c'] })).toEqual({
      found: [
        ['again', 6],
        ['new', 4],
        [null, 0],
      ],
    });
  });

  it('keeps text as text and bytes as bytes', () => {
    const bytes = new Uint8Array([0, 255, 10]);
    requester.results({
      commands: [
        [0, 'put', 'text', 'ü'],
        [0, 'put', 'bytes', bytes],
      ],
    });
    expect(requester.ask('get', { key: 'text' })).toEqual({ key: 'text', value: 'ü', revision: 1 });
    expect(requester.ask('get', { key: 'bytes' })).toEqual({ key: 'bytes', value: bytes, revision: 2 });
  });

  it('carries a repeated write out once', () => {
    const client_id = requester.openSession();
    const put = { client_id, commands: [[1, 'put', 'k', 'v']] };
    expect(requester.results(put)).toEqual([['done', 1, true]]);
    requester.results({ commands: [[0, 'put', 'k', 'of another']] });
    expect(requester.results(put)).toEqual([['done', 1, true]]);
    expect(requester.ask('get', { key: 'k' })).toEqual({ key: 'k', value: 'of another', revision: 2 });
    const twice = [
      [2, 'put', 'k', 'v'],
      [2, 'put', 'k', 'v'],
    ];
    expect(requester.results({ client_id, commands: twice })).toEqual([
      ['done', 3, true],
      ['done', 3, true],
    ]);
  });

  it('returns the result of the refused cas again, although it would succeed by now', () => {
    const client_id = requester.openSession();
    const cas = { client_id, sequence: 1, key: 'k', value: 'v', expected_revision: 1 };
    expect(requester.ask('cas', cas)).toEqual({ swapped: false, revision: 0 });
    requester.ask('put', { key: 'k', value: 'v' });
    expect(requester.ask('cas', cas)).toEqual({ swapped: false, revision: 0 });
  });

  it('knows nothing of what was acknowledged', () => {
    const client_id = requester.openSession();
    const commands = [1, 2, 3].map((sequence) => [sequence, 'put', `k${sequence}`, 'v']);
    requester.results({ client_id, commands });
    expect(requester.results({ client_id, acknowledged: 2, commands })).toEqual([
      forgotten,
      forgotten,
      ['done', 3, true],
    ]);
    // The mark does not go down again, and 0 is no number.
    expect(requester.results({ client_id, acknowledged: 0, commands: [[2, 'delete', 'k2']] })).toEqual([forgotten]);
    expect(requester.results({ client_id, commands: [[0, 'delete', 'k2']] })).toEqual([
      ['not_done', 'EINVAL', 'the numbers of a session start with 1'],
    ]);
    expect(requester.ask('get', { key: 'k2' })).toEqual({ key: 'k2', value: 'v', revision: 2 });
  });

  it('accepts a mark that is far ahead', () => {
    const client_id = requester.openSession();
    requester.results({ client_id, commands: [[5, 'put', 'k', 'v']] });
    const mark = Number.MAX_SAFE_INTEGER - 1;
    expect(requester.results({ client_id, acknowledged: mark, commands: [[5, 'put', 'k', 'v']] })).toEqual([forgotten]);
    expect(requester.results({ client_id, commands: [[mark + 1, 'put', 'k', 'v']] })).toEqual([['done', 2, true]]);
  });

  it('refuses more results than it keeps, and accepts the rest once there is room', () => {
    const client_id = requester.openSession();
    const numbered = (from: number, count: number) =>
      Array.from({ length: count }, (_, at) => [from + at, 'put', 'k', 'v']);
    requester.results({ client_id, commands: numbered(1, limits.clientResults) });
    const beyond = limits.clientResults + 1;
    const refused = [
      'not_done',
      'EBUSY',
      `a session keeps at most ${limits.clientResults} results that are not acknowledged`,
    ];
    expect(requester.results({ client_id, commands: numbered(beyond, 1) })).toEqual([refused]);
    expect(requester.results({ client_id, acknowledged: 1, commands: numbered(beyond, 2) })).toEqual([
      ['done', beyond, true],
      refused,
    ]);
  });

  it('does nothing for a session that it does not know', () => {
    const commands = [
      [1, 'put', 'k', 'v'],
      [2, 'put', 'k', 'v'],
    ];
    expect(requester.results({ client_id: 77, commands })).toEqual([noSession, noSession]);
    expect(requester.ask('get', { key: 'k' })).toEqual({ key: 'k', value: null, revision: 0 });
  });

  it('lets the session go that was used longest ago', () => {
    const first = requester.openSession();
    const second = requester.openSession();
    for (let more = 2; more < limits.clientSessions; more++) requester.openSession();
    requester.results({ client_id: first, commands: [[1, 'put', 'k', 'v']] });
    requester.openSession();
    expect(requester.results({ client_id: second, commands: [[1, 'put', 'k', 'v']] })).toEqual([noSession]);
    expect(requester.results({ client_id: first, commands: [[1, 'put', 'k', 'v']] })).toEqual([['done', 1, true]]);
  });

  it('shares no memory with the messages that contained its values', () => {
    const message = new Uint8Array([1, 2, 3]);
    requester.results({ commands: [[0, 'put', 'k', message.subarray(0, 2)]] });
    message.fill(9);
    const { value } = requester.ask('get', { key: 'k' }) as { value: Uint8Array };
    expect(value).toEqual(new Uint8Array([1, 2]));
    expect(value.buffer.byteLength).toBe(2);
  });
});

describe('an entry that makes no sense', () => {
  it.each([
    ['no bytes', new Uint8Array(), 'not msgpack: cut short'],
    ['no map', encode(7), 'an entry is a map'],
    ['an empty map', encode({}), 'an entry has commands, open_session or expire'],
    ['a command that is none', encode({ commands: [[1, 'increment', 'k']] }), /^commands\[0\]: not a command/],
    ['a client that is none', encode({ client_id: -1, commands: [[1, 'delete', 'k']] }), /^client_id/],
    [
      'a mark that is none',
      encode({ client_id: 1, acknowledged: -1, commands: [[1, 'delete', 'k']] }),
      /^acknowledged/,
    ],
    ['a list of sessions that is none', encode({ expire: [[1]] }), 'an entry has commands, open_session or expire'],
  ])('is refused, not thrown: %s', (_what, payload, why) => {
    const result = new KvStateMachine().apply(asLogIndex(1), payload) as Extract<KvResult, { refused: string }>;
    expect(Object.keys(result)).toEqual(['refused']);
    expect(result.refused).toMatch(why);
  });

  it('promise 31: of a level above 0, is of a newer build: it is not skipped, and nothing of it is done', () => {
    const machine = new KvStateMachine();
    const newer = encode({
      commands: [
        [0, 'put', 'k', 'v'],
        [0, 'increment', 'k'],
      ],
    });
    expect(machine.apply(asLogIndex(1), newer, undefined, 1)).toBeInstanceOf(Unsupported);
    expect(machine.query({ type: 'keys', keys: ['k'] })).toEqual([[null, 0]]);
  });
});

describe('expiry', () => {
  it('goes through the log, for sessions that the leader has seen unused for long', () => {
    const requester = new Requester(new KvStateMachine({ clientSessionMs: 1000 }));
    const used = requester.openSession();
    const idle = requester.openSession();
    expect(requester.stateMachine.housekeeping(50_000)).toBeUndefined();
    requester.results({ client_id: used, commands: [[1, 'put', 'k', 'v']] });
    expect(requester.stateMachine.housekeeping(50_999)).toBeUndefined();
    const payload = requester.stateMachine.housekeeping(51_000);
    expect(payload).toEqual(encodeEntry({ expire: [[idle, 2]] }));
    // Named once, and again after a while, should the entry be lost.
    expect(requester.stateMachine.housekeeping(51_050)).toBeUndefined();
    expect(requester.stateMachine.housekeeping(51_100)).toEqual(payload);
    expect(requester.apply(payload!)).toEqual({ expired: 1 });
    expect(requester.results({ client_id: idle, commands: [[1, 'put', 'k', 'v']] })).toEqual([noSession]);
    expect(requester.results({ client_id: used, commands: [[2, 'put', 'k', 'v']] })).toEqual([['done', 2, true]]);
  });

  it('spares a session that was used after its end was proposed', () => {
    const requester = new Requester(new KvStateMachine({ clientSessionMs: 1000 }));
    const client_id = requester.openSession();
    requester.stateMachine.housekeeping(0);
    const payload = requester.stateMachine.housekeeping(1000);
    requester.results({ client_id, commands: [[1, 'put', 'k', 'v']] });
    expect(requester.apply(payload!)).toEqual({ expired: 0 });
    expect(requester.results({ client_id, commands: [[1, 'put', 'k', 'v']] })).toEqual([['done', 1, true]]);
  });
});

describe('an answer to batch_get', () => {
  it('holds as many as fit, and one in any case', () => {
    const requester = new Requester(new KvStateMachine());
    const value = 'x'.repeat(limits.valueBytes);
    for (const key of ['a', 'b', 'c']) requester.ask('put', { key, value });
    const asked = { keys: ['a', 'b', 'c'] };
    expect(requester.ask('batch_get', asked)).toEqual({ found: [[value, 1]] });
    expect(requester.ask('batch_get', { keys: ['none', 'a', 'b'] })).toEqual({
      found: [
        [null, 0],
        [value, 1],
      ],
    });
  });
});
