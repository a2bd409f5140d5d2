import { asLogIndex, batchFrom, limits } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { bringing, chunkMessage, chunkOf, endMessage, readSnapshot, snapshotOf } from './snapshots.js';
import {
  append,
  batch,
  brief,
  configurationBatch,
  configurationOf,
  groupId,
  open,
  openedIn,
  read,
  StoreHarness,
  sends,
  storedBatchKeys,
  storedChunkKeys,
  vote,
} from './store-harness.js';

/** Entries 1 to 4 of term 1, 5 to 12 of term 2; committed up to 10. */
function withTwelveEntries(): StoreHarness {
  const bench = StoreHarness.opened();
  const batches = [configurationBatch(1, 1, configurationOf('n1', 'n2', 'n3')), batch(2, 3, 1), batch(5, 8, 2)];
  bench.store(append({ seq: 1, term: 2, verified: 12, commit: 10, batches }));
  return bench;
}

/** The same with a snapshot at 10, the log going back to 8. */
function withSnapshot(): StoreHarness {
  const bench = withTwelveEntries();
  bench.store(...bringing(snapshotOf('s1', 10, 2), { seq: 2, compactTo: 7, term: 2 }));
  return bench;
}

function reopened(bench: StoreHarness, run = 2) {
  bench.restart(`run-${run}`);
  return openedIn(bench.store(open(`nonce-${run}`, `run-${run}`, run - 1)));
}

