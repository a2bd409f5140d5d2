import { asLogIndex, batchUpTo } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import {
  append,
  batch,
  brief,
  configurationBatch,
  configurationOf,
  open,
  openedIn,
  read,
  StoreHarness,
  sends,
  storedBatchKeys,
  tick,
} from './store-harness.js';

/** Entries 1 to 10 of term 1, in batches of five. */
function withTenEntries(): StoreHarness {
  const bench = StoreHarness.opened();
  bench.store(append({ seq: 1, verified: 10, batches: [batch(1, 5, 1), batch(6, 5, 1)] }));
  return bench;
}

describe('a truncation', () => {
  it('deletes, shortens and appends in one write', () => {
    const bench = withTenEntries();
    const fresh = batch(9, 2, 2);
    bench.receive(append({ seq: 2, leader: 'n3', term: 2, truncateFrom: 9, verified: 10, batches: [fresh] }));
    expect(bench.idle()).toMatchObject([
      {
        type: 'write',
        operations: [
          { type: 'truncate', groupId: 'main', from: 9 },
          { type: 'put', key: '~/main/0000000000000009', value: fresh },
          { type: 'put', key: 'main/t/0000000000000009' },
          { type: 'put', key: 'main/m' },
        ],
        group: { last_index: 10, term: 2 },
      },
    ]);
    expect(brief(bench.sync())).toEqual(['stored 10 for n3 term 2 seq 2', 'ack 1:1:2']);
    expect(bench.storage.rows.get('~/main/0000000000000006')).toEqual(batchUpTo(batch(6, 5, 1), asLogIndex(8)));
    expect(storedBatchKeys(bench.storage)).toEqual(['1', '6', '9']);
  });

  it('deletes the runs of terms and the configurations that go with the entries', () => {
    const bench = StoreHarness.opened();
    const [one, two] = [configurationOf('n1'), configurationOf('n1', 'n2')];
    const batches = [configurationBatch(1, 1, one), batch(2, 2, 2), configurationBatch(4, 3, two), batch(5, 1, 3)];
    bench.store(append({ seq: 1, term: 3, verified: 5, batches }));
    bench.store(append({ seq: 2, term: 4, truncateFrom: 3, verified: 3, batches: [batch(3, 1, 4)] }));
    bench.restart('run-2');
    expect(openedIn(bench.store(open('nonce-2', 'run-2', 1)))).toMatchObject({
      last_index: 3,
      term_runs: [
        { first: 1, term: 1 },
        { first: 2, term: 2 },
        { first: 3, term: 4 },
      ],
      configurations: [{ index: 1, configuration: one }],
    });
    expect([...bench.storage.rows.keys()].filter((key) => /^main\/[ct]/.test(key)).sort()).toEqual([
      'main/c/0000000000000001',
      'main/t/0000000000000001',
      'main/t/0000000000000002',
      'main/t/0000000000000003',
    ]);
  });

  it('replaces a configuration by another one at the same index', () => {
    const bench = StoreHarness.opened();
    const [one, two, three] = [configurationOf('n1'), configurationOf('n1', 'n2'), configurationOf('n1', 'n3')];
    const first = [configurationBatch(1, 1, one), configurationBatch(2, 1, two)];
    bench.store(append({ seq: 1, verified: 2, batches: first }));
    const second = [configurationBatch(2, 2, three)];
    bench.store(append({ seq: 2, term: 2, truncateFrom: 2, verified: 2, batches: second }));
    bench.restart('run-2');
    const { configurations } = openedIn(bench.store(open('nonce-2', 'run-2', 1)));
    expect(configurations.map(({ configuration }) => configuration)).toEqual([one, three]);
  });

  it('reaches entries that were gathered but not yet written, also within their batch', () => {
    const bench = StoreHarness.opened();
    bench.receive(append({ seq: 1, verified: 6, batches: [batch(1, 3, 1), batch(4, 3, 1)] }));
    bench.receive(append({ seq: 2, leader: 'n3', term: 2, truncateFrom: 3, verified: 3, batches: [batch(3, 1, 2)] }));
    expect(bench.idle()).toMatchObject([
      {
        operations: [
          { type: 'put', key: '~/main/0000000000000001', value: batchUpTo(batch(1, 3, 1), asLogIndex(2)) },
          { type: 'put', key: '~/main/0000000000000003' },
          { type: 'put', key: 'main/t/0000000000000001' },
          { type: 'put', key: 'main/t/0000000000000003' },
          { type: 'put', key: 'main/m' },
        ],
      },
    ]);
    expect(brief(bench.sync()), 'the truncated entries are not reported').toEqual([
      'stored 3 for n3 term 2 seq 2',
      'ack 1:1:2',
    ]);
    expect(bench.core.dropped).toEqual({ acknowledgements_truncated: 1 });
  });

  it('is twice in one write, of which the deeper one has an effect', () => {
    const bench = withTenEntries();
    bench.receive(append({ seq: 2, leader: 'n3', term: 2, truncateFrom: 8, verified: 12, batches: [batch(8, 5, 2)] }));
    bench.receive(append({ seq: 3, leader: 'n4', term: 3, truncateFrom: 4, verified: 4, batches: [batch(4, 1, 3)] }));
    bench.receive(append({ seq: 4, leader: 'n4', term: 3, verified: 6, batches: [batch(5, 2, 3)] }));
    expect(brief(bench.write())).toEqual(['stored 6 for n4 term 3 seq 4', 'ack 1:1:4']);
    expect(storedBatchKeys(bench.storage)).toEqual(['1', '4', '5']);
    bench.restart('run-2');
    expect(openedIn(bench.store(open('nonce-2', 'run-2', 1)))).toMatchObject({
      last_index: 6,
      term_runs: [
        { first: 1, term: 1 },
        { first: 4, term: 3 },
      ],
    });
  });

  it('deletes everything if it begins at the first entry', () => {
    const bench = withTenEntries();
    bench.store(append({ seq: 2, term: 2, truncateFrom: 1 }));
    expect(storedBatchKeys(bench.storage)).toEqual([]);
    bench.restart('run-2');
    expect(openedIn(bench.store(open('nonce-2', 'run-2', 1)))).toMatchObject({ last_index: 0, term_runs: [] });
  });

  it('of nothing is nothing', () => {
    const bench = withTenEntries();
    bench.receive(append({ seq: 2, truncateFrom: 11, verified: 10 }));
    expect(brief(sends(bench.idle()))).toEqual(['stored 10 for n2 term 1 seq 2', 'ack 1:1:2']);
  });
});

