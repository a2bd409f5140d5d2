import { limits } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { Bench, made } from './node-on-a-bench.js';

const three = [1, 'n1 n2 n3'] as const;
const fill = limits.snapshotChunkBytes;
/** Of entry 100, in three chunks. */
const large = made([100, 2], ['a', 'b'], { fill });
const newer = made([120, 2], ['c'], { id: 'S2' });

/** A follower in term 2 with entries 1 to 3. */
function follower(): Bench {
  const bench = new Bench();
  bench.open({ term: 2, log: [three, 1, 2], commit: 1 });
  return bench;
}

describe('InstallSnapshot', () => {
  test('is followed as AppendEntries is, and told how much is stored', () => {
    const bench = follower();
    expect(bench.installSnapshot(large, { term: 3, tick: 7 })).toEqual([
      'log-store.vote term 3 for nobody',
      'echo of tick 7 in term 3 to n2',
      'snapshot_stored 0 of S1 to n2',
    ]);
    expect(bench.summary).toMatchObject({ leader_id: 'n2', term: 3 });
    expect(bench.installSnapshot(large, { term: 2 })).toEqual(['higher_term 3 to n2']);
    expect(bench.installSnapshot(large, { term: 3, store: 's0' })).toEqual([
      'event store_refused, s1, s0, n2',
      'rejected store to n2: last 3, conflict 0 of term 0',
    ]);
    expect(bench.installSnapshot(large, { term: 3, group: 'other' })).toEqual([]);
  });

  test('hands chunks on in order, and says that they are stored once they are synced', () => {
    const bench = follower();
    bench.installSnapshot(large);
    bench.syncs = false;
    expect(bench.installSnapshot(large, { number: 0 })).toEqual(['snapshot_chunk 0 of S1, installed']);
    expect(bench.installSnapshot(large, { number: 1 })).toEqual(['snapshot_chunk 1 of S1, installed']);
    expect(bench.sync()).toEqual(['snapshot_stored 1 of S1 to n2', 'snapshot_stored 2 of S1 to n2']);
    expect(bench.status.installing).toEqual({ index: 100, chunks: 3, done: 2, percent: 66 });
  });

  test('answers a repeat and a gap, and hands neither on', () => {
    const bench = follower();
    bench.installSnapshot(large);
    bench.installSnapshot(large, { number: 0 });
    expect(bench.installSnapshot(large, { number: 0 })).toEqual(['snapshot_stored 1 of S1 to n2']);
    expect(bench.installSnapshot(large, { number: 2 })).toEqual(['snapshot_stored 1 of S1 to n2']);
    expect(bench.dropped('install_chunk_not_next')).toBe(2);
  });

  test('a chunk that is damaged on the way is not handed on', () => {
    const bench = follower();
    const chunks = large.chunks.map((chunk) => Uint8Array.from(chunk));
    (chunks[0] as Uint8Array)[50] = 255;
    expect(bench.installSnapshot({ ...large, chunks }, { number: 0 }).at(-1)).toBe('snapshot_stored 0 of S1 to n2');
    expect(bench.dropped('install_malformed')).toBe(1);
  });

  test('ends with the last chunk; once that is synced the node begins anew', () => {
    const bench = follower();
    bench.installSnapshot(large);
    bench.installSnapshot(large, { number: 0 });
    bench.installSnapshot(large, { number: 1 });
    bench.syncs = false;
    expect(bench.installSnapshot(large, { number: 2 })).toEqual([
      'snapshot_chunk 2 of S1, installed',
      'snapshot_end of S1, installed: entry 100 of term 2, 3 chunks, compact to 100',
    ]);
    expect(bench.sync()).toEqual([
      'snapshot_stored 3 of S1 to n2',
      `event snapshot_installed, n2, 100, 3, ${large.head.bytes}`,
      'start over',
    ]);
    expect(bench.installSnapshot(large), 'the new one answers').toEqual([]);
  });

  test('once its end is on its way to the disk nothing is appended to the log that it takes the place of', () => {
    const bench = follower();
    bench.installSnapshot(newer);
    bench.syncs = false;
    bench.installSnapshot(newer, { number: 0 });
    expect(bench.appendEntries({ prev: [3, 2], entries: [2] })).toEqual([
      'rejected busy to n2: last 3, conflict 0 of term 0',
    ]);
    expect(bench.feedAppend({ prev: [3, 2], entries: [2] })).toEqual([]);
    expect(bench.dropped('feed_append_busy')).toBe(1);
    expect(bench.wait(1900).filter((line) => line.includes('elect'))).toEqual([]);
    expect(bench.sync()).toEqual([
      'snapshot_stored 1 of S2 to n2',
      `event snapshot_installed, n2, 120, 1, ${newer.head.bytes}`,
      'start over',
    ]);
  });

  test('of entries that are committed here is installed at once: so is one that the node restores from', () => {
    const bench = new Bench();
    bench.answersReads = false;
    bench.open({ term: 2, snapshot: large });
    expect(bench.installSnapshot(large)).toContain('snapshot_stored 3 of S1 to n2, installed');
    expect(bench.installSnapshot(made([90, 2], ['z'], { id: 'S0' }))).toContain(
      'snapshot_stored 1 of S0 to n2, installed',
    );
  });

  test('an empty store takes it, and the history with it', () => {
    const bench = new Bench();
    bench.open();
    bench.installSnapshot(newer);
    bench.installSnapshot(newer, { number: 0 });
    const end = bench.sentOwn('log-store.snapshot_end');
    expect(end).toMatchObject({ group_uid: 'uid', term: 2, head: newer.head });
  });
});

