import { asLogIndex, encode, type GroupUid, kvOperations } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../src/core/digest.js';
import { KvService, KvStateMachine } from '../src/index.js';
import { Requester, replyContext, restored } from './support.js';

const history = { groupUid: 'history-1' as GroupUid, base: 2 ** 48 };

function group(level = 1, fromPayload = false): Requester {
  const requester = new Requester(new KvStateMachine(), fromPayload, level);
  if (level > 0) requester.stateMachine.beginHistory(history);
  return requester;
}

const refused = ['not_done', 'EINVAL', expect.stringContaining('another command')];

describe('promises 21 and 29: a session', () => {
  it('has a name that the leader draws, and that is the same on all peers', () => {
    const [leader, follower] = [group(), group(1, true)];
    const opening = leader.parse('open_session', { id: 'text' });
    if (opening.type !== 'write') throw new Error('it is a write');
    const opened = leader.apply(opening.payload, opening.command);
    expect(opened).toEqual({ client_id: expect.stringMatching(/^.{22}$/) });
    expect(follower.apply(opening.payload)).toEqual(opened);
    for (const number of [1, leader.index, history.base + leader.index]) {
      const guess = { client_id: number, commands: [[1, 'put', 'k', 'v']] };
      expect(leader.results(guess)).toMatchObject([['unknown', 'ESESSION', expect.anything()]]);
    }
  });

  it('is a number with 53 random bits for a client that does not ask for text, as those of the first version expect', () => {
    const service = new KvService();
    const draw = (id: string): unknown => {
      const opening = service.parse('open_session', {}, { level: 1, generateId: () => id });
      return opening.type === 'write' ? opening.command : undefined;
    };
    expect(draw('_'.repeat(22))).toEqual({ open_session: Number.MAX_SAFE_INTEGER });
    expect(draw('A'.repeat(22))).toEqual({ open_session: 0 });
    expect(draw(`${'A'.repeat(8)}_${'A'.repeat(13)}`)).toEqual({ open_session: 31 });
    expect(draw(`B${'A'.repeat(21)}`)).toEqual({ open_session: 2 ** 47 });
    const [leader, follower] = [group(), group(1, true)];
    const opening = leader.parse('open_session', {});
    if (opening.type !== 'write') throw new Error('it is a write');
    const opened = leader.apply(opening.payload, opening.command) as { client_id: number };
    expect(follower.apply(opening.payload)).toEqual(opened);
    const write = { client_id: opened.client_id, commands: [[1, 'put', 'k', 'v']] };
    for (const peer of [leader, follower])
      expect(peer.results(write)).toMatchObject([['done', expect.anything(), true]]);
  });

  it('expires by its name', () => {
    const requester = group();
    const client_id = requester.openSession();
    const machine = requester.stateMachine;
    expect(machine.housekeeping(0)).toBeUndefined();
    const payload = machine.housekeeping(10 * 3_600_000);
    expect(requester.apply(payload as Uint8Array)).toEqual({ expired: 1 });
    const write = { client_id, commands: [[1, 'put', 'k', 'v']] };
    expect(requester.results(write)).toMatchObject([['unknown', 'ESESSION', expect.anything()]]);
  });

  it('is a number in a group of level 0, in which no session has another name', () => {
    const requester = group(0);
    expect(requester.openSession()).toBe(1);
    const body = { client_id: 'an id of another history', commands: [[1, 'put', 'k', 'v']] };
    expect(requester.results(body)).toMatchObject([['unknown', 'ESESSION', expect.anything()]]);
    expect(() => requester.ask('put', { key: 'k', value: 'v', client_id: 'other', sequence: 1 })).toThrow('session');
    expect(requester.ask('get', { key: 'k' })).toMatchObject({ value: null });
    // What stands in the log an older build can read.
    const request = new KvService().parse('batch', body);
    expect(request).toMatchObject({ command: { client_id: 0 } });
  });

  it.each([false, true])(
    'carries out one command under a number, and answers no other with its result',
    (fromPayload) => {
      const requester = group(1, fromPayload);
      const client_id = requester.openSession();
      const once = (...command: unknown[]) => requester.results({ client_id, commands: [command] });
      const [done] = once(1, 'put', 'k', 'mine') as [unknown];
      expect(once(1, 'put', 'k', 'mine')).toEqual([done]);
      for (const other of [
        [1, 'put', 'k', 'forged'],
        [1, 'put', 'other', 'mine'],
        [1, 'put', 'k', Buffer.from('mine')],
        [1, 'delete', 'k'],
        [1, 'cas', 'k', 'mine', 0],
        [1, 'txn', [], [['put', 'k', 'mine']], []],
        [1, 'lock', 'k', 'mine', 1, true],
      ]) {
        expect(once(...other)).toEqual([refused]);
      }
      expect(requester.ask('get', { key: 'k' })).toMatchObject({ value: 'mine', revision: (done as number[])[1] });
      expect(requester.ask('get', { key: 'other' })).toMatchObject({ revision: 0 });
      // The second request receives an error, whichever client sent the first one: a client whose number was used learns that its write did not happen.
      expect(once(2, 'put', 'k', 'forged')).toMatchObject([['done', expect.anything(), true]]);
      expect(once(2, 'put', 'k', 'wanted')).toEqual([refused]);
    },
  );

  it('knows its commands from a snapshot, too', () => {
    const requester = group();
    const client_id = requester.openSession();
    const [done] = requester.results({ client_id, commands: [[3, 'put', 'k', 'mine']] }) as [unknown];
    const other = restored(requester);
    expect(other.results({ client_id, commands: [[3, 'put', 'k', 'forged']] })).toEqual([refused]);
    expect(other.results({ client_id, commands: [[3, 'put', 'k', 'mine']] })).toEqual([done]);
    expect(restored(other).results({ client_id, commands: [[3, 'delete', 'k']] })).toEqual([refused]);
  });

  it('forgets commands with their results', () => {
    const requester = group();
    const client_id = requester.openSession();
    requester.results({ client_id, commands: [1, 2, 3].map((number) => [number, 'put', 'k', `${number}`]) });
    const results = requester.results({
      client_id,
      acknowledged: 2,
      commands: [
        [3, 'put', 'k', '3'],
        [2, 'put', 'k', 'x'],
      ],
    });
    expect(results).toMatchObject([
      ['done', expect.anything(), true],
      ['unknown', 'ESESSION', expect.anything()],
    ]);
    expect(requester.results({ client_id, commands: [[3, 'put', 'k', '2']] })).toEqual([refused]);
  });

  it('stops no peer if its name occurs twice', () => {
    const machine = group().stateMachine;
    const entry = encode({ open_session: 'twice' });
    expect(machine.apply(asLogIndex(1), entry)).toEqual({ client_id: 'twice' });
    expect(machine.apply(asLogIndex(2), entry)).toEqual({ client_id: 'twice' });
  });
});

