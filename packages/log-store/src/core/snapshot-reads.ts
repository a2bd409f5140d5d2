/**
 * The reads of a snapshot's chunks that are under way.
 *
 * Invariants:
 * 1. A read that is not there, though its snapshot counts, is damage; one whose snapshot was replaced meanwhile is not.
 * 2. There are at most `limits.logReads`.
 */
import { type Body, decodeSnapshotChunk, type GroupId, limits } from '@conclave/protocol';
import { chunkKey } from './keys.js';
import type { KeptSnapshot } from './log-state.js';
import { corrupt } from './records.js';

export type ChunkRequest = Body<'log-store.read_snapshot'>;

export interface ChunkRead {
  readonly token: number;
  readonly request: ChunkRequest;
  readonly slot: number;
}

export class SnapshotReads {
  private readonly running = new Map<number, ChunkRead>();
  private lastToken = 0;

  get hasRoom(): boolean {
    return this.running.size < limits.logReads;
  }

  begin(request: ChunkRequest, slot: number): ChunkRead {
    this.lastToken += 1;
    const read: ChunkRead = { token: this.lastToken, request, slot };
    this.running.set(read.token, read);
    return read;
  }

  /** The read with this token, which is over with it; undefined where it was dropped. */
  end(token: number): ChunkRead | undefined {
    const read = this.running.get(token);
    this.running.delete(token);
    return read;
  }

  /** Forgets all; answers how many there were. */
  drop(): number {
    const dropped = this.running.size;
    this.running.clear();
    return dropped;
  }
}

/** Whether a stored chunk is as it was stored. */
export function chunkIsIntact(bytes: Uint8Array): boolean {
  try {
    decodeSnapshotChunk(bytes);
    return true;
  } catch {
    return false;
  }
}

/**
 * Checks a chunk of the snapshot that counts.
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