describe('promise 19: a transfer', () => {
  test('goes on from its last chunk after a crash of the follower', () => {
    const bench = new Bench();
    bench.open({ term: 2, log: [three, 1, 2], commit: 1, installing: { id: 'S1', stored: 2 } });
    expect(bench.status.installing, 'nobody has sent on yet').toBeNull();
    expect(bench.installSnapshot(large)).toContain('snapshot_stored 2 of S1 to n2');
    expect(bench.installSnapshot(large, { number: 2 })).toContain(
      'snapshot_end of S1, installed: entry 100 of term 2, 3 chunks, compact to 100',
    );
  });

  test('that broke off behind its last chunk is ended by the leader’s asking', () => {
    const bench = new Bench();
    bench.open({ term: 2, log: [three, 1, 2], commit: 1, installing: { id: 'S1', stored: 3 } });
    expect(bench.installSnapshot(large)).toContain(
      'snapshot_end of S1, installed: entry 100 of term 2, 3 chunks, compact to 100',
    );
  });

  test('goes on when the same leader comes back in a higher term', () => {
    const bench = follower();
    bench.installSnapshot(large);
    bench.installSnapshot(large, { number: 0 });
    expect(bench.installSnapshot(large, { term: 4 })).toContain('snapshot_stored 1 of S1 to n2');
  });

  test('is given up for a newer snapshot, not for an older one', () => {
    const bench = follower();
    bench.installSnapshot(large);
    bench.installSnapshot(large, { number: 0 });
    expect(bench.installSnapshot(newer)).toContain('snapshot_stored 0 of S2 to n2');
    expect(bench.installSnapshot(large, { number: 1 })).toEqual([]);
    expect(bench.dropped('install_of_older_snapshot')).toBe(1);
  });

  test('is given up for another one of a higher term’s leader, also of an older entry', () => {
    const bench = follower();
    bench.installSnapshot(newer);
    expect(bench.installSnapshot(large, { from: 'n3', term: 3 })).toContain('snapshot_stored 0 of S1 to n3');
    expect(bench.status.installing).toMatchObject({ index: 100, done: 0 });
  });

  test('that nobody goes on with does not show, and holds up no snapshot of the peer’s own', () => {
    const bench = follower();
    bench.appendEntries({ prev: [3, 2], commit: 3 });
    bench.installSnapshot(large);
    expect(bench.admin('snapshot', {}, 'peer')).toEqual(['refuse 1 EBUSY not_done']);
    bench.wait(3000);
    expect(bench.status.installing).toBeNull();
    expect(bench.admin('snapshot', {}, 'peer')).toContain('snapshot_chunk 0 of N1-1, taken');
    expect(bench.installSnapshot(large, { number: 1, term: 9 }).at(-1)).toBe('snapshot_stored 0 of S1 to n2');
  });

  test('whose end is on its way to a slow disk holds up snapshots of the peer’s own, however long that takes', () => {
    const bench = follower();
    bench.appendEntries({ prev: [3, 2], commit: 3 });
    bench.installSnapshot(newer);
    bench.syncs = false;
    bench.installSnapshot(newer, { number: 0 });
    bench.wait(10_000);
    expect(bench.admin('snapshot', {}, 'peer')).toEqual(['refuse 1 EBUSY not_done']);
    expect(bench.status.installing).toMatchObject({ index: 120, done: 1 });
    expect(bench.sync()).toContain('start over');
  });

  test('takes the place of a snapshot that the peer takes of its own', () => {
    const bench = follower();
    bench.appendEntries({ prev: [3, 2], commit: 3 });
    bench.wait(0);
    bench.syncs = false;
    bench.machine.fill = fill;
    bench.machine.applied.push(...Array<string>(9).fill('x'));
    bench.admin('snapshot', {}, 'peer');
    expect(bench.installSnapshot(large)).toContain('refuse 1 EBUSY not_done');
    expect(bench.status.taking).toBeNull();
  });
});

describe('a log that begins behind a snapshot', () => {
  /** Entries up to 7 are gone; 8 and 9 of term 2 are there. */
  function compacted(): Bench {
    const bench = new Bench();
    bench.open({ term: 2, snapshot: made([7, 1], ['7:f']), log: [2, 2], commit: 8 });
    return bench;
  }

  test('matches at its base by the base’s term', () => {
    const bench = compacted();
    expect(bench.appendEntries({ prev: [7, 1], entries: [2, 2, 2] })).toContain(
      'log-store.append term 2 of n2: entry 10 of term 2 verified 10',
    );
    expect(() => bench.appendEntries({ prev: [7, 2] })).toThrow(/committed/);
  });

  test('takes what is below its base for matching, and only the rest of the entries', () => {
    const bench = compacted();
    expect(bench.appendEntries({ prev: [4, 1], entries: [1, 1, 1] })).toContain(
      'log-store.append term 2 of n2: nothing verified 7',
    );
    expect(bench.appendEntries({ prev: [5, 1], entries: [1, 1, 2, 2, 2] })).toContain(
      'log-store.append term 2 of n2: entry 10 of term 2 verified 10',
    );
  });

  test('tells where a conflict begins, not below its first entry', () => {
    const bench = compacted();
    expect(bench.appendEntries({ term: 3, prev: [9, 3] })).toContain(
      'rejected mismatch to n2: last 9, conflict 8 of term 2',
    );
  });
});
