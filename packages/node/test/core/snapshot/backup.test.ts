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
import { configuration } from '../format-effects.js';
import { electionTimeoutMs, NodeHarness } from '../node-harness.js';

/** A backup of three chunks at entry 7. */
function backup(): { chunks: Uint8Array[]; head: SnapshotHead } {
  const cutter = new SnapshotChunker(asLogIndex(7));
  const chunks = [...cutter.add(new Uint8Array(600_000).fill(1)), ...cutter.end()];
  const configurations = [{ index: asLogIndex(2), configuration: configuration('n8 n9') }];
  return { chunks, head: { index: asLogIndex(7), term: asTerm(4), configurations, ...cutter.sum } };
}

function empty(): NodeHarness {
  const node = new NodeHarness();
  node.open();
  return node;
}

/** Sends chunks in order. Returns what was sent for them. */
function give(node: NodeHarness, chunks: readonly Uint8Array[]): string[] {
  return chunks.flatMap((chunk, number) => node.admin('restore_chunk', { restore_id: 'r', number, chunk }, 'peer'));
}

function found(node: NodeHarness, head: SnapshotHead, peers = ['n1']): string[] {
  return node.found({ peers, restore: { restore_id: 'r', head } });
}

function lastSent<N extends 'log-store.snapshot_end' | 'log-store.read_snapshot'>(node: NodeHarness, name: N): Body<N> {
  const message = node.sent.map((each) => each.message).findLast((each) => each.name === name);
  if (message === undefined) throw new Error(`no ${name} was sent`);
  return message.body as Body<N>;
}

describe('a group that is founded with a backup', () => {
  test('is sent the chunks in order, each answered once it is synced', () => {
    const node = empty();
    const { chunks } = backup();
    node.syncs = false;
    const first = { restore_id: 'r', number: 0, chunk: chunks[0] };
    expect(node.admin('restore_chunk', first, 'peer')).toEqual(['snapshot_chunk 0 of r, installed']);
    expect(node.sync()).toEqual(['reply 1 {"stored":1}']);
    node.syncs = true;
    expect(node.admin('restore_chunk', first, 'peer'), 'again').toContain('reply 2 {"stored":1}');
    const gap = { restore_id: 'r', number: 2, chunk: chunks[2] };
    expect(node.admin('restore_chunk', gap, 'peer')).toEqual(['refuse 3 EINVAL not_done']);
    const another = { restore_id: 'another', number: 1, chunk: chunks[1] };
    expect(node.admin('restore_chunk', another, 'peer')).toEqual(['refuse 4 EINVAL not_done']);
    const damaged = { restore_id: 'r', number: 1, chunk: chunks[1]?.toReversed() };
    expect(node.admin('restore_chunk', damaged, 'peer')).toEqual(['refuse 5 EINVAL not_done']);
    expect(node.admin('restore_chunk', { restore_id: 'r', number: 1, chunk: chunks[1] }, 'peer')).toContain(
      'reply 6 {"stored":2}',
    );
  });

  test('has the backup as its log, and a configuration of this peer alone at its end', () => {
    const node = empty();
    const { chunks, head } = backup();
    give(node, chunks);
    const lines = found(node, head);
    expect(lines).toContain(`refuse ${chunks.length + 1} EBUSY unknown`);
    expect(lines.at(-1)).toBe('start over');
    const end = lastSent(node, 'log-store.snapshot_end');
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
    const node = empty();
    const { chunks, head } = backup();
    give(node, given(chunks));
    expect(found(node, { ...head, ...over })).toContainEqual(expect.stringMatching(/^refuse \d+ EINVAL not_done$/));
    expect(node.status.group_uid).toBe(noGroupUid);
  });

  test.each([
    ['of level 1 into a group of level 0: it holds what that cannot read', 1, 0, 'EUNSUPPORTED not_done'],
    ['of level 0 into a group of level 1', 0, 1, 'EBUSY unknown'],
  ])('promise 31: from a backup %s', (_, level, foundingLevel, answer) => {
    const node = new NodeHarness('n1', { foundingLevel });
    node.open();
    const { chunks, head } = backup();
    give(node, chunks);
    const configurations = [{ index: asLogIndex(2), configuration: { ...configuration('n8 n9'), level } }];
    const isRefused = level > foundingLevel;
    expect(found(node, { ...head, configurations })).toContain(`refuse ${chunks.length + 1} ${answer}`);
    expect(node.sent.some(({ message }) => message.name === 'log-store.snapshot_end')).toBe(!isRefused);
  });

  test('is not founded if the peer holds a group already', () => {
    const node = new NodeHarness();
    node.lead();
    expect(give(node, backup().chunks.slice(0, 1))).toEqual([expect.stringMatching(/^refuse \d+ ENOTEMPTY not_done$/)]);
  });
});

describe('a snapshot that is read for a backup', () => {
  const request: AdminRequest<'read_snapshot'> = { number: 2 };

  /** Its log-store answers nothing by itself. */
  function silent(): NodeHarness {
    const node = empty();
    node.answersReads = false;
    return node;
  }

  function answer(node: NodeHarness, over: Partial<Body<'node.snapshot_chunk'>> = {}): string[] {
    const { request_id } = lastSent(node, 'log-store.read_snapshot');
    const { head } = backup();
    const chunk = new Uint8Array([1]);
    const body = { ...node.own, request_id, snapshot_id: 's', head, number: 2, chunk, refusal: '' as const, ...over };
    return node.receive({ name: 'node.snapshot_chunk', body });
  }

  test('is answered with what the log-store has', () => {
    const node = silent();
    node.admin('read_snapshot', request, 'peer');
    expect(lastSent(node, 'log-store.read_snapshot')).toMatchObject({ reader: 'node', snapshot_id: '', number: 2 });
    expect(answer(node)).toEqual([expect.stringMatching(/^reply 1 \{"snapshot_id":"s","head":/)]);
  });

  test.each(['none', 'replaced'] as const)('is refused if it is %s', (refusal) => {
    const node = silent();
    node.admin('read_snapshot', request, 'peer');
    const none = { refusal, head: null, snapshot_id: '' as const, chunk: new Uint8Array() };
    expect(answer(node, none)).toEqual(['refuse 1 ENOENT not_done']);
  });

  test('is refused if the log-store stays silent, and when the node is fenced', () => {
    const node = silent();
    node.admin('read_snapshot', request, 'peer');
    expect(node.wait(2 * electionTimeoutMs + 100)).toContain('refuse 1 ETIMEDOUT not_done');
    node.admin('read_snapshot', request, 'peer');
    expect(node.fencedBy(2)).toContain('refuse 2 EFENCED not_done');
  });
});
