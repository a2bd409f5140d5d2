import { limits } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { made, NodeHarness } from '../node-harness.js';

const three = [1, 'n1 n2 n3'] as const;
const fill = limits.snapshotChunkBytes;
/** Of entry 100, in three chunks. */
const large = made([100, 2], ['a', 'b'], { fill });
const newer = made([120, 2], ['c'], { id: 'S2' });

/** A follower in term 2 with entries 1 to 3. */
function follower(): NodeHarness {
  const node = new NodeHarness();
  node.open({ term: 2, log: [three, 1, 2], commit: 1 });
  return node;
}

describe('InstallSnapshot', () => {
  test('is followed like AppendEntries, and answered with how much is stored', () => {
    const node = follower();
    expect(node.installSnapshot(large, { term: 3, tick: 7 })).toEqual([
      'log-store.vote term 3 for nobody',
      'echo of tick 7 in term 3 to n2',
      'snapshot_stored 0 of S1 to n2',
    ]);
    expect(node.summary).toMatchObject({ leader_id: 'n2', term: 3 });
    expect(node.installSnapshot(large, { term: 2 })).toEqual(['higher_term 3 to n2']);
    expect(node.installSnapshot(large, { term: 3, store: 's0' })).toEqual([
      'event store_refused, s1, s0, n2',
      'rejected store to n2: last 3, conflict 0 of term 0',
    ]);
    expect(node.installSnapshot(large, { term: 3, group: 'other' })).toEqual([]);
  });

  test('passes chunks on in order, and reports them as stored once they are synced', () => {
    const node = follower();
    node.installSnapshot(large);
    node.syncs = false;
    expect(node.installSnapshot(large, { number: 0 })).toEqual(['snapshot_chunk 0 of S1, installed']);
    expect(node.installSnapshot(large, { number: 1 })).toEqual(['snapshot_chunk 1 of S1, installed']);
    expect(node.sync()).toEqual(['snapshot_stored 1 of S1 to n2', 'snapshot_stored 2 of S1 to n2']);
    expect(node.status.installing).toEqual({ index: 100, chunks: 3, done: 2, percent: 66 });
  });

  test('answers a repeated chunk and one after a gap, and passes neither on', () => {
    const node = follower();
    node.installSnapshot(large);
    node.installSnapshot(large, { number: 0 });
    expect(node.installSnapshot(large, { number: 0 })).toEqual(['snapshot_stored 1 of S1 to n2']);
    expect(node.installSnapshot(large, { number: 2 })).toEqual(['snapshot_stored 1 of S1 to n2']);
    expect(node.dropped('install_chunk_not_next')).toBe(2);
  });

  test('a chunk that is damaged on the way is not passed on', () => {
    const node = follower();
    const chunks = large.chunks.map((chunk) => Uint8Array.from(chunk));
    (chunks[0] as Uint8Array)[50] = 255;
    expect(node.installSnapshot({ ...large, chunks }, { number: 0 }).at(-1)).toBe('snapshot_stored 0 of S1 to n2');
    expect(node.dropped('install_malformed')).toBe(1);
  });

  test('ends with the last chunk; once that is synced the node restarts', () => {
    const node = follower();
    node.installSnapshot(large);
    node.installSnapshot(large, { number: 0 });
    node.installSnapshot(large, { number: 1 });
    node.syncs = false;
    expect(node.installSnapshot(large, { number: 2 })).toEqual([
      'snapshot_chunk 2 of S1, installed',
      'snapshot_end of S1, installed: entry 100 of term 2, 3 chunks, compact to 100',
    ]);
    expect(node.sync()).toEqual([
      'snapshot_stored 3 of S1 to n2',
      `event snapshot_installed, n2, 100, 3, ${large.head.bytes}`,
      'start over',
    ]);
    expect(node.installSnapshot(large), 'the new one answers').toEqual([]);
  });

  test('once its end was sent to the log-store nothing is appended to the log that it replaces', () => {
    const node = follower();
    node.installSnapshot(newer);
    node.syncs = false;
    node.installSnapshot(newer, { number: 0 });
    expect(node.appendEntries({ prev: [3, 2], entries: [2] })).toEqual([
      'rejected busy to n2: last 3, conflict 0 of term 0',
    ]);
    expect(node.feedAppend({ prev: [3, 2], entries: [2] })).toEqual([]);
    expect(node.dropped('feed_append_busy')).toBe(1);
    expect(node.wait(1900).filter((line) => line.includes('elect'))).toEqual([]);
    expect(node.sync()).toEqual([
      'snapshot_stored 1 of S2 to n2',
      `event snapshot_installed, n2, 120, 1, ${newer.head.bytes}`,
      'start over',
    ]);
  });

  test('is answered as installed at once if its entries are committed here, or if the node restores from it', () => {
    const node = new NodeHarness();
    node.answersReads = false;
    node.open({ term: 2, snapshot: large });
    expect(node.installSnapshot(large)).toContain('snapshot_stored 3 of S1 to n2, installed');
    expect(node.installSnapshot(made([90, 2], ['z'], { id: 'S0' }))).toContain(
      'snapshot_stored 1 of S0 to n2, installed',
    );
  });

  test('an empty store accepts it, and the history with it', () => {
    const node = new NodeHarness();
    node.open();
    node.installSnapshot(newer);
    node.installSnapshot(newer, { number: 0 });
    const end = node.sentOwn('log-store.snapshot_end');
    expect(end).toMatchObject({ group_uid: 'uid', term: 2, head: newer.head });
  });
});

