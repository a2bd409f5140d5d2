import { limits } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { append, batch, brief, open, read, StoreHarness, sends, vote } from './store-harness.js';

/** Entries 1 to 3 of term 1, 4 to 6 and 7 to 9 of term 2. */
const batches = [batch(1, 3, 1), batch(4, 3, 2), batch(7, 3, 2)];

function withNineEntries(): StoreHarness {
  const bench = StoreHarness.opened();
  bench.store(append({ seq: 1, term: 2, verified: 9, batches }));
  return bench;
}

/** Entries 1 to 6 of term 1, of which two go into one answer. */
function withLargeEntries(): StoreHarness {
  const bench = StoreHarness.opened();
  const large = [1, 2, 3, 4, 5, 6].map((first) => batch(first, 1, 1, Math.floor(0.4 * limits.readBytes)));
  for (const [place, bytes] of large.entries()) {
    bench.store(append({ seq: place + 1, term: 1, verified: place + 1, batches: [bytes] }));
  }
  return bench;
}

describe('a read', () => {
  it('begins with the batch that holds the index, and carries the term before it', () => {
    const bench = withNineEntries();
    expect(bench.receive(read({ from: 5, term: 2 }))).toEqual([]);
    expect(bench.finishReads()).toMatchObject([
      {
        type: 'send',
        peerId: 'n1',
        message: {
          name: 'replicator.entries',
          body: { request_id: 7, from_index: 5, prev_term: 1, batches: [batches[1], batches[2]], refusal: '' },
        },
      },
    ]);
    bench.receive(read({ from: 7, term: 2 }), read({ from: 1, term: 0, reader: 'node' }));
    expect(brief(sends(bench.finishReads()))).toEqual([
      'replicator.entries 1 after term 2',
      'node.entries 3 after term 0',
    ]);
  });

  it('has several replies if a replicator requests more than fits into one', () => {
    const bench = withLargeEntries();
    bench.receive(read({ bytes: 2 * limits.readBytes, term: 1 }));
    const found: unknown[] = [];
    for (let answers = bench.finishReads(); answers.length > 0; answers = bench.finishReads()) {
      for (const { name, body } of sends(answers)) {
        if (name === 'replicator.entries')
          found.push([body.request_id, body.from_index, body.batches.length, body.more]);
      }
    }
    expect(found).toEqual([
      [7, 1, 2, true],
      [7, 3, 2, false],
    ]);
    bench.receive(read({ bytes: 2 * limits.readBytes, term: 1, from: 5 }));
    expect(sends(bench.finishReads())).toMatchObject([{ body: { from_index: 5, more: false } }]);
    bench.receive(read({ bytes: 2 * limits.readBytes, term: 0, reader: 'node' }));
    expect(brief(sends(bench.finishReads()))).toEqual(['node.entries 2 after term 0']);
    expect(bench.finishReads()).toEqual([]);
  });

  it('stays within its bytes, but has one batch at least', () => {
    const bench = withNineEntries();
    const size = batches[0]?.length ?? 0;
    const found: string[] = [];
    for (const bytes of [0, 1, size, 2 * size - 1, 2 * size, 10 * size]) {
      bench.receive(read({ term: 2, bytes }));
      found.push(...brief(sends(bench.finishReads())));
    }
    expect(found.map((text) => text.split(' ')[1])).toEqual(['1', '1', '1', '1', '2', '3']);
    const effects = bench.step({ type: 'message', message: read({ term: 2, bytes: 100 * limits.readBytes }) });
    expect(effects).toMatchObject([{ type: 'read', range: { maxBytes: limits.readBytes, lastIndex: 9 } }]);
  });

  it('is refused to a replicator of another term, and beyond the end', () => {
    const bench = withNineEntries();
    const messages = [read({ term: 1 }), read({ term: 3 }), read({ term: 2, from: 10 })];
    expect(brief(bench.receive(...messages))).toEqual([
      'replicator.entries stale_term',
      'replicator.entries stale_term',
      'replicator.entries beyond_end',
    ]);
  });

  it('is refused if the term rose while the storage was reading, even before that is synced', () => {
    const bench = withNineEntries();
    bench.receive(read({ term: 2 }), vote(2, 3, 'n3'));
    expect(brief(sends(bench.finishReads()))).toEqual(['replicator.entries stale_term']);
    expect(brief(bench.receive(read({ term: 2 })))).toEqual(['replicator.entries stale_term']);
  });

  it('sees only what is synced', () => {
    const bench = withNineEntries();
    bench.receive(append({ seq: 2, term: 2, verified: 10, batches: [batch(10, 1, 2)] }));
    bench.idle();
    expect(brief(bench.receive(read({ term: 2, from: 10 })))).toEqual(['replicator.entries beyond_end']);
    bench.sync();
    bench.receive(read({ term: 2, from: 10 }));
    expect(brief(sends(bench.finishReads()))).toEqual(['replicator.entries 1 after term 2']);
  });

  it('is dropped if too many are in progress', () => {
    const bench = withNineEntries();
    for (let id = 0; id < limits.logReads + 2; id++) bench.receive(read({ term: 2, id }));
    expect(bench.core.dropped).toEqual({ too_many_reads: 2 });
    expect(bench.finishReads()).toHaveLength(limits.logReads);
    expect(bench.step({ type: 'message', message: read({ term: 2 }) })).toMatchObject([{ type: 'read' }]);
  });
});