describe('the digest of a command', () => {
  it('depends on the content alone, not on its position', () => {
    const long = 'v'.repeat(100);
    const view = new Uint8Array(Buffer.from(`ab${long}c`)).subarray(2, 102);
    expect(digestOf([1, 'put', 'k', view])).toBe(digestOf([7, 'put', 'k', Buffer.from(long)]));
    expect(digestOf([1, 'put', 'k', long, 2 ** 40])).not.toBe(digestOf([1, 'put', 'k', long, 2 ** 41]));
    expect(digestOf([1, 'unlock', 'k', 5])).not.toBe(digestOf([1, 'unlock', 'k', 5 + 2 ** 32]));
  });
});

describe('a request', () => {
  it('with a field that the operation does not have is refused by its name, at every level', () => {
    const bodies: Record<string, object> = {
      put: { key: 'q', value: '1', ttl: 5 },
      batch: { commands: [[0, 'delete', 'k']], ttl: 5 },
      batch_get: { keys: ['k'], ttl: 5 },
      open_session: { ttl: 5 },
      range: { prefix: '', ttl: 5 },
      lock_get: { name: 'l', ttl: 5 },
      watch: { watch_id: 'w', prefix: '', ttl: 5 },
    };
    for (const level of [0, 1]) {
      for (const [operation, body] of Object.entries(bodies)) {
        const parse = () => new KvService().parse(operation, body, { level, generateId: () => 'id' });
        expect(parse).toThrow(/"ttl"/);
      }
    }
    for (const { request } of Object.values(kvOperations)) expect(request.safeParse({ ttl: 5 }).success).toBe(false);
  });

  it('may name its history in any request, and the reply names the history', () => {
    const bodies: Record<string, object> = {
      batch: { commands: [[0, 'delete', 'k']] },
      batch_get: { keys: ['k'] },
      open_session: {},
      range: { prefix: '' },
      changes: { prefix: '', from_revision: history.base + 1 },
      get: { key: 'k' },
      put: { key: 'k', value: 'v' },
    };
    const { stateMachine } = group();
    let index = 0;
    for (const [operation, body] of Object.entries(bodies)) {
      const named = { ...body, group_uid: 'history-7' };
      const request = new KvService().parse(operation, named, { level: 1, generateId: () => `id ${index}` });
      expect(request).toMatchObject({ groupUid: 'history-7' });
      if (request.type === 'watch' || request.type === 'unwatch' || operation === 'get' || operation === 'put')
        continue;
      index += 1;
      const result =
        request.type === 'read'
          ? stateMachine.query(request.query)
          : stateMachine.apply(asLogIndex(index), request.payload, request.command);
      expect(request.reply(result, replyContext)).toMatchObject({ group_uid: 'history-1' });
      expect(() => new KvService().parse(operation, { ...body, group_uid: 7 })).toThrow('group_uid');
    }
  });
});

it('recognizes another command by its digest, also after more writes than commands are kept for', () => {
  const machine = new KvStateMachine();
  machine.beginHistory(history);
  const client = 'a-session';
  machine.apply(asLogIndex(1), encode({ open_session: client }));
  const write = (index: number, sequence: number, value: string) =>
    machine.apply(
      asLogIndex(index),
      encode({ client_id: client, acknowledged: 0, commands: [[sequence, 'put', 'k', value]] }),
      undefined,
      1,
    );
  const large = 'v'.repeat(250_000);
  for (let sequence = 1; sequence <= 40; sequence++) write(1 + sequence, sequence, `${large}${sequence}`);
  for (const sequence of [1, 16, 17, 40]) {
    expect(write(50 + sequence, sequence, `${large}${sequence}`)).toMatchObject({
      results: [['done', expect.any(Number), true]],
    });
    expect(write(80 + sequence, sequence, `${large}x`)).toMatchObject({ results: [refused] });
  }
});