// etcd's raft, testdata/async_storage_writes_append_aba_race.txt: an entry is written, overwritten, and written again
// with the same index and term while the first write has not been answered. Its answer must not pass for the last one's.
describe('the ABA race of asynchronous storage', () => {
  it('acknowledges the node by sequence, and reports to no leader what was overwritten', () => {
    const bench = StoreHarness.opened();
    bench.store(append({ seq: 1, leader: 'n2', term: 1, verified: 1, batches: [batch(1, 1, 1)] }));
    // A: entry 2 of term 1 is being written.
    bench.receive(append({ seq: 2, leader: 'n2', term: 1, verified: 2, batches: [batch(2, 1, 1)] }));
    bench.idle();
    // B: another leader overwrites it.
    bench.receive(append({ seq: 3, leader: 'n3', term: 2, verified: 2, truncateFrom: 2, batches: [batch(2, 1, 2)] }));
    // A again: a third leader has the first entry 2, of term 1.
    bench.receive(append({ seq: 4, leader: 'n4', term: 3, verified: 2, truncateFrom: 2, batches: [batch(2, 1, 1)] }));
    expect(brief(bench.sync()), 'the first write is synced: nothing is reported to a leader').toEqual([]);
    expect(brief(bench.receive(tick(4))), 'the node is, with its next tick').toEqual(['ack 1:1:2']);
    expect(brief(bench.write())).toEqual(['stored 2 for n4 term 3 seq 4', 'ack 1:1:4']);
    expect(bench.core.dropped).toEqual({ acknowledgements_truncated: 2 });
    bench.restart('run-2');
    expect(openedIn(bench.store(open('nonce-2', 'run-2', 1)))).toMatchObject({
      term: 3,
      last_index: 2,
      term_runs: [{ first: 1, term: 1 }],
    });
  });

  it('keeps an acknowledgement below the truncation', () => {
    const bench = StoreHarness.opened();
    bench.receive(append({ seq: 1, verified: 4, batches: [batch(1, 8, 1)] }));
    bench.idle();
    bench.receive(append({ seq: 2, leader: 'n3', term: 2, verified: 6, truncateFrom: 6, batches: [batch(6, 1, 2)] }));
    expect(brief(bench.sync())).toEqual(['stored 4 for n2 term 1 seq 1', 'ack 1:1:1']);
  });
});

describe('a read beside a truncation', () => {
  it('waits for one that is being written', () => {
    const bench = withTenEntries();
    bench.receive(append({ seq: 2, term: 2, truncateFrom: 7, verified: 7, batches: [batch(7, 1, 2)] }));
    bench.idle();
    expect(bench.receive(read({ reader: 'node', term: 0, from: 7 }))).toEqual([]);
    expect(bench.finishReads()).toEqual([]);
    bench.sync();
    expect(brief(sends(bench.finishReads()))).toEqual(['node.entries 1 after term 1']);
  });

  it('is made again if another one has overtaken it', () => {
    const bench = withTenEntries();
    bench.receive(read({ reader: 'node', term: 0, from: 9 }), read({ reader: 'node', term: 0, from: 6 }));
    bench.store(append({ seq: 2, term: 2, truncateFrom: 7, verified: 7, batches: [batch(7, 1, 2)] }));
    const again = bench.finishReads();
    expect(brief(sends(again)), 'entry 9 is gone').toEqual(['node.entries beyond_end']);
    expect(brief(sends(bench.finishReads()))).toEqual(['node.entries 2 after term 1']);
    expect(bench.core.dropped).toEqual({ read_overtaken: 2 });
  });
});
