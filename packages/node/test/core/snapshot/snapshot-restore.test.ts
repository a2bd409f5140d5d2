import { limits } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { electionTimeoutMs, made, NodeHarness } from '../node-harness.js';

const fill = limits.snapshotChunkBytes;
/** Six chunks: what was applied up to entry 7. */
const large = made([7, 1], ['2:a', '3:b', '4:c', '5:d', '6:e', '7:f'], { fill });
const restored = ['2:a', '3:b', '4:c', '5:d', '6:e', '7:f'];

/** It has not been answered a single chunk. */
function restoring(): NodeHarness {
  const node = new NodeHarness();
  node.answersReads = false;
  node.open({ term: 2, snapshot: large, log: [2, 2], commit: 9 });
  return node;
}

describe('a restart', () => {
  test('restores the snapshot chunk by chunk, and then applies the entries after it', () => {
    const node = new NodeHarness();
    const lines = node.open({ term: 2, snapshot: large, log: [2, 2], commit: 9 });
    expect(lines.filter((line) => line.startsWith('read_snapshot'))).toEqual(
      large.chunks.map((_, number) => `read_snapshot S1 chunk ${number}`),
    );
    expect(lines.at(-1)).toBe('log-store.read from 8');
    expect(node.machine.applied).toEqual([...restored, '8:e8', '9:e9']);
    expect(node.status).toMatchObject({
      first_index: 8,
      last_index: 9,
      commit_index: 9,
      applied_index: 9,
      restoring: null,
      snapshot: { snapshot_id: 'S1', index: 7 },
      configuration: { peers: [{ peer_id: 'n1' }, { peer_id: 'n2' }, { peer_id: 'n3' }] },
    });
  });

  test('considers the entries that the snapshot covers committed, whatever commit index was stored', () => {
    const node = new NodeHarness();
    node.open({ term: 2, snapshot: large, base: [3, 1], log: [1, 1, 1, 1, 2], commit: 4 });
    expect(node.summary).toMatchObject({ commit_index: 7, applied_index: 7, last_index: 8 });
  });

  test('requests a window of chunks at a time, and again those that do not arrive', () => {
    const window = limits.snapshotRestoringChunks;
    const entries = Array.from({ length: window + 3 }, (_, n) => `${n + 1}:x`);
    const larger = made([entries.length, 1], entries, { fill });
    expect(larger.chunks.length).toBeGreaterThan(window);
    const node = new NodeHarness();
    node.answersReads = false;
    const lines = node.open({ term: 2, snapshot: larger, log: [2], commit: entries.length + 1 });
    const asked = Array.from({ length: window }, (_, number) => `read_snapshot S1 chunk ${number}`);
    expect(lines.filter((line) => line.startsWith('read'))).toEqual(asked);
    expect(node.wait(400)).toEqual([]);
    expect(node.wait(200)).toEqual(asked);
  });

  test('uses chunks in order, although they arrive in another, and each once', () => {
    const node = restoring();
    const reads = node.reads();
    for (const at of [1, 0, 1]) node.receive(node.chunkFor(reads[at] as (typeof reads)[number]));
    expect(node.machine.applied, 'the second piece goes on in the third chunk').toEqual(restored.slice(0, 1));
    expect(node.status.restoring).toEqual({ index: 7, chunks: 7, done: 2, percent: 28 });
    expect(node.dropped('snapshot_chunk_not_asked_for')).toBe(1);
  });

  test('stops the node if a chunk is damaged on the way (promise 17)', () => {
    const node = restoring();
    const [read] = node.reads();
    const answer = node.chunkFor(read as NonNullable<typeof read>);
    if (answer.name !== 'node.snapshot_chunk') throw new Error('it answers');
    const chunk = Uint8Array.from(answer.body.chunk);
    chunk[100] = (chunk[100] ?? 0) ^ 1;
    expect(() => node.receive({ ...answer, body: { ...answer.body, chunk } })).toThrow(/damaged/);
  });

  test('restarts if the snapshot has been replaced', () => {
    const node = restoring();
    const [read] = node.reads();
    node.snapshot = made([9, 2], ['x'], { id: 'S2' });
    expect(node.receive(node.chunkFor(read as NonNullable<typeof read>))).toEqual(['start over']);
  });
});

describe('while the state is restored', () => {
  test('stale reads are refused, on either subject', () => {
    const node = restoring();
    expect(node.read('k', { addressee: 'peer', consistency: 'stale' })).toEqual(['refuse 1 EBUSY not_done']);
    node.wait(electionTimeoutMs + 1);
    node.elected();
    node.elected();
    node.committed(10);
    node.confirmed();
    expect(node.read('k', { consistency: 'stale' })).toEqual(['refuse 2 EBUSY not_done']);
  });

  test('promise 19: it follows, appends and commits; what it appends is applied afterwards', () => {
    const node = restoring();
    expect(node.appendEntries({ prev: [9, 2], entries: [2], commit: 10 })).toContain(
      'log-store.append term 2 of n2: entry 10 of term 2 verified 10',
    );
    node.wait(0);
    expect(node.summary).toMatchObject({ commit_index: 10, applied_index: 0 });
    node.answersReads = true;
    node.wait(600);
    expect(node.machine.applied).toEqual([...restored, '8:e8', '9:e9', '10:e10']);
  });

  test('promise 19: it is healthy, however long that takes', () => {
    const node = restoring();
    for (let tick = 1; tick <= 80; tick++) {
      node.appendEntries({ prev: [9, 2], tick, commit: 9 });
      node.wait(100);
    }
    expect(node.core.health()).toEqual({ healthy: true, reason: 'restores its state from a snapshot' });
  });

  test('it votes, and may lead; writes are answered once they are applied', () => {
    const node = restoring();
    node.wait(electionTimeoutMs + 1);
    node.elected();
    node.elected();
    node.committed(10);
    expect(node.summary.role).toBe('leader');
    node.confirmed();
    node.propose('w');
    expect(node.committed(11)).toEqual([]);
    node.answersReads = true;
    expect(node.wait(600)).toContain('reply 1 done 11');
  });

  test('takes no snapshot', () => {
    const node = restoring();
    expect(node.admin('snapshot', {}, 'peer')).toEqual(['refuse 1 EBUSY not_done']);
  });
});