describe('promise 19: a transfer', () => {
  test('continues after its last chunk after a crash of the follower', () => {
    const node = new NodeHarness();
    node.open({ term: 2, log: [three, 1, 2], commit: 1, installing: { id: 'S1', stored: 2 } });
    expect(node.status.installing, 'nobody has sent on yet').toBeNull();
    expect(node.installSnapshot(large)).toContain('snapshot_stored 2 of S1 to n2');
    expect(node.installSnapshot(large, { number: 2 })).toContain(
      'snapshot_end of S1, installed: entry 100 of term 2, 3 chunks, compact to 100',
    );
  });

  test('that was interrupted after its last chunk is completed when the leader asks for its progress', () => {
    const node = new NodeHarness();
    node.open({ term: 2, log: [three, 1, 2], commit: 1, installing: { id: 'S1', stored: 3 } });
    expect(node.installSnapshot(large)).toContain(
      'snapshot_end of S1, installed: entry 100 of term 2, 3 chunks, compact to 100',
    );
  });

  test('continues when the same leader returns in a higher term', () => {
    const node = follower();
    node.installSnapshot(large);
    node.installSnapshot(large, { number: 0 });
    expect(node.installSnapshot(large, { term: 4 })).toContain('snapshot_stored 1 of S1 to n2');
  });

  test('is abandoned for a newer snapshot, not for an older one', () => {
    const node = follower();
    node.installSnapshot(large);
    node.installSnapshot(large, { number: 0 });
    expect(node.installSnapshot(newer)).toContain('snapshot_stored 0 of S2 to n2');
    expect(node.installSnapshot(large, { number: 1 })).toEqual([]);
    expect(node.dropped('install_of_older_snapshot')).toBe(1);
  });

  test('is abandoned for another snapshot of a leader of a higher term, also of an older entry', () => {
    const node = follower();
    node.installSnapshot(newer);
    expect(node.installSnapshot(large, { from: 'n3', term: 3 })).toContain('snapshot_stored 0 of S1 to n3');
    expect(node.status.installing).toMatchObject({ index: 100, done: 0 });
  });

  test('that the leader does not continue is not reported, and prevents no snapshot of the peer’s own', () => {
    const node = follower();
    node.appendEntries({ prev: [3, 2], commit: 3 });
    node.installSnapshot(large);
    expect(node.admin('snapshot', {}, 'peer')).toEqual(['refuse 1 EBUSY not_done']);
    node.wait(3000);
    expect(node.status.installing).toBeNull();
    expect(node.admin('snapshot', {}, 'peer')).toContain('snapshot_chunk 0 of N1-1, taken');
    expect(node.installSnapshot(large, { number: 1, term: 9 }).at(-1)).toBe('snapshot_stored 0 of S1 to n2');
  });

  test('whose end was sent to a slow disk delays snapshots of the peer’s own, however long that takes', () => {
    const node = follower();
    node.appendEntries({ prev: [3, 2], commit: 3 });
    node.installSnapshot(newer);
    node.syncs = false;
    node.installSnapshot(newer, { number: 0 });
    node.wait(10_000);
    expect(node.admin('snapshot', {}, 'peer')).toEqual(['refuse 1 EBUSY not_done']);
    expect(node.status.installing).toMatchObject({ index: 120, done: 1 });
    expect(node.sync()).toContain('start over');
  });

  test('replaces a snapshot that the peer is taking itself', () => {
    const node = follower();
    node.appendEntries({ prev: [3, 2], commit: 3 });
    node.wait(0);
    node.syncs = false;
    node.machine.fill = fill;
    node.machine.applied.push(...Array<string>(9).fill('x'));
    node.admin('snapshot', {}, 'peer');
    expect(node.installSnapshot(large)).toContain('refuse 1 EBUSY not_done');
    expect(node.status.taking).toBeNull();
  });
});

describe('a log that begins after a snapshot', () => {
  /** Entries up to 7 are gone; 8 and 9 of term 2 are there. */
  function compacted(): NodeHarness {
    const node = new NodeHarness();
    node.open({ term: 2, snapshot: made([7, 1], ['7:f']), log: [2, 2], commit: 8 });
    return node;
  }

  test('matches at its base by the base’s term', () => {
    const node = compacted();
    expect(node.appendEntries({ prev: [7, 1], entries: [2, 2, 2] })).toContain(
      'log-store.append term 2 of n2: entry 10 of term 2 verified 10',
    );
    expect(() => node.appendEntries({ prev: [7, 2] })).toThrow(/committed/);
  });

  test('considers entries below its base as matching, and accepts only the rest', () => {
    const node = compacted();
    expect(node.appendEntries({ prev: [4, 1], entries: [1, 1, 1] })).toContain(
      'log-store.append term 2 of n2: nothing verified 7',
    );
    expect(node.appendEntries({ prev: [5, 1], entries: [1, 1, 2, 2, 2] })).toContain(
      'log-store.append term 2 of n2: entry 10 of term 2 verified 10',
    );
  });

  test('reports where a conflict begins, not below its first entry', () => {
    const node = compacted();
    expect(node.appendEntries({ term: 3, prev: [9, 3] })).toContain(
      'rejected mismatch to n2: last 9, conflict 8 of term 2',
    );
  });
});
