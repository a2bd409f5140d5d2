import {
  type AdminRequest,
  asLogIndex,
  asTerm,
  type Body,
  noGroupUid,
  SnapshotChunker,
  type SnapshotHead,
} from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import { Bench, electionTimeoutMs } from './node-on-a-bench.js';
import { configuration } from './told.js';

/** A backup of three chunks at entry 7. */
function backup(): { chunks: Uint8Array[]; head: SnapshotHead } {
  const cutter = new SnapshotChunker(asLogIndex(7));
  const chunks = [...cutter.add(new Uint8Array(600_000).fill(1)), ...cutter.end()];
  const configurations = [{ index: asLogIndex(2), configuration: configuration('n8 n9') }];
  return { chunks, head: { index: asLogIndex(7), term: asTerm(4), configurations, ...cutter.sum } };
}

function empty(): Bench {
  const bench = new Bench();
  bench.open();
  return bench;
}

/** Gives chunks in order. Answers what was told of it. */
function give(bench: Bench, chunks: readonly Uint8Array[]): string[] {
  return chunks.flatMap((chunk, number) => bench.admin('restore_chunk', { restore_id: 'r', number, chunk }, 'peer'));
}

function found(bench: Bench, head: SnapshotHead, peers = ['n1']): string[] {
  return bench.found({ peers, restore: { restore_id: 'r', head } });
}

function lastSent<N extends 'log-store.snapshot_end' | 'log-store.read_snapshot'>(bench: Bench, name: N): Body<N> {
  const message = bench.sent.map((each) => each.message).findLast((each) => each.name === name);
  if (message === undefined) throw new Error(`no ${name} was sent`);
  return message.body as Body<N>;
}

describe('a group that is founded with a backup', () => {
  test('is given the chunks in order, each answered once it is synced', () => {
    const bench = empty();
    const { chunks } = backup();
    bench.syncs = false;
    const first = { restore_id: 'r', number: 0, chunk: chunks[0] };
    expect(bench.admin('restore_chunk', first, 'peer')).toEqual(['snapshot_chunk 0 of r, installed']);
    expect(bench.sync()).toEqual(['reply 1 {"stored":1}']);
    bench.syncs = true;
    expect(bench.admin('restore_chunk', first, 'peer'), 'again').toContain('reply 2 {"stored":1}');
    const gap = { restore_id: 'r', number: 2, chunk: chunks[2] };
    expect(bench.admin('restore_chunk', gap, 'peer')).toEqual(['refuse 3 EINVAL not_done']);
    const another = { restore_id: 'another', number: 1, chunk: chunks[1] };
    expect(bench.admin('restore_chunk', another, 'peer')).toEqual(['refuse 4 EINVAL not_done']);
    const damaged = { restore_id: 'r', number: 1, chunk: chunks[1]?.toReversed() };
    expect(bench.admin('restore_chunk', damaged, 'peer')).toEqual(['refuse 5 EINVAL not_done']);
    expect(bench.admin('restore_chunk', { restore_id: 'r', number: 1, chunk: chunks[1] }, 'peer')).toContain(
      'reply 6 {"stored":2}',
    );
  });

  test('has the backup for its log, and this peer alone in the configuration at its end', () => {
    const bench = empty();
    const { chunks, head } = backup();
    give(bench, chunks);
    const lines = found(bench, head);
    expect(lines).toContain(`refuse ${chunks.length + 1} EBUSY unknown`);
    expect(lines.at(-1)).toBe('start over');
    const end = lastSent(bench, 'log-store.snapshot_end');
    expect(end).toMatchObject({ source: 'installed', group_uid: 'N1.1', term: 5, compact_to: 7, snapshot_id: 'r' });
    expect(end.head).toEqual({
      ...head,
      configurations: [{ index: 7, configuration: { ...configuration('n1'), founding_peers: ['n1'], level: 1 } }],
    });
  });

  test.each([
    ['not all of it was given', (chunks: Uint8Array[]) => chunks.slice(0, -1), {}],
    ['it is another than the head says', (chunks: Uint8Array[]) => chunks, { checksum: 1 }],
    ['it is of another entry', (chunks: Uint8Array[]) => chunks, { index: asLogIndex(8) }],
  ])('is not founded where %s', (_, given, over) => {
    const bench = empty();
    const { chunks, head } = backup();
    give(bench, given(chunks));
    expect(found(bench, { ...head, ...over })).toContainEqual(expect.stringMatching(/^refuse \d+ EINVAL not_done$/));
    expect(bench.status.group_uid).toBe(noGroupUid);
  });

  test.each([
    ['of level 1 into a group of level 0: it holds what that cannot read', 1, 0, 'EUNSUPPORTED not_done'],
    ['of level 0 into a group of level 1', 0, 1, 'EBUSY unknown'],
  ])('promise 31: from a backup %s', (_, level, foundingLevel, answer) => {
    const bench = new Bench('n1', { foundingLevel });
    bench.open();
    const { chunks, head } = backup();
    give(bench, chunks);
    const configurations = [{ index: asLogIndex(2), configuration: { ...configuration('n8 n9'), level } }];
    const isRefused = level > foundingLevel;
    expect(found(bench, { ...head, configurations })).toContain(`refuse ${chunks.length + 1} ${answer}`);
    expect(bench.sent.some(({ message }) => message.name === 'log-store.snapshot_end')).toBe(!isRefused);
  });

  test('is not founded over one that is there', () => {
    const bench = new Bench();
    bench.lead();
    expect(give(bench, backup().chunks.slice(0, 1))).toEqual([
      expect.stringMatching(/^refuse \d+ ENOTEMPTY not_done$/),
    ]);
  });
});

describe('a snapshot that is read for a backup', () => {
  const request: AdminRequest<'read_snapshot'> = { number: 2 };

  /** Its log-store answers nothing by itself. */
  function silent(): Bench {
    const bench = empty();
    bench.answersReads = false;
    return bench;
  }

  function answer(bench: Bench, over: Partial<Body<'node.snapshot_chunk'>> = {}): string[] {
    const { request_id } = lastSent(bench, 'log-store.read_snapshot');
    const { head } = backup();
    const chunk = new Uint8Array([1]);
    const body = { ...bench.own, request_id, snapshot_id: 's', head, number: 2, chunk, refusal: '' as const, ...over };
    return bench.hear({ name: 'node.snapshot_chunk', body });
  }

  test('is answered with what the log-store has', () => {
    const bench = silent();
    bench.admin('read_snapshot', request, 'peer');
    expect(lastSent(bench, 'log-store.read_snapshot')).toMatchObject({ reader: 'node', snapshot_id: '', number: 2 });
    expect(answer(bench)).toEqual([expect.stringMatching(/^reply 1 \{"snapshot_id":"s","head":/)]);
  });

  test.each(['none', 'replaced'] as const)('is refused where it is %s', (refusal) => {
    const bench = silent();
    bench.admin('read_snapshot', request, 'peer');
    const none = { refusal, head: null, snapshot_id: '' as const, chunk: new Uint8Array() };
    expect(answer(bench, none)).toEqual(['refuse 1 ENOENT not_done']);
  });

  test('is refused where the log-store stays silent, and when the node is fenced', () => {
    const bench = silent();
    bench.admin('read_snapshot', request, 'peer');
    expect(bench.wait(2 * electionTimeoutMs + 100)).toContain('refuse 1 ETIMEDOUT not_done');
    bench.admin('read_snapshot', request, 'peer');
    expect(bench.fencedBy(2)).toContain('refuse 2 EFENCED not_done');
  });
});