describe('damage at rest', () => {
  const firstBatch = '~/main/0000000000000001';

  function flip(bench: StoreHarness, key: string, at: number): void {
    const bytes = bench.storage.rows.get(key)?.slice();
    if (bytes === undefined) throw new Error(`no ${key}`);
    bytes[at] = (bytes[at] as number) ^ 4;
    bench.storage.rows.set(key, bytes);
  }

  // promise 17
  it('in a batch that is read stops the log-store, which reports where and sends nothing', () => {
    const bench = withNineEntries();
    flip(bench, firstBatch, 40);
    bench.receive(read({ term: 2 }));
    const effects = bench.finishReads();
    expect(sends(effects)).toEqual([]);
    expect(effects.at(-1)).toMatchObject({
      type: 'fail',
      code: 'ECORRUPT',
      message: expect.stringMatching(
        /group main, key ~\/main\/0000000000000001, index 1: .*bad checksum.*delete its data folder/,
      ),
    });
    expect(bench.receive(read({ term: 2 }), open('nonce-2', 'run-1', 1))).toEqual([]);
    expect(bench.core.health().reason).toContain('ECORRUPT: group main');
  });

  it('is noticed if a batch is missing, at the beginning or later', () => {
    for (const key of [firstBatch, '~/main/0000000000000004']) {
      const bench = withNineEntries();
      bench.storage.rows.delete(key);
      bench.receive(read({ term: 2 }));
      expect(bench.finishReads().at(-1), key).toMatchObject({
        type: 'fail',
        code: 'ECORRUPT',
        message: expect.stringContaining('the entry is missing'),
      });
    }
  });

  it('in any record is noticed when the log is loaded', () => {
    const keys = ['main/m', 'main/t/0000000000000001', 'main/t/0000000000000004', '~/main/0000000000000007'];
    for (const key of keys) {
      const bench = withNineEntries();
      flip(bench, key, 6);
      expect(bench.restart('run-2'), key).toEqual([]);
      expect(bench.core.health().reason).toMatch(new RegExp(`ECORRUPT: group main, key ${key},.*bad checksum`));
    }
  });

  it('is noticed when the log is loaded and a record is missing', () => {
    const keys = ['main/m', 'main/t/0000000000000004', '~/main/0000000000000007'];
    for (const key of keys) {
      const bench = withNineEntries();
      bench.storage.rows.delete(key);
      expect(bench.restart('run-2'), key).toEqual([]);
      expect(bench.core.health().reason).toMatch(/ECORRUPT: group main/);
    }
  });
});