describe('a snapshot that the node takes', () => {
  it('is stored chunk by chunk, and each is acknowledged once it is synced', () => {
    const bench = withTwelveEntries();
    const snapshot = snapshotOf('s1', 10, 2);
    bench.receive(chunkMessage({ seq: 2 }, snapshot, 0));
    expect(bench.idle()).toMatchObject([
      {
        type: 'write',
        operations: [
          { type: 'put', key: 'main/s/0000000000000001/0000000000000000', value: snapshot.chunks[0] },
          { type: 'put', key: 'main/m' },
        ],
      },
    ]);
    expect(brief(bench.sync())).toEqual(['ack 1:1:2']);
    expect(brief(bench.store(chunkMessage({ seq: 3 }, snapshot, 1), chunkMessage({ seq: 4 }, snapshot, 2)))).toEqual([
      'ack 1:1:4',
    ]);
    expect(storedChunkKeys(bench.storage)).toEqual(['1/0', '1/1', '1/2']);
    expect(bench.core.durableState.snapshot).toBeUndefined();
  });

  it('is current after one write, which moves the base; the entries that it covers are purged afterwards', () => {
    const bench = withTwelveEntries();
    const snapshot = snapshotOf('s1', 10, 2);
    bench.store(...[0, 1, 2].map((number) => chunkMessage({ seq: 2 + number }, snapshot, number)));
    bench.clear();
    bench.receive(endMessage({ seq: 5, compactTo: 7, term: 2 }, snapshot));
    expect(bench.idle()).toMatchObject([
      {
        type: 'write',
        operations: [
          { type: 'delete', key: 'main/t/0000000000000001' },
          { type: 'delete', key: 'main/t/0000000000000005' },
          { type: 'put', key: 'main/t/0000000000000008' },
          { type: 'put', key: 'main/h' },
          { type: 'put', key: 'main/m' },
        ],
        group: { last_index: 12 },
      },
    ]);
    expect(bench.clearings, 'nothing goes before the snapshot is synced').toEqual([]);
    expect(brief(bench.sync())).toEqual(['ack 1:1:5']);
    expect(bench.clearings).toEqual([{ upTo: 7, lastSlot: 1, keptSlots: [1] }]);
    bench.clear();
    expect(storedBatchKeys(bench.storage), 'the batch that goes on behind the base stays').toEqual(['5']);
    expect(reopened(bench)).toMatchObject({
      base_index: 7,
      base_term: 2,
      last_index: 12,
      commit_index: 10,
      term_runs: [{ first: 8, term: 2 }],
      configurations: [{ index: 1, configuration: configurationOf('n1', 'n2', 'n3') }],
      snapshot: { snapshot_id: 's1', head: snapshot.head },
      installing: null,
    });
  });

  it('may cover the whole log', () => {
    const bench = withTwelveEntries();
    bench.receive(append({ seq: 2, term: 2, verified: 12, commit: 12 }));
    bench.store(...bringing(snapshotOf('s1', 12, 2), { seq: 3, term: 2 }));
    bench.clear();
    expect(reopened(bench)).toMatchObject({ base_index: 12, base_term: 2, last_index: 12, term_runs: [] });
    const more = append({ seq: 1, session: 2, term: 2, verified: 14, batches: [batch(13, 2, 2)] });
    expect(brief(bench.store(more))).toEqual(['stored 14 for n2 term 2 seq 1', 'ack 2:1:1']);
    expect(reopened(bench, 3)).toMatchObject({ base_index: 12, last_index: 14, term_runs: [{ first: 13, term: 2 }] });
    bench.receive(read({ from: 13, term: 2, session: 3 }));
    expect(brief(sends(bench.finishReads()))).toEqual(['replicator.entries 1 after term 2']);
  });

  it('is opened again whatever was cleared away', () => {
    for (const cleared of [false, true]) {
      const bench = withSnapshot();
      if (cleared) bench.clear();
      const { base_index, last_index } = reopened(bench);
      expect([base_index, last_index]).toEqual([7, 12]);
      expect(bench.clearings, 'asked for again, as nobody knows').toEqual([{ upTo: 7, lastSlot: 1, keptSlots: [1] }]);
    }
  });

  it('is replaced by the next one, which has another slot', () => {
    const bench = withSnapshot();
    bench.clear();
    bench.receive(append({ seq: 6, term: 2, verified: 12, commit: 12 }));
    bench.store(...bringing(snapshotOf('s2', 12, 2, 2), { seq: 7, compactTo: 9, term: 2 }));
    expect(storedChunkKeys(bench.storage)).toEqual(['1/0', '1/1', '1/2', '2/0', '2/1']);
    bench.clear();
    expect(storedChunkKeys(bench.storage)).toEqual(['2/0', '2/1']);
    expect(reopened(bench)).toMatchObject({ base_index: 9, snapshot: { snapshot_id: 's2' } });
  });

  it('never moves the base back, nor beyond its own index', () => {
    const bench = withSnapshot();
    bench.store(...bringing(snapshotOf('s2', 10, 2), { seq: 6, compactTo: 3, term: 2 }));
    expect(bench.core.durableState.base).toEqual({ index: 7, term: 2 });
    bench.store(...bringing(snapshotOf('s3', 11, 2), { seq: 10, compactTo: 12, term: 2 }));
    expect(bench.core.durableState.base).toEqual({ index: 11, term: 2 });
  });

  it('is dropped at a new session, and its chunks are cleared away', () => {
    const bench = withSnapshot();
    bench.store(chunkMessage({ seq: 6 }, snapshotOf('s2', 12, 2), 0));
    bench.clear();
    expect(reopened(bench)).toMatchObject({ snapshot: { snapshot_id: 's1' }, installing: null });
    bench.clear();
    expect(storedChunkKeys(bench.storage)).toEqual(['1/0', '1/1', '1/2']);
    const late = chunkMessage({ seq: 1, session: 2 }, snapshotOf('s2', 12, 2), 1);
    expect(brief(bench.store(chunkMessage({ seq: 1, session: 2 }, snapshotOf('s3', 12, 2), 0)))).toEqual(['ack 2:1:1']);
    bench.receive(late);
    expect(bench.core.durableState.incoming, 'a slot is given once').toMatchObject({ slot: 3, snapshot_id: 's3' });
  });

  it('keeps the newest committed configurations, and the first', () => {
    const bench = StoreHarness.opened();
    const count = limits.reportedConfigurations + 6;
    const batches = Array.from({ length: count }, (_, at) => configurationBatch(at + 1, 1, configurationOf(`n${at}`)));
    bench.store(append({ seq: 1, verified: count, commit: count, batches }));
    const configurations = [{ index: 1, configuration: configurationOf('n0') }];
    bench.store(...bringing(snapshotOf('s1', count, 1, 1, configurations), { seq: 2 }));
    const indexes = bench.core.durableState.configurations.map(({ index }) => index);
    expect(indexes).toEqual([1, ...Array.from({ length: limits.reportedConfigurations }, (_, at) => at + 7)]);
    expect(reopened(bench).configurations).toHaveLength(limits.reportedConfigurations + 1);
  });
});

