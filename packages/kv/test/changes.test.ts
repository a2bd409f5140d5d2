import { asLogIndex, encode, type KeyChange, type KvReply, limits, type Value } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { KvService, KvStateMachine } from '../src/index.js';
import { payloadOfEntry, RandomEntries } from './random-commands.js';
import { generator, piecesOf, Requester, replyContext, restoredFrom } from './support.js';

function changesOf(requester: Requester, from_revision: number, over: object = {}): KvReply<'changes'> {
  return requester.ask('changes', { prefix: '', from_revision, ...over }) as KvReply<'changes'>;
}

describe('what has changed', () => {
  it('is reported by revision, with the values of that revision', () => {
    const requester = new Requester(new KvStateMachine());
    const { lease_id } = requester.ask('lease_grant', { ttl_ms: 5000 }) as KvReply<'lease_grant'>;
    const bytes = new Uint8Array([1, 255]);
    requester.ask('put', { key: 'a/1', value: 'one' });
    requester.ask('put', { key: 'b', value: 'other' });
    requester.ask('put', { key: 'a/1', value: bytes, lease_id });
    requester.ask('lock', { name: 'a/lock', owner: 'me', lease_id });
    requester.ask('delete', { key: 'a/1' });
    requester.ask('delete', { key: 'a/1' });
    requester.ask('cas', { key: 'a/2', value: '', expected_revision: 0 });
    expect(changesOf(requester, 1, { prefix: 'a/' })).toEqual({
      changes: [
        [1, 'put', 'a/1', 'one'],
        [3, 'put', 'a/1', bytes, lease_id],
        [5, 'delete', 'a/1'],
        [6, 'put', 'a/2', ''],
      ],
      more: false,
      next_revision: 7,
      revision: 6,
    });
    expect(changesOf(requester, 7)).toEqual({ changes: [], more: false, next_revision: 7, revision: 6 });
  });

  it('is reported for each write in a batch, for either branch of a transaction, and for the keys that end with a lease', () => {
    const requester = new Requester(new KvStateMachine());
    const { lease_id } = requester.ask('lease_grant', { ttl_ms: 5000 }) as KvReply<'lease_grant'>;
    requester.ask('batch', {
      commands: [
        [1, 'put', 'b', 'one'],
        [2, 'cas', 'b', 'no', 9],
        [3, 'put', 'a', 'two', lease_id],
        [
          4,
          'txn',
          [],
          [
            ['get', 'b'],
            ['put', 'c', 'three', lease_id],
            ['delete', 'b'],
          ],
          [['put', 'b', 'no']],
        ],
        [
          5,
          'txn',
          [['b', 'revision', '=', 9]],
          [['put', 'b', 'no']],
          [
            ['delete', 'no'],
            ['put', 'd', 'four'],
          ],
        ],
        [6, 'lease_revoke', lease_id],
        [7, 'put', 'e', 'five'],
      ],
    });
    const changes = [
      [1, 'put', 'b', 'one'],
      [2, 'put', 'a', 'two', lease_id],
      [3, 'put', 'c', 'three', lease_id],
      [4, 'delete', 'b'],
      [5, 'put', 'd', 'four'],
      [6, 'delete', 'a'],
      [7, 'delete', 'c'],
      [8, 'put', 'e', 'five'],
    ];
    expect(changesOf(requester, 1).changes).toEqual(changes);
    for (const change of changes)
      expect(changesOf(requester, Number(change[0]), { limit: 1 }).changes).toEqual([change]);
  });

  it('is returned page by page', () => {
    const requester = new Requester(new KvStateMachine());
    for (let key = 1; key <= 7; key++) requester.ask('put', { key: `${key % 2}/${key}`, value: 'v'.repeat(key) });
    const first = changesOf(requester, 1, { prefix: '1/', limit: 2 });
    expect(first.changes.map(([revision]) => revision)).toEqual([1, 3]);
    expect(first).toMatchObject({ more: true, next_revision: 5 });
    expect(changesOf(requester, first.next_revision, { prefix: '1/' })).toMatchObject({
      more: false,
      next_revision: 8,
    });
    const large = 'v'.repeat(limits.valueBytes);
    for (let key = 0; key < 3; key++) requester.ask('put', { key: 'large', value: large });
    expect(changesOf(requester, 8).changes).toHaveLength(1);
  });

  it('is forgotten past a bound of revisions, or of bytes: ECOMPACTED', () => {
    const requester = new Requester(new KvStateMachine({ history: { revisions: 4, bytes: 200 } }));
    for (let key = 1; key <= 6; key++) requester.ask('put', { key: `${key}`, value: 'v' });
    expect(() => changesOf(requester, 2)).toThrow(expect.objectContaining({ code: 'ECOMPACTED', outcome: 'not_done' }));
    expect(changesOf(requester, 3).changes.map(([revision]) => revision)).toEqual([3, 4, 5, 6]);
    requester.ask('put', { key: '7', value: 'v'.repeat(130) });
    expect(() => changesOf(requester, 5)).toThrow('known from revision 6 on; the last revision is 7');
    // The last one is always known.
    requester.ask('put', { key: '8', value: 'v'.repeat(500) });
    expect(changesOf(requester, 8).changes).toHaveLength(1);
    expect(() => changesOf(requester, 7)).toThrow('known from revision 8 on');
  });

  it('goes with its entry, also what no command of that names: locks, and keys of leases', () => {
    const requester = new Requester(new KvStateMachine({ history: { revisions: 100, bytes: 1000 } }));
    const { lease_id } = requester.ask('lease_grant', { ttl_ms: 5000 }) as KvReply<'lease_grant'>;
    requester.ask('batch', {
      commands: [
        [0, 'put', 'before', 'v'],
        [0, 'lock', 'lock', 'me', lease_id, false],
        [0, 'put', 'behind', 'v'],
      ],
    });
    for (let key = 1; key <= 100; key++) {
      requester.ask('put', { key: `${key}`, value: 'v' });
      const { history } = requester.stateMachine;
      expect(changesOf(requester, history.first)).toMatchObject({ more: false, next_revision: history.revision + 1 });
    }
    expect(requester.stateMachine.history.first).toBeGreaterThan(4);
  });

  it('keeps an entry once, however often keys of leases go within it', () => {
    const requester = new Requester(new KvStateMachine({ history: { revisions: 100, bytes: 3000 } }));
    const leases = Array.from({ length: 20 }, (_, number) => {
      const { lease_id } = requester.ask('lease_grant', { ttl_ms: 5000 }) as KvReply<'lease_grant'>;
      requester.ask('put', { key: `of ${number}`, value: 'v', lease_id });
      return lease_id;
    });
    requester.ask('batch', {
      commands: leases.flatMap((leaseId) => [
        [0, 'lease_revoke', leaseId],
        [0, 'put', `${leaseId}`, 'v'.repeat(80)],
      ]),
    });
    expect(changesOf(requester, 21).changes).toHaveLength(40);
  });

  it('is the same with little room and with much, as far as it goes back', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const below = generator(seed + 100);
      const entries = new RandomEntries(generator(seed));
      const roomy = new KvStateMachine({ history: { revisions: 10_000, bytes: 10_000_000 } });
      const tight = new KvStateMachine({ history: { revisions: 1 + below(600), bytes: 64 + below(20_000) } });
      for (let index = 1; index <= 200; index++) {
        const payload = payloadOfEntry(entries.next(index));
        for (const one of [roomy, tight]) one.apply(asLogIndex(index), payload);
        const { first, revision } = tight.history;
        const from = first + Math.min(below(4), revision + 1 - first);
        const max = { changes: 1 + below(50), bytes: 1 + below(5000), revisions: 1 + below(300) };
        expectSame(tight.history.changes('', from, max), roomy.history.changes('', from, max));
      }
    }
  });

  it('is no part of a snapshot: a restored store knows only later changes', () => {
    const requester = new Requester(new KvStateMachine());
    for (let key = 1; key <= 5; key++) requester.ask('put', { key: `${key}`, value: 'v' });
    const other = new Requester(restoredFrom(piecesOf(requester.stateMachine)));
    expect(() => changesOf(other, 5)).toThrow('known from revision 6 on; the last revision is 5');
    expect(changesOf(other, 6)).toMatchObject({ changes: [], more: false });
    other.ask('put', { key: 'new', value: 'w' });
    expect(changesOf(other, 6).changes).toEqual([[6, 'put', 'new', 'w']]);
  });

  it('makes the same keys of what was before, and is the same on all peers', () => {
    for (let seed = 1; seed <= 6; seed++) {
      const entries = new RandomEntries(generator(seed));
      const machine = new KvStateMachine();
      const apply = (machines: readonly KvStateMachine[], from: number, count: number): void => {
        for (let index = from; index < from + count; index++) {
          const payload = payloadOfEntry(entries.next(index));
          for (const one of machines) one.apply(asLogIndex(index), payload);
        }
      };
      apply([machine], 1, 300);
      const from = machine.history.revision + 1;
      const seen = keysOf(machine);
      const other = restoredFrom(
        piecesOf(machine),
        new KvStateMachine({ history: { revisions: 50_000, bytes: 10_000_000 } }),
      );
      apply([machine, other], 301, 400);
      const changes = allChanges(machine, from);
      expectSame(allChanges(other, from), changes);
      for (const [revision, what, key, value] of changes) {
        if (what === 'put') seen.set(key, [revision, value]);
        else seen.delete(key);
      }
      expectSame([...seen].sort(byKey), [...keysOf(machine)].sort(byKey));
    }
  });

  it('promise 30: is refused from a revision that does not exist yet; a peer that may be behind reports that it has not reached it', () => {
    const requester = new Requester(new KvStateMachine());
    requester.ask('put', { key: 'k', value: 'v' });
    expect(changesOf(requester, 2)).toMatchObject({ changes: [], more: false, next_revision: 2 });
    expect(() => changesOf(requester, 3)).toThrow(expect.objectContaining({ code: 'EINVAL', outcome: 'not_done' }));
    const request = new KvService().parse('changes', { prefix: '', from_revision: 3 });
    if (request.type !== 'read') throw new Error('it is a read');
    const stale = () => request.reply(requester.stateMachine.query(request.query), { ...replyContext, isStale: true });
    expect(stale).toThrow(expect.objectContaining({ code: 'EBUSY', outcome: 'not_done' }));
  });

  it('is what a watch selects', () => {
    const service = new KvService();
    const request = service.parse('watch', { watch_id: 'w-1', prefix: 'a/', from_revision: 3 });
    expect(request).toMatchObject({ type: 'watch', watchId: 'w-1', selector: 'a/', from: 3 });
    if (request.type !== 'watch') throw new Error('it is no watch');
    expect(request.reply({ after: 2, revision: 8, renewMs: 5 }, replyContext)).toEqual({
      after: 2,
      revision: 8,
      renew_ms: 5,
      group_uid: replyContext.groupUid,
    });
    expect(service.parse('watch', { watch_id: 'w', prefix: '' })).toMatchObject({ selector: '', from: undefined });
    expect(service.parse('watch', { watch_id: 'owner.w', prefix: '' })).toMatchObject({ watchId: 'owner.w' });
    const closing = service.parse('unwatch', { watch_id: 'owner.w' });
    expect(closing).toMatchObject({ type: 'unwatch', watchId: 'owner.w' });
    for (const watch_id of ['', 'a.b.c', '.b', 'a.', '*', '>', 'a.*', 'a b', 'w'.repeat(65)]) {
      expect(() => service.parse('watch', { watch_id, prefix: '' })).toThrow('watch_id');
    }
  });
});

/** As `toEqual` says it, in a fraction of the time. */
function expectSame(one: unknown, other: unknown): void {
  expect(Buffer.compare(encode(one), encode(other))).toBe(0);
}

function allChanges(machine: KvStateMachine, from: number): KeyChange[] {
  const max = { changes: 1_000_000, bytes: 100_000_000, revisions: 1_000_000 };
  return machine.history.changes('', from, max).changes as KeyChange[];
}

function keysOf(machine: KvStateMachine): Map<string, readonly [number, Value]> {
  const requester = new Requester(machine);
  const { found, more } = requester.ask('range', { prefix: '' }) as KvReply<'range'>;
  expect(more).toBe(false);
  return new Map(found.map(([key, value, revision]) => [key, [revision, value as Value]]));
}

function byKey([one]: readonly [string, unknown], [other]: readonly [string, unknown]): number {
  return one < other ? -1 : 1;
}
