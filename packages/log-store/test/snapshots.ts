/** Snapshots for tests: small chunks, cut by hand, and the messages that bring them. */
import { crc32 } from 'node:zlib';
import {
  asGroupId,
  asLogIndex,
  asSession,
  asTerm,
  type Configuration,
  type GroupUid,
  type LogStoreMessage,
  type SnapshotHead,
  snapshotChecksum,
} from '@conclave/protocol';
import { configurationOf, groupId, groupUid, storeId } from './store-harness.js';

export type Source = 'taken' | 'installed';

/** A snapshot whole: its id, head and chunks. */
export interface TestSnapshot {
  readonly id: string;
  readonly head: SnapshotHead;
  readonly chunks: readonly Uint8Array[];
}

/** A chunk with one piece, as a cutter with smaller chunks would make it. */
export function chunkOf(index: number, number: number, text: string): Uint8Array {
  const piece = Buffer.from(text);
  const bytes = new Uint8Array(24 + piece.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(4, 1);
  view.setBigUint64(8, BigInt(index));
  view.setUint32(16, number);
  view.setUint32(20, piece.length);
  bytes.set(piece, 24);
  view.setUint32(0, crc32(bytes.subarray(4)));
  return bytes;
}

export function snapshotOf(
  id: string,
  index: number,
  term: number,
  chunks = 3,
  configurations: readonly { index: number; configuration: Configuration }[] = [
    { index: 1, configuration: configurationOf('n1', 'n2', 'n3') },
  ],
): TestSnapshot {
  const cut = Array.from({ length: chunks }, (_, number) => chunkOf(index, number, `${id} part ${number}`));
  const head: SnapshotHead = {
    index: asLogIndex(index),
    term: asTerm(term),
    configurations: configurations.map((entry) => ({ ...entry, index: asLogIndex(entry.index) })),
    chunks,
    bytes: cut.reduce((sum, chunk) => sum + chunk.length, 0),
    checksum: cut.reduce((sum, chunk) => snapshotChecksum(chunk, sum), 0),
  };
  return { id, head, chunks: cut };
}

interface Frame {
  readonly seq: number;
  readonly session?: number;
}

function framed({ seq, session = 1 }: Frame) {
  return { group_id: groupId, store_id: storeId, session: asSession(session), link: 1, seq };
}

export function chunkMessage(
  frame: Frame,
  { id, chunks }: TestSnapshot,
  number: number,
  source: Source = 'taken',
): LogStoreMessage {
  const chunk = chunks[number] ?? new Uint8Array();
  return { name: 'log-store.snapshot_chunk', body: { ...framed(frame), snapshot_id: id, source, number, chunk } };
}

/** What an end says unless a test says otherwise. */
export interface EndSpecial extends Frame {
  readonly source?: Source;
  readonly compactTo?: number;
  readonly term?: number;
  readonly uid?: string;
  readonly head?: Partial<SnapshotHead>;
}

export function endMessage(special: EndSpecial, { id, head }: TestSnapshot): LogStoreMessage {
  return {
    name: 'log-store.snapshot_end',
    body: {
      ...framed(special),
      snapshot_id: id,
      source: special.source ?? 'taken',
      group_uid: (special.uid ?? groupUid) as GroupUid,
      term: asTerm(special.term ?? head.term),
      head: { ...head, ...special.head },
      compact_to: asLogIndex(special.compactTo ?? head.index),
    },
  };
}

/** All that brings a snapshot, from `seq` on. */
export function bringing(snapshot: TestSnapshot, special: EndSpecial): LogStoreMessage[] {
  const { seq, source } = special;
  const chunks = snapshot.chunks.map((_, number) =>
    chunkMessage({ ...special, seq: seq + number }, snapshot, number, source),
  );
  return [...chunks, endMessage({ ...special, seq: seq + chunks.length }, snapshot)];
}

export function readSnapshot(
  special: {
    readonly number?: number;
    readonly id?: string;
    readonly term?: number;
    readonly session?: number;
    readonly reader?: 'node';
  } = {},
): LogStoreMessage {
  return {
    name: 'log-store.read_snapshot',
    body: {
      group_id: asGroupId('main'),
      store_id: storeId,
      session: asSession(special.session ?? 1),
      request_id: 9,
      reader: special.reader ?? 'replicator',
      leader_term: asTerm(special.term ?? 0),
      snapshot_id: special.id ?? '',
      number: special.number ?? 0,
    },
  };
}
