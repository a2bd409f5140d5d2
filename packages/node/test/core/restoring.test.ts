import { limits } from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { Bench, electionTimeoutMs, made } from './node-on-a-bench.js';

const fill = limits.snapshotChunkBytes;
/** Six chunks: what was applied up to entry 7. */
const large = made([7, 1], ['2:a', '3:b', '4:c', '5:d', '6:e', '7:f'], { fill });
const restored = ['2:a', '3:b', '4:c', '5:d', '6:e', '7:f'];

/** It has not been answered a single chunk. */
function restoring(): Bench {
  const bench = new Bench();
  bench.answersReads = false;
  bench.open({ term: 2, snapshot: large, log: [2, 2], commit: 9 });
  return bench;
}

describe('a restart', () => {
  test('is the snapshot, chunk by chunk, and then the tail', () => {
    const bench = new Bench();
    const lines = bench.open({ term: 2, snapshot: large, log: [2, 2], commit: 9 });
    expect(lines.filter((line) => line.startsWith('read_snapshot'))).toEqual(
      large.chunks.map((_, number) => `read_snapshot S1 chunk ${number}`),
    );
    expect(lines.at(-1)).toBe('log-store.read from 8');
    expect(bench.machine.applied).toEqual([...restored, '8:e8', '9:e9']);
    expect(bench.status).toMatchObject({
      first_index: 8,
      last_index: 9,
      commit_index: 9,
      applied_index: 9,
      restoring: null,
      snapshot: { snapshot_id: 'S1', index: 7 },
      configuration: { peers: [{ peer_id: 'n1' }, { peer_id: 'n2' }, { peer_id: 'n3' }] },
    });
  });

  test('takes what the snapshot stands for as committed, whatever was noted beside the entries', () => {
    const bench = new Bench();
    bench.open({ term: 2, snapshot: large, base: [3, 1], log: [1, 1, 1, 1, 2], commit: 4 });
    expect(bench.summary).toMatchObject({ commit_index: 7, applied_index: 7, last_index: 8 });
  });

  test('asks for a window of chunks at a time, and again for those that do not come', () => {
    const window = limits.snapshotRestoringChunks;
    const entries = Array.from({ length: window + 3 }, (_, n) => `${n + 1}:x`);
    const larger = made([entries.length, 1], entries, { fill });
    expect(larger.chunks.length).toBeGreaterThan(window);
    const bench = new Bench();
    bench.answersReads = false;
    const lines = bench.open({ term: 2, snapshot: larger, log: [2], commit: entries.length + 1 });
    const asked = Array.from({ length: window }, (_, number) => `read_snapshot S1 chunk ${number}`);
    expect(lines.filter((line) => line.startsWith('read'))).toEqual(asked);
    expect(bench.wait(400)).toEqual([]);
    expect(bench.wait(200)).toEqual(asked);
  });

  test('takes chunks in order, though they come in another, and each once', () => {
    const bench = restoring();
    const reads = bench.reads();
    for (const at of [1, 0, 1]) bench.hear(bench.chunkFor(reads[at] as (typeof reads)[number]));
    expect(bench.machine.applied, 'the second piece goes on in the third chunk').toEqual(restored.slice(0, 1));
    expect(bench.status.restoring).toEqual({ index: 7, chunks: 7, done: 2, percent: 28 });
    expect(bench.dropped('snapshot_chunk_not_asked_for')).toBe(1);
  });

  test('stops the node where a chunk is damaged on the way (promise 17)', () => {
    const bench = restoring();
    const [read] = bench.reads();
    const answer = bench.chunkFor(read as NonNullable<typeof read>);
    if (answer.name !== 'node.snapshot_chunk') throw new Error('it answers');
    const chunk = Uint8Array.from(answer.body.chunk);
    chunk[100] = (chunk[100] ?? 0) ^ 1;
    expect(() => bench.hear({ ...answer, body: { ...answer.body, chunk } })).toThrow(/damaged/);
  });

  test('begins anew where the snapshot has been replaced', () => {
    const bench = restoring();
    const [read] = bench.reads();
    bench.snapshot = made([9, 2], ['x'], { id: 'S2' });
    expect(bench.hear(bench.chunkFor(read as NonNullable<typeof read>))).toEqual(['start over']);
  });
});

describe('while the state is restored', () => {
  test('stale reads are refused, on either door', () => {
    const bench = restoring();
    expect(bench.read('k', { door: 'peer', consistency: 'stale' })).toEqual(['refuse 1 EBUSY not_done']);
    bench.wait(electionTimeoutMs + 1);
    bench.elected();
    bench.elected();
    bench.committed(10);
    bench.confirmed();
    expect(bench.read('k', { consistency: 'stale' })).toEqual(['refuse 2 EBUSY not_done']);
  });

  test('promise 19: it follows, appends and commits; what it appends is applied afterwards', () => {
    const bench = restoring();
    expect(bench.appendEntries({ prev: [9, 2], entries: [2], commit: 10 })).toContain(
      'log-store.append term 2 of n2: entry 10 of term 2 verified 10',
    );
    bench.wait(0);
    expect(bench.summary).toMatchObject({ commit_index: 10, applied_index: 0 });
    bench.answersReads = true;
    bench.wait(600);
    expect(bench.machine.applied).toEqual([...restored, '8:e8', '9:e9', '10:e10']);
  });

  test('promise 19: it is well, however long that takes', () => {
    const bench = restoring();
    for (let tick = 1; tick <= 80; tick++) {
      bench.appendEntries({ prev: [9, 2], tick, commit: 9 });
      bench.wait(100);
    }
    expect(bench.core.health()).toEqual({ healthy: true, reason: 'restores its state from a snapshot' });
  });

  test('it votes, and may lead; writes are answered once they are applied', () => {
    const bench = restoring();
    bench.wait(electionTimeoutMs + 1);
    bench.elected();
    bench.elected();
    bench.committed(10);
    expect(bench.summary.role).toBe('leader');
    bench.confirmed();
    bench.propose('w');
    expect(bench.committed(11)).toEqual([]);
    bench.answersReads = true;
    expect(bench.wait(600)).toContain('reply 1 done 11');
  });

  test('takes no snapshot', () => {
    const bench = restoring();
    expect(bench.admin('snapshot', {}, 'peer')).toEqual(['refuse 1 EBUSY not_done']);
  });
});
