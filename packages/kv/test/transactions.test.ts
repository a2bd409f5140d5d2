import { type KvReply, type KvRequest, kvOperations, limits } from '@conclave/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { KvStateMachine } from '../src/index.js';
import { Requester } from './support.js';

type Transaction = Pick<KvRequest<'txn'>, 'compare' | 'then' | 'else'>;

const noRoom = ['not_done', 'EBUSY', expect.any(String)];
const full = 'x'.repeat(limits.valueBytes);

describe.each([
  ['from what the requester decoded', false],
  ['from the payload', true],
])('a transaction, applied %s', (_how, fromPayload) => {
  let requester: Requester;
  beforeEach(() => {
    requester = new Requester(new KvStateMachine(), fromPayload);
    requester.results({
      commands: [
        [0, 'put', 'a', 'one'],
        [0, 'put', 'bytes', new Uint8Array([1, 200])],
      ],
    });
  });

  function transact(transaction: Transaction): KvReply<'txn'> {
    return kvOperations.txn.reply.parse(requester.ask('txn', transaction));
  }

  function holds(...compare: Transaction['compare']): boolean {
    return transact({ compare, then: [] }).succeeded;
  }

  it('executes one branch or the other, each write with a separate revision', () => {
    const transaction: Transaction = {
      compare: [['new', 'revision', '=', 0]],
      then: [
        ['put', 'new', '1'],
        ['get', 'new'],
        ['delete', 'a'],
        ['delete', 'a'],
        ['get', 'a'],
      ],
      else: [
        ['get', 'new'],
        ['get', 'bytes'],
      ],
    };
    expect(transact(transaction)).toEqual({
      succeeded: true,
      revision: 4,
      results: [
        ['put', 3],
        ['get', '1', 3],
        ['delete', 4, true],
        ['delete', 0, false],
        ['get', null, 0],
      ],
    });
    expect(transact(transaction)).toEqual({
      succeeded: false,
      revision: 4,
      results: [
        ['get', '1', 3],
        ['get', new Uint8Array([1, 200]), 2],
      ],
    });
    expect(transact({ compare: [['new', 'revision', '=', 0]], then: [] })).toEqual({
      succeeded: false,
      revision: 4,
      results: [],
    });
  });

  it('compares revisions, of which a key that is not there has 0', () => {
    expect(holds()).toBe(true);
    expect(holds(['a', 'revision', '=', 1])).toBe(true);
    expect(holds(['a', 'revision', '!=', 1])).toBe(false);
    expect(holds(['bytes', 'revision', '>', 1], ['bytes', 'revision', '<', 3])).toBe(true);
    expect(holds(['bytes', 'revision', '>', 1], ['bytes', 'revision', '<', 2])).toBe(false);
    expect(holds(['none', 'revision', '=', 0], ['none', 'revision', '<', 1])).toBe(true);
  });

  it('compares values as bytes, and no comparison with a missing one is true', () => {
    expect(holds(['a', 'value', '=', 'one'], ['a', 'value', '>', 'on'], ['a', 'value', '<', 'onf'])).toBe(true);
    expect(holds(['a', 'value', '!=', 'one'])).toBe(false);
    expect(holds(['a', 'value', '=', new Uint8Array([111, 110, 101])])).toBe(true);
    expect(holds(['bytes', 'value', '=', new Uint8Array([1, 200])])).toBe(true);
    expect(holds(['bytes', 'value', '>', '\u0001\u007f'], ['bytes', 'value', '<', new Uint8Array([2])])).toBe(true);
    requester.ask('put', { key: 'high', value: '\u{10000}' });
    expect(holds(['high', 'value', '>', '\uffff'])).toBe(true);
    for (const relation of ['=', '!=', '<', '>'] as const) expect(holds(['none', 'value', relation, ''])).toBe(false);
  });

  it('happens once, however often it is sent, and answers the same', () => {
    const client_id = requester.openSession();
    const swap = [1, 'txn', [['a', 'value', '=', 'one']], [['put', 'a', 'two']], [['get', 'a']]];
    const first = requester.results({ client_id, commands: [swap] });
    expect(first).toEqual([['done', 3, true, [['put', 3]]]]);
    requester.ask('put', { key: 'a', value: 'one' });
    expect(requester.results({ client_id, commands: [swap] })).toEqual(first);
    const refused = [2, ...swap.slice(1, 2), [['a', 'value', '=', 'none']], [], [['get', 'a']]];
    const second = requester.results({ client_id, commands: [refused] });
    expect(second).toEqual([['done', 4, false, [['get', 'one', 4]]]]);
    requester.ask('put', { key: 'a', value: 'other' });
    expect(requester.results({ client_id, commands: [refused] })).toEqual(second);
  });

  it('does nothing at all where its answer is too long', () => {
    for (const at of [1, 2]) requester.ask('put', { key: `full/${at}`, value: full });
    const reads: Transaction['then'] = [
      ['put', 'a', 'never'],
      ['get', 'full/1'],
      ['get', 'full/2'],
    ];
    expect(() => requester.ask('txn', { compare: [], then: reads })).toThrow(/at most/);
    // Nor do repeated reads of what it has put itself have room.
    const [put, get] = [['put', 'b', full] as const, ['get', 'b'] as const];
    expect(() => requester.ask('txn', { compare: [], then: [[...put], [...get], [...get]] })).toThrow(/at most/);
    expect(requester.ask('batch_get', { keys: ['a', 'b'] })).toEqual({
      found: [
        ['one', 1],
        [null, 0],
      ],
    });
    // What it deletes it does not read.
    const { results } = transact({
      compare: [],
      then: [
        ['get', 'full/1'],
        ['delete', 'full/2'],
        ['get', 'full/2'],
      ],
    });
    expect(results.map(([name]) => name)).toEqual(['get', 'delete', 'get']);
  });

  it('shares the reply with others of its request, and is accepted when it is alone', () => {
    const client_id = requester.openSession();
    for (const at of [1, 2, 3]) requester.ask('put', { key: `full/${at}`, value: full });
    const read = (sequence: number) => [sequence, 'txn', [], [['get', `full/${sequence}`]], []];
    const [first, second, third] = [read(1), read(2), read(3)];
    const commands = [first, second, [4, 'put', 'k', 'v']];
    expect(requester.results({ client_id, commands })).toEqual([
      ['done', 5, true, [['get', full, 3]]],
      noRoom,
      ['done', 6, true],
    ]);
    // The session keeps the first one's result until it is acknowledged.
    expect(requester.results({ client_id, commands: [second] })).toEqual([noRoom]);
    expect(requester.results({ client_id, acknowledged: 1, commands: [second] })).toEqual([
      ['done', 6, true, [['get', full, 4]]],
    ]);
    expect(requester.results({ client_id, acknowledged: 2, commands: [third, third] })).toEqual([
      ['done', 6, true, [['get', full, 5]]],
      ['unknown', 'EINVAL', expect.any(String)],
    ]);
  });

  it('is refused where all sessions together keep too much, until one ends', () => {
    requester.ask('put', { key: 'full', value: full });
    const read = [1, 'txn', [], [['get', 'full']], []];
    const readers = Array.from({ length: Math.floor(limits.keptFoundBytes / (limits.valueBytes + 16)) }, () => {
      const client_id = requester.openSession();
      expect(requester.results({ client_id, commands: [read] })).toMatchObject([['done', 3, true, [['get', full, 3]]]]);
      return client_id;
    });
    const client_id = requester.openSession();
    expect(requester.results({ client_id, commands: [read] })).toEqual([noRoom]);
    requester.results({ client_id: readers[0], acknowledged: 1, commands: [[2, 'delete', 'none']] });
    expect(requester.results({ client_id, commands: [read] })).toMatchObject([['done', 3, true, [['get', full, 3]]]]);
    const another = requester.openSession();
    expect(requester.results({ client_id: another, commands: [read] })).toEqual([noRoom]);
    // The oldest sessions make room for new ones, and take with them what they kept.
    for (let more = readers.length + 2; more <= limits.clientSessions; more++) requester.openSession();
    expect(requester.results({ client_id: another, commands: [read] })).toMatchObject([
      ['done', 3, true, [['get', full, 3]]],
    ]);
  });
});
