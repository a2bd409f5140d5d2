import { limits } from '@conclave/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { commands, idOf, LedGroup, own, readBytes, rejected, self, stored } from './replicator-harness.js';

let group: LedGroup;
beforeEach(() => {
  group = new LedGroup();
});

describe('a target that is further behind than memory', () => {
  /** `n2` at entry 4, the leader at 10; nothing of that is in memory. */
  function behind(): number {
    group.receive(group.lead('n2', 10));
    group.receive(rejected('n2', 1, 4));
    group.receive(group.entries(2, 5, 3, [commands(5, 6, 3)]));
    const lines = group.receive(stored('n2', 4));
    expect(lines).toEqual(['n2 5..6 after 4/3 #4', `read from 7, ${readBytes} bytes #5`]);
    return idOf(lines[1]);
  }

  it('entries for a target that is far behind are read from the log-store, with the term of the leader', () => {
    group.receive(group.lead('n2', 10));
    const body = { ...own, request_id: 2, reader: 'replicator', leader_term: 5, from_index: 5, max_bytes: 1 };
    const effects = group.step(rejected('n2', 1, 4));
    expect(effects).toEqual([{ type: 'send', peerId: self, message: { name: 'log-store.read', body } }]);
  });

  it('has one read at a time', () => {
    behind();
    expect(group.receive(stored('n2', 5))).toEqual([]);
    expect(group.receive(group.append(commands(11)))).toEqual([]);
  });

  it('accepts a reply once, and only to its own read', () => {
    const read = behind();
    const batches = [commands(7, 10, 4)];
    expect(group.receive(group.entries(read + 1, 7, 3, batches))).toEqual([]);
    expect(group.receive(group.entries(read, 8, 3, batches))).toEqual([]);
    expect(group.receive(group.entries(read, 7, 3, batches, { session: 9 }))).toEqual([]);
    expect(group.receive(group.entries(read, 7, 3, batches))).toEqual(['n2 7..10 after 6/3 #6']);
    expect(group.receive(group.entries(read, 7, 3, batches))).toEqual([]);
    expect(group.core.dropped).toEqual({ not_asked: 3, other_session: 1 });
  });

  it('accepts the replies to a read in order', () => {
    const read = behind();
    expect(group.receive(group.entries(read, 7, 3, [commands(7, 8, 4)], { more: true }))).toEqual([
      'n2 7..8 after 6/3 #6',
    ]);
    // The one in between is lost, and comes late.
    expect(group.receive(group.entries(read, 10, 4, [commands(10)]))).toEqual([]);
    expect(group.receive(group.entries(read, 9, 4, [commands(9, 9, 4)], { more: true }))).toEqual([
      'n2 9..9 after 8/4 #7',
    ]);
    expect(group.receive(group.entries(read, 10, 4, [commands(10)]))).toEqual(['n2 10..10 after 9/4 #8']);
    expect(group.core.dropped).toEqual({ not_asked: 1 });
  });

  it('keeps entries for which the window has no room, and the entries after them', () => {
    const large = (index: number) => commands(index, index, 4, 500_000);
    group.receive(group.lead('n2', 100));
    group.receive(rejected('n2', 1, 0));
    const [asked] = group.receive(stored('n2', 0));
    const read = idOf(asked);
    const room = Math.floor(limits.replicatorWindowBytes / large(1).length);
    const sent: string[] = [];
    for (let n = 1; n <= room + 3; n++) {
      sent.push(...group.receive(group.entries(read, n, n === 1 ? 0 : 4, [large(n)], { more: true })));
    }
    expect(sent).toHaveLength(room);
    const freed = group.receive(stored('n2', 3)).map((line) => line.replace(/ #.*/, ''));
    expect(freed).toEqual([1, 2, 3].map((n) => `n2 ${room + n}..${room + n} after ${room + n - 1}/4`));
  });

  it('is read for ahead of what is sent, so that the window stays full', () => {
    const large = (index: number) => commands(index, index, 4, 500_000);
    group.receive(group.lead('n2', 100));
    group.receive(rejected('n2', 1, 0));
    const [asked] = group.receive(stored('n2', 0));
    const lines = group.receive(group.entries(idOf(asked), 1, 0, [large(1)]));
    expect(lines).toEqual([
      expect.stringMatching(/^n2 1..1 after 0/),
      expect.stringMatching(new RegExp(`^read from 2, ${readBytes} bytes`)),
    ]);
    // More than the window takes: the next read begins before that is sent.
    const room = Math.floor(limits.replicatorWindowBytes / large(1).length);
    let read = idOf(lines[1]);
    const continues: boolean[] = [];
    for (let last = 1; last < room + 12; last += 4) {
      const batches = [last + 1, last + 2, last + 3, last + 4].map(large);
      const ahead = group
        .receive(group.entries(read, last + 1, 4, batches))
        .find((line) => line.startsWith('read from'));
      continues.push(ahead !== undefined);
      if (ahead !== undefined) read = idOf(ahead);
      else break;
    }
    // What waits for room is bounded as well.
    expect(continues).toEqual([true, true, true, true, true, false]);
    expect(group.receive(stored('n2', 4)).some((line) => line.startsWith('read from'))).toBe(true);
  });

  it('is read for again as soon as the own log-store has synced what it lacked', () => {
    const read = behind();
    expect(group.receive(group.entries(read, 7, 0, [], { refusal: 'beyond_end' }))).toEqual([]);
    expect(group.receive(stored('n2', 4))).toEqual([]);
    expect(group.receive(stored('n1', 10))).toEqual([`read from 7, ${readBytes} bytes #6`]);
  });

  it('is requested again if one of the replies is lost', () => {
    const read = behind();
    group.receive(group.entries(read, 7, 3, [commands(7, 8, 4)], { more: true }));
    group.receive(stored('n2', 8));
    for (let n = 0; n < 4; n++) expect(group.tick(100)).toHaveLength(1);
    expect(group.tick(100)).toContainEqual(expect.stringMatching(/^read from 9, /));
  });

  it('is read for again after a refusal, with the next tick', () => {
    const read = behind();
    expect(group.receive(group.entries(read, 7, 0, [], { refusal: 'stale_term' }))).toEqual([]);
    expect(group.tick()).toEqual(['n2 after 4/3 #6', `read from 7, ${readBytes} bytes #7`]);
    expect(group.core.dropped).toEqual({ read_refused: 1 });
  });

  it('is requested again if the reply is lost', () => {
    behind();
    group.receive(stored('n2', 6));
    for (let n = 0; n < 4; n++) expect(group.tick(100)).toHaveLength(1);
    expect(group.tick(100)).toContain(`read from 7, ${readBytes} bytes #11`);
  });

  it.each([
    ['a gap before them', 7, 3, [commands(8, 10, 4)]],
    ['a gap among them', 7, 3, [commands(7, 7, 4), commands(9, 10, 4)]],
    ['a term above the own', 7, 3, [commands(7, 10, 6)]],
    ['a term that falls', 7, 4, [commands(7, 10, 3)]],
    ['another place', 7, 3, [commands(5, 6, 3)]],
    ['no batches at all', 7, 3, [new Uint8Array(40)]],
  ])('is not sent entries with %s', (_what, from, prevTerm, batches) => {
    const read = behind();
    expect(group.receive(group.entries(read, from, prevTerm, batches))).toEqual([]);
    expect(group.core.dropped).toEqual({ malformed_entries: 1 });
  });

  it('continues with the entries in memory', () => {
    const read = behind();
    group.receive(group.append(commands(11, 12)));
    expect(group.receive(group.entries(read, 7, 3, [commands(7, 10, 4)]))).toEqual([
      'n2 7..10 after 6/3 #6',
      'n2 11..12 after 10/5 #7',
    ]);
  });

  it('is the state of a target that falls behind: memory is bounded', () => {
    group.inStep('n2 n3');
    group.receive(stored('n3', 10));
    const batches = Math.ceil(limits.replicatorCacheBytes / 500_000) + 2;
    for (let n = 0; n < batches; n++) {
      group.receive(group.append(commands(11 + n, 11 + n, 5, 500_000)));
      group.receive(stored('n2', 11 + n));
    }
    expect(group.receive(rejected('n3', 6, 10))).toEqual([expect.stringMatching(/^n3 after 10\/5/)]);
    expect(group.receive(stored('n3', 10))).toEqual([expect.stringMatching(/^read from 11/)]);
  });
});
