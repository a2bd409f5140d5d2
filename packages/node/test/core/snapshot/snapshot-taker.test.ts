import { asLogIndex, limits, SnapshotAssembler } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { type Found, made, NodeHarness } from '../node-harness.js';

const three = [1, 'n1 n2 n3'] as const;
const small = { snapshotLogBytes: 500, snapshotMarginEntries: 0 };

/** A follower in term 2 whose entries, up to 5, are applied. */
function follower(options: ConstructorParameters<typeof NodeHarness>[1] = {}, found: Found = {}): NodeHarness {
  const node = new NodeHarness('n1', options);
  node.open({ term: 2, log: [three, 1, 1, 2, 2], commit: 5, ...found });
  return node;
}

/** The pieces of the chunks that were given to the log-store. */
function piecesOf(node: NodeHarness, index: number): string[] {
  const assembler = new SnapshotAssembler(asLogIndex(index));
  return node.given.flatMap((chunk) => assembler.add(chunk)).map((piece) => Buffer.from(piece).toString());
}

describe('a snapshot on command', () => {
  test('is read, stored chunk by chunk, and current once the end is synced; then the log is compacted', () => {
    const node = follower({ snapshotMarginEntries: 2 });
    expect(node.admin('snapshot', {}, 'peer')).toEqual([
      'snapshot_chunk 0 of N1-1, taken',
      'snapshot_end of N1-1, taken: entry 5 of term 2, 1 chunks, compact to 3',
      'event snapshot_taken, 5, 1, 52, 3, 0',
      'reply 1 {"snapshot_id":"N1-1","index":5,"term":2,"chunks":1,"bytes":52,"first_index":4,"taken":true}',
    ]);
    expect(node.status).toMatchObject({
      first_index: 4,
      last_index: 5,
      snapshot: { snapshot_id: 'N1-1', index: 5, term: 2, chunks: 1, bytes: 52 },
      taking: null,
    });
    expect(piecesOf(node, 5)).toEqual(['2:e2', '3:e3', '4:e4', '5:e5']);
  });

  test('is not reported and compacts nothing before its end is synced', () => {
    const node = follower(small);
    node.syncs = false;
    expect(node.admin('snapshot', {}, 'peer')).toEqual([
      'snapshot_chunk 0 of N1-1, taken',
      'snapshot_end of N1-1, taken: entry 5 of term 2, 1 chunks, compact to 5',
    ]);
    expect(node.status).toMatchObject({ first_index: 1, snapshot: null, taking: { index: 5, chunks: 1, bytes: 52 } });
    expect(node.sync()).toContain('event snapshot_taken, 5, 1, 52, 5, 0');
    expect(node.status).toMatchObject({ first_index: 6, taking: null });
  });

  test('covers what was applied when it began, although more entries are applied', () => {
    const node = follower(small);
    node.syncs = false;
    node.machine.fill = limits.snapshotChunkBytes;
    node.admin('snapshot', {}, 'peer');
    node.appendEntries({ prev: [5, 2], entries: [2, 2], commit: 7 });
    node.wait(0);
    expect(node.summary.applied_index).toBe(7);
    node.syncs = true;
    node.sync();
    node.wait(50);
    expect(node.status.snapshot).toMatchObject({ index: 5, term: 2 });
    expect(piecesOf(node, 5).map((piece) => piece.slice(0, 4))).toEqual(['2:e2', '3:e3', '4:e4', '5:e5']);
  });

  test('has few chunks unsynced at once, and reads about one at a time, with a pause', () => {
    const node = follower(small, { log: [three, ...Array<number>(9).fill(2)], commit: 10 });
    node.syncs = false;
    node.machine.fill = limits.snapshotChunkBytes;
    expect(node.admin('snapshot', {}, 'peer')).toEqual(['snapshot_chunk 0 of N1-1, taken']);
    node.sync();
    expect(node.given, 'a step in between draws nothing').toHaveLength(1);
    expect(node.wait(limits.snapshotReadIntervalMs)).toEqual(['snapshot_chunk 1 of N1-1, taken']);
    node.wait(50);
    expect(node.given).toHaveLength(1 + limits.snapshotTakingChunks);
    node.sync();
    node.wait(50);
    expect(node.given).toHaveLength(1 + 2 * limits.snapshotTakingChunks);
  });

  test('a second request while one is taken is answered with the same snapshot', () => {
    const node = follower();
    node.syncs = false;
    node.admin('snapshot', {}, 'peer');
    expect(node.admin('snapshot', {}, 'peer')).toEqual([]);
    expect(node.sync().filter((line) => line.startsWith('reply'))).toHaveLength(2);
  });

  test('takes none if nothing was applied since, and returns the existing one', () => {
    const node = follower();
    node.admin('snapshot', {}, 'peer');
    expect(node.admin('snapshot', {}, 'peer')).toEqual([
      'reply 2 {"snapshot_id":"N1-1","index":5,"term":2,"chunks":1,"bytes":52,"first_index":1,"taken":false}',
    ]);
  });

  test('is refused if nothing was applied, and on the group’s subject', () => {
    const empty = new NodeHarness();
    empty.open();
    expect(empty.admin('snapshot', {}, 'peer')).toEqual(['refuse 1 ENOENT not_done']);
    const leader = new NodeHarness();
    leader.lead();
    expect(leader.admin('snapshot', {})).toEqual(['refuse 1 EINVAL not_done']);
  });

  test('of a node that is fenced has an unknown outcome if all of it was sent to the log-store', () => {
    const node = follower();
    node.syncs = false;
    node.admin('snapshot', {}, 'peer');
    expect(node.fencedBy(2)).toContain('refuse 1 EBUSY unknown');
  });
});

