/** A snapshot of a peer, read over NATS chunk by chunk. */
import {
  type AdminReply,
  ConclaveError,
  type PeerId,
  SnapshotAssembler,
  type SnapshotHead,
  type SnapshotId,
  snapshotChecksum,
} from '@conclave/protocol';
import type { AdminClient } from '../admin-client.js';
import { PiecesDigest } from './pieces-digest.js';

/** How long one request to a peer may take. Taking a snapshot has no limit. */
const chunkTimeoutMs = 10_000;
const takeTimeoutMs = 600_000;
/** Chunks that are requested at the same time. */
const window = 4;
/** How many times a snapshot is read at most, if a newer one replaces it each time. */
const attempts = 3;

export interface PeerSnapshot {
  readonly peerId: PeerId;
  readonly snapshotId: SnapshotId;
  readonly head: SnapshotHead;
  /** The chunks in order; they can be read once. @throws ConclaveError */
  readonly chunks: AsyncGenerator<Uint8Array, void>;
}

/** Makes a peer take a snapshot, and begins to read it. */
export async function takeSnapshot(adminClient: AdminClient, peerId: PeerId): Promise<PeerSnapshot> {
  await adminClient.admin('snapshot', {}, { peerId, timeoutMs: takeTimeoutMs });
  return currentSnapshot(adminClient, peerId);
}

/** Begins to read the snapshot that a peer has. */
async function currentSnapshot(adminClient: AdminClient, peerId: PeerId): Promise<PeerSnapshot> {
  const first = await readChunk(adminClient, peerId, undefined, 0);
  const { snapshot_id: snapshotId, head } = first;
  return { peerId, snapshotId, head, chunks: chunksOf(adminClient, peerId, first) };
}

/** The digest of a state, and the head of the snapshot that it was read from. */
export interface StateDigest {
  readonly digest: string;
  readonly head: SnapshotHead;
}

/**
 * Returns the digest of a peer's current state, or of the snapshot that it has.
 * @throws ConclaveError
 */
export async function digestOf(
  adminClient: AdminClient,
  peerId: PeerId,
  of: 'state' | 'snapshot' = 'state',
): Promise<StateDigest> {
  return retryIfReplaced(async () => {
    const snapshot = await (of === 'state' ? takeSnapshot : currentSnapshot)(adminClient, peerId);
    const digest = new PiecesDigest();
    const assembler = new SnapshotAssembler(snapshot.head.index);
    for await (const chunk of snapshot.chunks) for (const piece of assembler.add(chunk)) digest.add(piece);
    return { digest: digest.end(), head: snapshot.head };
  });
}

/** Repeats `read` if a newer snapshot has replaced the one that was being read. */
export async function retryIfReplaced<T>(read: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof ConclaveError && error.code === 'ENOENT') || attempt === attempts) throw error;
    }
  }
}

async function* chunksOf(
  adminClient: AdminClient,
  peerId: PeerId,
  first: AdminReply<'read_snapshot'>,
): AsyncGenerator<Uint8Array, void> {
  const { snapshot_id: snapshotId, head } = first;
  let checksum = snapshotChecksum(first.chunk, 0);
  yield first.chunk;
  for (let from = 1; from < head.chunks; from += window) {
    const numbers = Array.from({ length: Math.min(window, head.chunks - from) }, (_, place) => from + place);
    const replies = await Promise.all(numbers.map((number) => readChunk(adminClient, peerId, snapshotId, number)));
    for (const { chunk } of replies) {
      checksum = snapshotChecksum(chunk, checksum);
      yield chunk;
    }
  }
  if (checksum !== head.checksum) throw new ConclaveError('ECORRUPT', `the snapshot of ${peerId} is damaged`);
}

function readChunk(
  adminClient: AdminClient,
  peerId: PeerId,
  snapshotId: SnapshotId | undefined,
  number: number,
): Promise<AdminReply<'read_snapshot'>> {
  const request = snapshotId === undefined ? { number } : { snapshot_id: snapshotId, number };
  return adminClient.admin('read_snapshot', request, { peerId, timeoutMs: chunkTimeoutMs });
}
