import { encode, type KvReply, type LeaseId, limits, publicPartOf, secretPartOf } from '@conclave/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { KvService, KvStateMachine } from '../src/index.js';
import { payloadOf, Requester, restored } from './support.js';

let requester: Requester;
beforeEach(() => {
  requester = new Requester(new KvStateMachine(), false, 1);
});

function grant(ttl_ms = 10_000): string {
  return (requester.ask('lease_grant', { ttl_ms }) as { lease_id: string }).lease_id;
}

/** The same number with another secret. */
function forged(leaseId: LeaseId): string {
  return `${publicPartOf(leaseId)}.${'x'.repeat(22)}`;
}

function eventsOf(operation: string, body: unknown): unknown {
  const request = requester.parse(operation, body);
  if (request.type !== 'write') throw new Error('a write');
  const result = requester.apply(request.payload, request.command);
  return request.events?.(result) ?? [];
}

describe('promise 29: the id of a lease', () => {
  it('Has a number and a secret that the leader generates, from feature level 1 on.', () => {
    const service = new KvService();
    const secret = 'a'.repeat(22);
    const request = service.parse('lease_grant', { ttl_ms: 5000 }, { level: 1, generateId: () => secret });
    if (request.type !== 'write') throw new Error('a write');
    expect(request.command).toEqual({ commands: [[0, 'lease_grant', 5000, secret]] });
    const lease_id = `1.${secret}`;
    const result = requester.apply(request.payload);
    expect(result).toEqual({ results: [['done', lease_id, true]] });
    expect(request.reply(result, { groupUid: 'history-1' as never })).toMatchObject({ lease_id, ttl_ms: 5000 });
    expect(payloadOf('lease_grant', { ttl_ms: 5000 })).toEqual({ commands: [[0, 'lease_grant', 5000]] });
  });

  it('Is a number for clients of the first version: their sessions are numbers, and they read no other ids.', () => {
    const { client_id } = requester.ask('open_session', {}) as KvReply<'open_session'>;
    const commands = [
      [1, 'lease_grant', 1000],
      [2, 'lock', 'l', 'me', 1, false],
    ];
    expect(requester.results({ client_id, commands })).toEqual([
      ['done', 1, true],
      ['done', expect.any(Number), true],
    ]);
    const { holder } = requester.ask('lock_get', { name: 'l' }) as KvReply<'lock_get'>;
    expect(requester.results({ client_id, commands: [[3, 'unlock', 'l', holder?.token]] })).toMatchObject([
      ['done', expect.any(Number), true],
    ]);
    expect(requester.results({ client_id, commands: [[4, 'lease_revoke', 1]] })).toMatchObject([
      ['done', expect.any(Number), true],
    ]);
  });

  it('Has a secret for a client that names its history, also in a session of level 0.', () => {
    const before = new Requester(requester.stateMachine);
    const client_id = before.openSession();
    requester.index = before.index;
    const request = { client_id, group_uid: 'history-1', commands: [[1, 'lease_grant', 1000]] };
    expect(requester.results(request)).toEqual([['done', expect.stringMatching(/^1\.[\w-]{22}$/), true]]);
  });

  it('Is put in by the service for each lease of a batch; a client cannot choose one.', () => {
    const results = requester.results({
      commands: [
        [0, 'lease_grant', 1000],
        [0, 'put', 'k', 'v'],
        [0, 'lease_grant', 2000],
      ],
    }) as unknown[][];
    expect(new Set([results[0]?.[1], results[2]?.[1]]).size).toBe(2);
    const chosen = 'b'.repeat(22);
    expect(() => requester.ask('batch', { commands: [[0, 'lease_grant', 1000, chosen]] })).toThrow(/commands\[0\]/);
  });

  it('Returns its first result if the same call is repeated, although another id was generated.', () => {
    // From then on a result is kept with a digest of its command.
    requester.stateMachine.beginHistory({ groupUid: 'history-1' as never, base: 0 });
    const client_id = requester.openSession();
    const write = { client_id, commands: [[1, 'lease_grant', 2000]] };
    const first = requester.results(write);
    expect(requester.results(write)).toEqual(first);
    expect((requester.ask('lease_list', {}) as KvReply<'lease_list'>).leases).toHaveLength(1);
  });

  it('Is needed as a whole to keep, end or use the lease: with another secret there is no such lease.', () => {
    const lease_id = grant();
    const wrong = forged(lease_id);
    const text = `there is no lease ${publicPartOf(lease_id)}`;
    expect(() => requester.ask('lease_keep', { lease_id: wrong })).toThrow(text);
    expect(() => requester.ask('put', { key: 'k', value: 'v', lease_id: wrong })).toThrow(text);
    const tie = { compare: [], then: [['put', 'k', 'v', wrong]] };
    expect(() => requester.ask('txn', tie)).toThrow(text);
    expect(() => requester.ask('lock', { name: 'l', owner: 'me', lease_id: wrong })).toThrow('there is no such lease');
    expect(requester.ask('lease_revoke', { lease_id: wrong })).toMatchObject({ revoked: false });
    const number = publicPartOf(lease_id);
    expect(() => requester.ask('lease_keep', { lease_id: number })).toThrow(text);
    expect(() => requester.ask('put', { key: 'k', value: 'v', lease_id: number })).toThrow(text);
    expect(() => requester.ask('lock', { name: 'l', owner: 'me', lease_id: number })).toThrow('no such lease');
    expect(() => requester.ask('lease_revoke', { lease_id: publicPartOf(lease_id) })).toThrow(/`force`/);
    expect(requester.ask('lease_get', { lease_id: wrong })).toMatchObject({ ttl_ms: 0 });
    expect(requester.ask('lease_keep', { lease_id })).toEqual({ lease_id, ttl_ms: 10_000 });
    expect(requester.ask('lease_revoke', { lease_id })).toMatchObject({ revoked: true });
  });

  it('Shows only its number in lists, locks and changes, which is enough to ask for the lease.', () => {
    const lease_id = grant();
    const name = publicPartOf(lease_id);
    requester.ask('put', { key: 'k', value: 'v', lease_id });
    requester.ask('txn', { compare: [], then: [['put', 'm', 'w', lease_id]] });
    requester.ask('lock', { name: 'l', owner: 'me', lease_id });
    const known = { lease_id: name, ttl_ms: 10_000, keys: ['k', 'm'] };
    const seen = [
      requester.ask('lease_list', {}),
      requester.ask('lease_get', { lease_id }),
      requester.ask('lease_get', { lease_id: name }),
      requester.ask('lock_get', { name: 'l' }),
      requester.ask('changes', { prefix: '', from_revision: 1 }),
      eventsOf('unlock', { name: 'l', token: 3, force: true }),
      eventsOf('lease_revoke', { lease_id, force: true }),
    ];
    expect(seen[0]).toEqual({ leases: [[name, 10_000, 2]], more: false });
    expect(seen[1]).toMatchObject(known);
    expect(seen[2]).toMatchObject(known);
    expect(seen[3]).toMatchObject({ holder: { lease_id: name } });
    expect(seen[4]).toMatchObject({
      changes: [
        [1, 'put', 'k', 'v', name],
        [2, 'put', 'm', 'w', name],
      ],
    });
    expect(JSON.stringify(seen)).not.toContain(secretPartOf(lease_id));
  });

  it('Lists leases of both kinds page by page, in the order of their numbers.', () => {
    const before = new Requester(requester.stateMachine);
    for (let count = 0; count < 3; count++) before.ask('lease_grant', { ttl_ms: 1000 });
    requester.index = before.index;
    const names = Array.from({ length: 4 }, () => publicPartOf(grant()));
    const all: unknown[] = [];
    for (let start_after: unknown; ; ) {
      const page = requester.ask('lease_list', { limit: 2, ...(start_after === undefined ? {} : { start_after }) });
      const { leases, more } = page as KvReply<'lease_list'>;
      all.push(...leases.map(([name]) => name));
      if (!more) break;
      start_after = leases.at(-1)?.[0];
    }
    expect(all).toEqual([1, 2, 3, ...names]);
    // What was granted before the level was raised is used as before.
    expect(requester.ask('lease_keep', { lease_id: 2 })).toEqual({ lease_id: 2, ttl_ms: 1000 });
    expect(requester.ask('lease_revoke', { lease_id: 2 })).toMatchObject({ revoked: true });
  });

  it('Writes nothing into the log of a group of level 0 that an older peer cannot read.', () => {
    const lease_id = grant();
    const none = Number.MAX_SAFE_INTEGER;
    const commands = [
      [0, 'put', 'k', 'v', lease_id],
      [0, 'put', 'k', 'v', 3],
      [0, 'txn', [], [['put', 'k', 'v', lease_id]], [['get', 'k']]],
      [0, 'lease_keep', lease_id],
      [0, 'lease_revoke', publicPartOf(lease_id), 'force'],
      [0, 'lock', 'l', 'me', lease_id, true],
      [0, 'unlock', 'l', 7, lease_id],
      [0, 'unlock', 'l', 7, 'force'],
    ];
    expect(payloadOf('batch', { commands })).toEqual({
      commands: [
        [0, 'put', 'k', 'v', none],
        [0, 'put', 'k', 'v', 3],
        [0, 'txn', [], [['put', 'k', 'v', none]], [['get', 'k']]],
        [0, 'lease_keep', none],
        [0, 'lease_revoke', publicPartOf(lease_id)],
        [0, 'lock', 'l', 'me', none, true],
        [0, 'unlock', 'l', 7],
        [0, 'unlock', 'l', 7],
      ],
    });
  });

  it('Is refused in entries that have no such form.', () => {
    for (const command of [
      [0, 'lease_grant', 1000, 7],
      [0, 'lease_grant', 1000, 'short'],
      [0, 'lease_grant', 1000, `${'a'.repeat(12)}.${'b'.repeat(22)}`, 1],
      [0, 'unlock', 'l', 7, 'other'],
    ]) {
      expect(requester.apply(encode({ commands: [command] }))).toEqual({ refused: expect.any(String) });
    }
  });
});