describe('chunks and ends that do not fit', () => {
  it('are not accepted, and the link continues', () => {
    const bench = withTwelveEntries();
    const [snapshot, other] = [snapshotOf('s1', 10, 2), snapshotOf('s2', 10, 2)];
    const messages = [
      chunkMessage({ seq: 2 }, snapshot, 1),
      chunkMessage({ seq: 3 }, snapshot, 0),
      chunkMessage({ seq: 4 }, snapshot, 0),
      chunkMessage({ seq: 5 }, snapshot, 2),
      chunkMessage({ seq: 6 }, other, 1),
      chunkMessage({ seq: 7 }, snapshot, 1, 'installed'),
    ];
    expect(brief(bench.store(...messages))).toEqual(['ack 1:1:7']);
    expect(bench.core.dropped).toMatchObject({ snapshot_gap: 4, snapshot_repeat: 1 });
    expect(bench.core.durableState.incoming).toMatchObject({ snapshot_id: 's1', stored: 1 });
  });

  it('begin another snapshot if they are number 0 of it', () => {
    const bench = withTwelveEntries();
    const [snapshot, other] = [snapshotOf('s1', 10, 2), snapshotOf('s2', 10, 2)];
    bench.store(chunkMessage({ seq: 2 }, snapshot, 0), chunkMessage({ seq: 3 }, snapshot, 1));
    bench.store(...bringing(other, { seq: 4, compactTo: 5, term: 2 }));
    expect(bench.core.durableState.snapshot).toMatchObject({ slot: 2, snapshot_id: 's2' });
    bench.clear();
    expect(storedChunkKeys(bench.storage)).toEqual(['2/0', '2/1', '2/2']);
  });

  it('are refused if they were damaged in transit; the next sending replaces them', () => {
    const bench = withTwelveEntries();
    const snapshot = snapshotOf('s1', 10, 2);
    const damaged = snapshot.chunks.map((chunk) => chunk.map((byte, at) => (at === 24 ? byte ^ 1 : byte)));
    expect(bench.receive(chunkMessage({ seq: 2 }, { ...snapshot, chunks: damaged }, 0))).toEqual([]);
    expect(bench.core.health().reason).toMatch(/message 2 of the node is refused: damaged_chunk/);
    expect(bench.receive(chunkMessage({ seq: 2 }, { ...snapshot, chunks: [chunkOf(10, 1, 'x')] }, 0))).toEqual([]);
    expect(brief(bench.store(...bringing(snapshot, { seq: 2, compactTo: 5, term: 2 })))).toEqual(['ack 1:1:5']);
    expect(bench.core.health().healthy).toBe(true);
  });

  it('abandon the snapshot if it is not whole or of another log', () => {
    const cases: [string, Parameters<typeof endMessage>[0]][] = [
      ['snapshot_not_whole', { seq: 5, head: { checksum: 1 } }],
      ['snapshot_not_whole', { seq: 5, head: { bytes: 1 } }],
      ['snapshot_not_whole', { seq: 5, head: { chunks: 4 } }],
      ['snapshot_of_other_log', { seq: 5, head: { index: asLogIndex(13) } }],
      ['snapshot_of_other_log', { seq: 5, head: { index: asLogIndex(4) } }],
      ['snapshot_unknown', { seq: 5, source: 'installed' }],
    ];
    for (const [reason, special] of cases) {
      const bench = withTwelveEntries();
      const snapshot = snapshotOf('s1', 10, 2);
      bench.store(...[0, 1, 2].map((number) => chunkMessage({ seq: 2 + number }, snapshot, number)));
      expect(brief(bench.store(endMessage({ term: 2, ...special }, snapshot))), reason).toEqual(['ack 1:1:5']);
      expect(bench.core.dropped[reason], reason).toBe(1);
      expect(bench.core.durableState, reason).toMatchObject({
        base: { index: 0 },
        snapshot: undefined,
        incoming: undefined,
      });
    }
  });

  it('are ignored if a newer snapshot is current', () => {
    const bench = withSnapshot();
    bench.store(...bringing(snapshotOf('s0', 9, 2), { seq: 6, compactTo: 9, term: 2 }));
    expect(bench.core.dropped).toMatchObject({ snapshot_older: 1 });
    expect(bench.core.durableState).toMatchObject({ base: { index: 7 }, snapshot: { snapshot_id: 's1' } });
  });

  it('change nothing if they are repeated', () => {
    const bench = withSnapshot();
    const snapshot = snapshotOf('s1', 10, 2);
    bench.receive(chunkMessage({ seq: 6 }, snapshot, 0), endMessage({ seq: 7, compactTo: 7, term: 2 }, snapshot));
    expect(brief(sends(bench.idle())), 'nothing to write, and acknowledged all the same').toEqual(['ack 1:1:7']);
    expect(bench.core.dropped).toMatchObject({ snapshot_repeat: 1, snapshot_counts_already: 1 });
    expect(bench.core.durableState).toMatchObject({ base: { index: 7 }, snapshot: { slot: 1 }, lastSlot: 1 });
  });

  it('are refused if they are of another history', () => {
    const bench = withTwelveEntries();
    const snapshot = snapshotOf('s1', 10, 2);
    bench.store(...[0, 1, 2].map((number) => chunkMessage({ seq: 2 + number }, snapshot, number)));
    expect(bench.receive(endMessage({ seq: 5, term: 2, uid: 'uid-2' }, snapshot))).toEqual([]);
    expect(bench.core.health().reason).toMatch(/other_group_uid/);
  });
});

