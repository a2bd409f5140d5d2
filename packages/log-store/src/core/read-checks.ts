/** Checks of what was read from the storage: rows of the log, and chunks of the snapshot. */
import {
  asLogIndex,
  type Body,
  batchFrom,
  batchHeader,
  decodeSnapshotChunk,
  type GroupId,
  type LogIndex,
  limits,
} from '@conclave/protocol';
import { batchKey, chunkKey } from './keys.js';
import type { KeptSnapshot } from './log-state.js';
import { checkedBatch, corrupt } from './records.js';
import type { BatchRange, Row } from './storage-operations.js';

export type ReadRequest = Body<'log-store.read'>;
export type ChunkRequest = Body<'log-store.read_snapshot'>;

/**
 * Checks the rows of a read.
 * @returns the first index in them
 * @throws ConclaveError ECORRUPT naming group, key and index
 */
export function checkRows(groupId: GroupId, range: BatchRange, rows: readonly Row[]): LogIndex {
  const { fromIndex } = range;
  let first: LogIndex | undefined;
  let last = 0;
  for (const row of rows) {
    const header = checkedBatch(groupId, row);
    if (first !== undefined && header.first !== last + 1) {
      throw corrupt(groupId, row.key, last + 1, 'the entry is missing');
    }
    if (first === undefined && (header.first > fromIndex || header.last < fromIndex)) break;
    first ??= header.first;
    last = header.last;
  }
  if (first === undefined) throw corrupt(groupId, batchKey(groupId, fromIndex), fromIndex, 'the entry is missing');
  return first;
}

/**
 * A replicator may ask for more than one message holds.
 * @returns what its read asks for after these rows; undefined: nothing, or little
 */
export function restOf(request: ReadRequest, rows: readonly Row[], lastIndex: LogIndex): ReadRequest | undefined {
  const latest = rows.at(-1);
  if (request.reader === 'node' || latest === undefined) return undefined;
  const maxBytes = request.max_bytes - rows.reduce((bytes, { value }) => bytes + value.length, 0);
  const fromIndex = batchHeader(latest.value).last + 1;
  if (maxBytes < limits.readBytes / 2 || fromIndex > lastIndex) return undefined;
  return { ...request, from_index: asLogIndex(fromIndex), max_bytes: maxBytes };
}

/** The rows without the entries up to `base`: the batch that holds entry `base` may hold later ones, too. */
export function rowsAfter(base: LogIndex, first: LogIndex, rows: readonly Row[]): readonly Row[] {
  const [row, ...rest] = rows;
  if (row === undefined || first > base) return rows;
  return [{ key: row.key, value: batchFrom(row.value, asLogIndex(base + 1)) }, ...rest];
}

/** Whether the checksum of a stored chunk is right. */
export function chunkIsIntact(bytes: Uint8Array): boolean {
  try {
    decodeSnapshotChunk(bytes);
    return true;
  } catch {
    return false;
  }
}

/**
 * Checks a chunk of the current snapshot.
 * @returns its bytes
 * @throws ConclaveError ECORRUPT naming group and key
 */
export function checkedChunk(
  groupId: GroupId,
  { slot, head }: KeptSnapshot,
  number: number,
  bytes: Uint8Array | undefined,
): Uint8Array {
  const key = chunkKey(groupId, slot, number);
  if (bytes === undefined) throw corrupt(groupId, key, head.index, 'the chunk of a snapshot is missing');
  let found: { readonly index: number; readonly number: number };
  try {
    found = decodeSnapshotChunk(bytes);
  } catch {
    throw corrupt(groupId, key, head.index, 'the stored chunk of a snapshot is damaged (bad checksum)');
  }
  if (found.index === head.index && found.number === number) return bytes;
  throw corrupt(groupId, key, head.index, `it is chunk ${found.number} of snapshot ${found.index}`);
}