describe('a snapshot by size', () => {
  test('is taken once enough bytes have been applied, and not again for the same', () => {
    const node = follower(small, { commit: 1, log: [three] });
    expect(node.wait(300)).toEqual([]);
    node.appendEntries({ prev: [1, 1], entries: Array<number>(20).fill(2), commit: 21 });
    expect(node.wait(200)).toContain('snapshot_end of N1-1, taken: entry 21 of term 2, 1 chunks, compact to 21');
    expect(node.wait(500).filter((line) => line.includes('snapshot'))).toEqual([]);
  });

  test('waits until the log has half of what the last one had, and a random part of a quarter more', () => {
    const node = follower({ ...small, snapshotLogBytes: 100 });
    node.machine.fill = 1000;
    node.random = 0.8;
    node.wait(100);
    expect(node.status.snapshot).toMatchObject({ index: 5, bytes: 4036 });
    const more = (prev: number) => {
      node.appendEntries({ prev: [prev, 2], entries: Array<number>(10).fill(2), commit: prev + 10 });
      return node.wait(100).filter((line) => line.includes('snapshot_end'));
    };
    const taken = Array.from({ length: 7 }, (_, round) => more(5 + 10 * round).length);
    expect(taken, 'each round has some 350 bytes; 2,422 are due').toEqual([0, 0, 0, 0, 0, 0, 1]);
  });

  test('on a disk that is nearly full is taken only if there is room for it', () => {
    const node = follower(small);
    node.admin('snapshot', {}, 'peer');
    node.appendEntries({ prev: [5, 2], entries: [2], commit: 6 });
    node.wait(0);
    const disk = (free: number) =>
      node.receive({ name: 'node.disk', body: { ...node.own, free_bytes: free, is_low: true } });
    disk(100);
    expect(node.admin('snapshot', {}, 'peer')).toEqual(['refuse 2 EBUSY not_done']);
    disk(110);
    expect(node.admin('snapshot', {}, 'peer')).toContain('snapshot_chunk 0 of N1-2, taken');
  });

  test('counts what the node applies again after a start as well', () => {
    const node = new NodeHarness('n1', { ...small, snapshotLogBytes: 100 });
    node.open({ term: 2, snapshot: made([9, 1], ['9:e9']), log: [2, 2, 2, 2], commit: 13 });
    expect(node.wait(200)).toContain('snapshot_end of N1-1, taken: entry 13 of term 2, 1 chunks, compact to 13');
  });
});

describe('a snapshot by time', () => {
  test('is taken after the interval, if an entry was applied', () => {
    const node = follower({ snapshotIntervalMs: 5000, snapshotMarginEntries: 0, electionTimeoutMs: 60_000 });
    expect(node.wait(4900)).toEqual([]);
    expect(node.wait(200)).toContain('snapshot_end of N1-1, taken: entry 5 of term 2, 1 chunks, compact to 5');
    expect(node.wait(5200)).toEqual([]);
  });
});

describe('what the log keeps', () => {
  /** A leader of entries 1 to 23 in term 2, with small snapshots. */
  function leader(options: ConstructorParameters<typeof NodeHarness>[1]): NodeHarness {
    const node = new NodeHarness('n1', options);
    node.lead({ term: 1, log: [three, ...Array<number>(20).fill(1)], commit: 21 });
    node.propose('a');
    node.committed(23);
    return node;
  }

  test('is the margin on a follower', () => {
    const node = follower({ snapshotMarginEntries: 3 });
    node.admin('snapshot', {}, 'peer');
    expect(node.status.first_index).toBe(3);
  });

  test('takes at most a quarter of the size that makes a snapshot due, because entries can be large', () => {
    const node = follower({ snapshotMarginEntries: 10_000, snapshotLogBytes: 4 * 150 });
    node.admin('snapshot', {}, 'peer');
    // An entry has 50 to 75 bytes here on the average, the configuration's among them: two are within the 150.
    expect(node.status.first_index).toBe(4);
  });

  test('is on a leader also what a live target lacks, but not what a silent one does', () => {
    const node = leader({ snapshotMarginEntries: 0 });
    node.progress({ peer: 'n2', match: 11 }, { peer: 'n3', match: 4, silentMs: 60_000 });
    node.admin('snapshot', {}, 'peer');
    expect(node.status).toMatchObject({ first_index: 12, snapshot: { index: 23 } });
  });

  test('begins at the earliest after the last snapshot, however slow a target is', () => {
    const node = leader({ snapshotMarginEntries: 0 });
    node.progress({ peer: 'n2', match: 11 });
    node.admin('snapshot', {}, 'peer');
    node.propose('b', 'c');
    node.committed(25);
    node.admin('snapshot', {}, 'peer');
    expect(node.status).toMatchObject({ first_index: 24, snapshot: { index: 25 } });
  });

  test('a snapshot that is due waits for a transfer of the last one, up to eight times the size', () => {
    const node = leader({ snapshotMarginEntries: 0, snapshotLogBytes: 900 });
    const install = { index: asLogIndex(9), chunks: 4, stored: 1, bytes: 9 };
    const more = (entries: number) => {
      node.confirmed();
      node.propose(...Array.from({ length: entries }, () => 'more'));
      node.committed(node.summary.last_index);
      node.progress({ peer: 'n2', match: 0, install });
      return node.wait(100).filter((line) => line.includes('snapshot_end'));
    };
    expect(more(100)).toEqual([]);
    expect(more(100)).toEqual([]);
    expect(more(1000)).toHaveLength(1);
  });
});