describe('a snapshot that a leader installs', () => {
  it('replaces a log that ends before it, with its history and term', () => {
    const bench = StoreHarness.opened();
    const configurations = [
      { index: 1, configuration: configurationOf('n2') },
      { index: 90, configuration: configurationOf('n1', 'n2') },
    ];
    const snapshot = snapshotOf('s1', 100, 7, 2, configurations);
    bench.store(...bringing(snapshot, { seq: 1, source: 'installed', term: 8 }));
    const more = append({ seq: 4, term: 8, verified: 101, batches: [batch(101, 1, 8)] });
    expect(brief(bench.store(more))).toEqual(['stored 101 for n2 term 8 seq 4', 'ack 1:1:4']);
    bench.clear();
    expect(reopened(bench)).toMatchObject({
      group_uid: 'uid-1',
      term: 8,
      voted_for: '',
      base_index: 100,
      base_term: 7,
      last_index: 101,
      commit_index: 100,
      term_runs: [{ first: 101, term: 8 }],
      configurations,
      snapshot: { snapshot_id: 's1', head: snapshot.head },
    });
  });

  it('keeps the entries after it if the log has its last one', () => {
    const bench = withTwelveEntries();
    bench.store(...bringing(snapshotOf('s1', 11, 2), { seq: 2, source: 'installed', term: 2 }));
    bench.clear();
    expect(storedBatchKeys(bench.storage)).toEqual(['5']);
    expect(reopened(bench)).toMatchObject({ base_index: 11, last_index: 12, term_runs: [{ first: 12, term: 2 }] });
  });

  it('deletes the entries of another log in the same write, so that none is taken for the end of the log', () => {
    const bench = withTwelveEntries();
    const snapshot = snapshotOf('s1', 11, 3);
    bench.store(...[0, 1, 2].map((number) => chunkMessage({ seq: 2 + number }, snapshot, number, 'installed')));
    bench.receive(endMessage({ seq: 5, source: 'installed', term: 3 }, snapshot));
    expect(bench.idle()).toMatchObject([
      {
        type: 'write',
        operations: [
          { type: 'truncate', from: 12 },
          { type: 'delete', key: 'main/t/0000000000000001' },
          { type: 'delete', key: 'main/t/0000000000000005' },
          { type: 'put', key: 'main/c/0000000000000001' },
          { type: 'put', key: 'main/h' },
          { type: 'put', key: 'main/m' },
        ],
        group: { last_index: 11, term: 3, voted_for: '' },
      },
    ]);
    bench.sync();
    expect(reopened(bench), 'what is left below the base means nothing').toMatchObject({
      base_index: 11,
      base_term: 3,
      last_index: 11,
      term_runs: [],
    });
    bench.store(append({ seq: 1, session: 2, term: 3, verified: 12, batches: [batch(12, 1, 3)] }));
    bench.receive(read({ from: 12, term: 3, session: 2 }), read({ from: 11, term: 3, session: 2 }));
    expect(brief(sends(bench.finishReads()))).toEqual(['replicator.entries 1 after term 3']);
    bench.clear();
    expect(storedBatchKeys(bench.storage)).toEqual(['12']);
  });

  it('undoes the acknowledgements of entries that it replaces', () => {
    const bench = withTwelveEntries();
    const snapshot = snapshotOf('s1', 20, 3);
    bench.store(...[0, 1, 2].map((number) => chunkMessage({ seq: 2 + number }, snapshot, number, 'installed')));
    const late = append({ seq: 5, term: 2, verified: 13, batches: [batch(13, 1, 2)] });
    bench.receive(late, endMessage({ seq: 6, source: 'installed', term: 3 }, snapshot));
    expect(brief(bench.write())).toEqual(['ack 1:1:6']);
    expect(bench.core.dropped).toMatchObject({ acknowledgements_truncated: 1 });
    expect(reopened(bench)).toMatchObject({ base_index: 20, last_index: 20 });
  });

  it('never replaces what is known committed', () => {
    const bench = withTwelveEntries();
    bench.store(...bringing(snapshotOf('s1', 10, 3), { seq: 2, source: 'installed', term: 3 }));
    expect(bench.core.dropped).toMatchObject({ snapshot_of_other_log: 1 });
    expect(bench.core.durableState).toMatchObject({ base: { index: 0 }, lastIndex: 12 });
  });

  it('continues after its last chunk after a crash, in the same slot (promise 19)', () => {
    const bench = StoreHarness.opened();
    const snapshot = snapshotOf('s1', 100, 7);
    const chunk = (seq: number, number: number, session: number) =>
      chunkMessage({ seq, session }, snapshot, number, 'installed');
    bench.store(chunk(1, 0, 1), chunk(2, 1, 1));
    bench.receive(chunk(3, 2, 1));
    bench.idle();
    expect(reopened(bench), 'what was not synced is sent again').toMatchObject({
      last_index: 0,
      snapshot: null,
      installing: { snapshot_id: 's1', stored: 2 },
    });
    bench.clear();
    bench.store(chunk(1, 2, 2), endMessage({ seq: 2, session: 2, source: 'installed', term: 7 }, snapshot));
    expect(storedChunkKeys(bench.storage)).toEqual(['1/0', '1/1', '1/2']);
    expect(reopened(bench, 3)).toMatchObject({ base_index: 100, installing: null, snapshot: { snapshot_id: 's1' } });
  });

  it('is abandoned if the node takes a snapshot itself', () => {
    const bench = withTwelveEntries();
    bench.store(chunkMessage({ seq: 2 }, snapshotOf('s1', 100, 7), 0, 'installed'));
    bench.store(chunkMessage({ seq: 3 }, snapshotOf('s2', 10, 2), 0, 'taken'));
    expect(reopened(bench)).toMatchObject({ installing: null });
  });
});