describe('promise 34: a lock that is held by a lease with a secret', () => {
  function held(): { lease_id: string; token: number } {
    const lease_id = grant();
    const { token } = requester.ask('lock', { name: 'l', owner: 'me', lease_id }) as KvReply<'lock'>;
    return { lease_id, token };
  }

  it('Is released by its holder alone.', () => {
    const { lease_id, token } = held();
    const other = grant();
    expect(() => requester.ask('unlock', { name: 'l', token })).toThrow(/give its `lease_id`/);
    for (const wrong of [other, forged(lease_id)]) {
      expect(requester.ask('unlock', { name: 'l', token, lease_id: wrong })).toMatchObject({ released: false });
    }
    expect(requester.ask('lock_get', { name: 'l' })).toMatchObject({ holder: { token } });
    expect(eventsOf('unlock', { name: 'l', token, lease_id })).toEqual([]);
    expect(requester.ask('lock_get', { name: 'l' })).toEqual({ holder: null, waiting: 0 });
  });

  it('Is taken from it by force, which is reported to observers once it has happened.', () => {
    const { token } = held();
    expect(eventsOf('unlock', { name: 'l', token: token + 1, force: true })).toEqual([]);
    const event = { name: 'lock_forced', detail: { name: 'l', token } };
    expect(eventsOf('unlock', { name: 'l', token, force: true })).toEqual([event]);
    expect(requester.ask('lock_get', { name: 'l' })).toEqual({ holder: null, waiting: 0 });
  });

  it('Is lost with its lease, which is ended by force with its public part.', () => {
    const lease_id = publicPartOf(held().lease_id);
    const commands = [
      [0, 'lease_revoke', lease_id, 'force'],
      [0, 'lease_revoke', lease_id, 'force'],
    ];
    expect(eventsOf('batch', { commands })).toEqual([{ name: 'lease_forced', detail: { lease_id } }]);
    expect(requester.ask('lock_get', { name: 'l' })).toEqual({ holder: null, waiting: 0 });
  });

  it('Is released with its token alone if the id of its lease is a number.', () => {
    const before = new Requester(requester.stateMachine);
    before.ask('lease_grant', { ttl_ms: 1000 });
    const { token } = before.ask('lock', { name: 'l', owner: 'me', lease_id: 1 }) as KvReply<'lock'>;
    requester.index = before.index;
    expect(requester.ask('unlock', { name: 'l', token, lease_id: 2 })).toMatchObject({ released: false });
    expect(requester.ask('unlock', { name: 'l', token })).toMatchObject({ released: true });
  });

  it('Is the same in a snapshot, with both kinds of leases, secrets and queue.', () => {
    const before = new Requester(requester.stateMachine);
    before.ask('lease_grant', { ttl_ms: 1000 });
    before.ask('put', { key: 'n', value: 'v', lease_id: 1 });
    requester.index = before.index;
    const { lease_id, token } = held();
    const next = grant(limits.leaseMinMs);
    requester.ask('lock', { name: 'l', owner: 'next', lease_id: next, wait: true });
    requester.ask('put', { key: 'k', value: 'v', lease_id });
    const other = restored(requester, true);
    expect([...pieces(other)]).toEqual([...pieces(requester)]);
    for (const one of [requester, other]) {
      expect(() => one.ask('lease_keep', { lease_id: forged(lease_id) })).toThrow('there is no lease');
      expect(one.ask('unlock', { name: 'l', token, lease_id })).toMatchObject({ released: true });
      expect(one.ask('lock_get', { name: 'l' })).toMatchObject({ holder: { lease_id: publicPartOf(next) } });
      expect(one.ask('lease_revoke', { lease_id })).toMatchObject({ revoked: true });
      expect(one.ask('get', { key: 'k' })).toMatchObject({ value: null });
      expect(one.ask('lease_list', {})).toMatchObject({
        leases: [
          [1, 1000, 1],
          [publicPartOf(next), 1000, 0],
        ],
      });
    }
  });
});