describe('a read of a log that begins after a base', () => {
  it('is refused if the entry is compacted', () => {
    const bench = withSnapshot();
    for (const from of [1, 7]) {
      expect(brief(bench.receive(read({ from, term: 2 })))).toEqual(['replicator.entries compacted']);
    }
    expect(brief(bench.receive(read({ from: 7, term: 0, reader: 'node' })))).toEqual(['node.entries compacted']);
  });

  it('cuts the batch in which the base lies, and knows the term before', () => {
    const bench = withSnapshot();
    for (const from of [8, 9]) {
      bench.receive(read({ from, term: 2 }));
      expect(bench.finishReads()).toMatchObject([
        { message: { body: { prev_term: 2, batches: [batchFrom(batch(5, 8, 2), asLogIndex(8))], refusal: '' } } },
      ]);
    }
  });

  it('is refused if the entry was compacted while the storage was reading', () => {
    const bench = withTwelveEntries();
    bench.receive(read({ from: 6, term: 2 }));
    bench.store(...bringing(snapshotOf('s1', 10, 2), { seq: 2, compactTo: 7, term: 2 }));
    bench.clear();
    expect(brief(sends(bench.finishReads()))).toEqual(['replicator.entries compacted']);
  });
});

describe('a read of the snapshot', () => {
  it('returns the head with each chunk', () => {
    const bench = withSnapshot();
    const snapshot = snapshotOf('s1', 10, 2);
    for (const number of [0, 2, 1]) {
      expect(bench.receive(readSnapshot({ number, term: 2 }))).toEqual([]);
      expect(bench.finishChunkReads()).toMatchObject([
        {
          peerId: 'n1',
          message: {
            name: 'replicator.snapshot_chunk',
            body: {
              request_id: 9,
              snapshot_id: 's1',
              head: snapshot.head,
              number,
              chunk: snapshot.chunks[number],
              refusal: '',
            },
          },
        },
      ]);
    }
    bench.receive(readSnapshot({ id: 's1', reader: 'node' }));
    expect(brief(sends(bench.finishChunkReads()))).toEqual(['node.snapshot_chunk 0 of s1']);
  });

  it('reports why there is none', () => {
    expect(brief(withTwelveEntries().receive(readSnapshot()))).toEqual(['replicator.snapshot_chunk none']);
    const bench = withSnapshot();
    expect(brief(bench.receive(readSnapshot({ id: 's0' }), readSnapshot({ term: 1 })))).toEqual([
      'replicator.snapshot_chunk replaced',
      'replicator.snapshot_chunk stale_term',
    ]);
    expect(bench.receive(readSnapshot({ number: 3 }))).toEqual([]);
    expect(bench.core.dropped).toMatchObject({ chunk_beyond_end: 1 });
  });

  it('learns that the snapshot was replaced, or the term has risen, while the storage was reading', () => {
    const bench = withSnapshot();
    bench.receive(readSnapshot({ number: 2 }));
    bench.store(...bringing(snapshotOf('s2', 11, 2, 1), { seq: 6, compactTo: 7, term: 2 }));
    bench.clear();
    expect(brief(sends(bench.finishChunkReads()))).toEqual(['replicator.snapshot_chunk replaced']);
    bench.receive(readSnapshot({ term: 2 }), vote(8, 3, 'n3'));
    expect(brief(sends(bench.finishChunkReads()))).toEqual(['replicator.snapshot_chunk stale_term']);
  });

  it('is bounded, and forgotten with its session', () => {
    const bench = withSnapshot();
    for (let at = 0; at <= limits.logReads; at++) bench.receive(readSnapshot());
    expect(bench.core.dropped).toMatchObject({ too_many_reads: 1 });
    bench.store(open('nonce-2', 'run-1', 1));
    expect(sends(bench.finishChunkReads())).toEqual([]);
    expect(bench.core.dropped).toMatchObject({ read_of_older_session: limits.logReads });
  });

  it.each(['damaged', 'missing', 'of another place'])(
    'promise 17: stops where a chunk is %s, and says where',
    (how) => {
      const bench = withSnapshot();
      const key = 'main/s/0000000000000001/0000000000000001';
      const { rows } = bench.storage;
      const chunk = rows.get(key) ?? new Uint8Array();
      if (how === 'missing') rows.delete(key);
      else if (how === 'damaged')
        rows.set(
          key,
          chunk.map((byte, at) => (at === 30 ? byte ^ 4 : byte)),
        );
      else rows.set(key, chunkOf(10, 2, 'x'));
      bench.receive(readSnapshot({ number: 1 }));
      expect(bench.finishChunkReads()).toMatchObject([
        { type: 'log', level: 'error' },
        { type: 'fail', code: 'ECORRUPT', message: expect.stringContaining(`group ${groupId}, key ${key}, index 10`) },
      ]);
      expect(bench.receive(readSnapshot({ number: 0 })), 'it says nothing any more').toEqual([]);
      expect(bench.core.health()).toMatchObject({ healthy: false, reason: expect.stringContaining('ECORRUPT') });
    },
  );

  it('promise 17: stops at its start if the record of the snapshot is damaged or missing', () => {
    for (const damage of [true, false]) {
      const bench = withSnapshot();
      const record = bench.storage.rows.get('main/h') ?? new Uint8Array();
      if (damage)
        bench.storage.rows.set(
          'main/h',
          record.map((byte, at) => (at === 9 ? byte ^ 1 : byte)),
        );
      else bench.storage.rows.delete('main/h');
      expect(bench.restart('run-2')).toEqual([]);
      expect(bench.core.health().reason).toMatch(/ECORRUPT: group main, key main\/h/);
    }
  });
});