function* pieces({ stateMachine }: Requester): Generator<Uint8Array> {
  const iterator = stateMachine.snapshot();
  for (let next = iterator.next(); next.done !== true; next = iterator.next()) yield next.value;
}

describe('promise 29: a lease of an earlier history', () => {
  it('Cannot be kept or used any more, can be ended, and else ends at its time with its keys and locks.', () => {
    const [one, other] = [grant(3000), grant(3000)];
    requester.ask('put', { key: 'k', value: 'v', lease_id: one });
    requester.ask('lock', { name: 'l', owner: 'me', lease_id: one });
    const next = grant(3000);
    requester.stateMachine.beginHistory({ groupUid: 'history-2' as never, base: 2 ** 48 });
    const copy = restored(requester, true);
    for (const each of [requester, copy]) {
      const requests: [string, object][] = [
        ['lease_keep', { lease_id: one }],
        ['put', { key: 'm', value: 'v', lease_id: one }],
        ['txn', { compare: [], then: [['put', 'm', 'v', one]] }],
        ['lock', { name: 'm', owner: 'me', lease_id: one }],
      ];
      for (const [operation, body] of requests) {
        expect(() => each.ask(operation, body)).toThrow(
          expect.objectContaining({ code: 'EHISTORY', outcome: 'not_done' }),
        );
      }
      expect(each.ask('lease_revoke', { lease_id: other })).toMatchObject({ revoked: true });
      // Until then no other client gets the locks that it holds.
      const { lease_id } = each.ask('lease_grant', { ttl_ms: 9000 }) as KvReply<'lease_grant'>;
      expect(each.ask('lock', { name: 'l', owner: 'new', lease_id, wait: true })).toMatchObject({ acquired: false });
      for (const nowMs of [0, 1000, 2000]) expect(each.stateMachine.housekeeping(nowMs, 1, 1)).toBeUndefined();
      expect(each.apply(each.stateMachine.housekeeping(3000, 1, 1) as Uint8Array)).toEqual({ expired: 2 });
      expect(each.ask('lease_get', { lease_id: next })).toMatchObject({ ttl_ms: 0 });
      expect(each.ask('get', { key: 'k' })).toMatchObject({ value: null });
      expect(each.ask('lock_get', { name: 'l' })).toMatchObject({ holder: { owner: 'new' } });
      expect(each.ask('lease_keep', { lease_id })).toMatchObject({ ttl_ms: 9000 });
    }
  });

  it('Is one like any other where its group only reaches level 1.', () => {
    const lease_id = grant();
    requester.stateMachine.beginHistory({ groupUid: 'history-1' as never, base: 0 });
    expect(requester.ask('lease_keep', { lease_id })).toMatchObject({ ttl_ms: 10_000 });
  });
});
