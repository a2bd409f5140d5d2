/**
 * Backups: a snapshot is read from a group, and written to a peer that holds no data of a group, for a new group to be founded with it.
 * Owns: the reads that wait, and which chunks of a backup were written. Does not own the validity of a snapshot: the reader of a
 * backup verifies its checksum, and so does the log-store before a snapshot is current.
 * Invariants:
 * 1. A chunk of a backup is accepted only while this peer holds no data of a group, in order, each once.
 * 2. Each command is answered once.
 */
import {
  type AdminReply,
  type AdminRequest,
  type Body,
  ConclaveError,
  decodeSnapshotChunk,
  limits,
  noGroupUid,
  type SnapshotHead,
  type SnapshotId,
  snapshotChecksum,
} from '@conclave/protocol';
import type { LocalActors } from '../local/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

interface Reading {
  readonly requestId: number;
  readonly number: number;
  readonly sinceMs: number;
}

/** A backup that is being written; a node that restarts forgets it, and it is written again from the start. */
interface Incoming {
  readonly restoreId: SnapshotId;
  /** The index of its snapshot. */
  readonly index: number;
  /** The chunks that were sent to the log-store, their bytes, and the CRC-32 over them. */
  given: number;
  bytes: number;
  checksum: number;
}

export class Backup {
  private readonly reading = new Map<number, Reading>();
  private incoming: Incoming | undefined;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
  ) {}

  // ---- out ---------------------------------------------------------------------------------------

  /** `read_snapshot`. */
  onRead(requestId: number, { snapshot_id = '', number }: AdminRequest<'read_snapshot'>): void {
    const { context, actors } = this;
    if (this.state.divergence !== undefined) {
      return context.refuse(
        requestId,
        'EBUSY',
        'the state of this peer differs from the majority’s: its snapshot is no backup',
      );
    }
    if (this.reading.size >= limits.logReads) return context.refuse(requestId, 'EBUSY', 'too many reads are waiting');
    const request_id = actors.nextReadId();
    this.reading.set(request_id, { requestId, number, sinceMs: context.nowMs });
    context.sendLocal({
      name: 'log-store.read_snapshot',
      body: {
        ...actors.identity,
        request_id,
        reader: 'node',
        leader_term: 0 as never,
        snapshot_id,
        number,
      },
    });
  }

  onChunk(body: Body<'node.snapshot_chunk'>): void {
    const { state, context } = this;
    const reading = this.reading.get(body.request_id);
    const isOwn = body.store_id === state.storeId && body.session === state.session;
    if (!isOwn || reading?.number !== body.number) return context.drop('snapshot_chunk_not_asked_for');
    this.reading.delete(body.request_id);
    const { requestId } = reading;
    if (body.refusal !== '' || body.head === null || body.snapshot_id === '') {
      const why = body.refusal === 'replaced' ? 'a newer snapshot has taken its place' : 'there is no snapshot here';
      return context.refuse(requestId, 'ENOENT', why);
    }
    const { snapshot_id, head, number, chunk } = body;
    context.reply(requestId, { snapshot_id, head, number, chunk } satisfies AdminReply<'read_snapshot'>);
  }

  /** Refuses reads that were not answered in time. */
  onTick(): void {
    const { context } = this;
    for (const [readId, { requestId, sinceMs }] of this.reading) {
      if (context.nowMs - sinceMs < 2 * context.options.electionTimeoutMs) continue;
      this.reading.delete(readId);
      context.refuse(requestId, 'ETIMEDOUT', 'the log-store does not answer');
    }
  }

  /** This node is fenced. */
  onFenced(reason: string): void {
    for (const { requestId } of this.reading.values()) this.context.refuse(requestId, 'EFENCED', reason);
    this.reading.clear();
  }

  // ---- in ----------------------------------------------------------------------------------------

  /** `restore_chunk`. Replies once the chunk is synced. */
  onRestoreChunk(requestId: number, { restore_id, number, chunk }: AdminRequest<'restore_chunk'>): void {
    const { context, state, actors } = this;
    if (state.groupUid !== noGroupUid) {
      return context.refuse(requestId, 'ENOTEMPTY', 'this peer holds the group: a backup is restored into a new one');
    }
    const index = indexOfChunk(chunk, number);
    if (typeof index === 'string') return context.refuse(requestId, 'EINVAL', index);
    if (number === 0) this.incoming = { restoreId: restore_id, index, given: 0, bytes: 0, checksum: 0 };
    const { incoming } = this;
    if (incoming?.restoreId !== restore_id || incoming.index !== index) {
      return context.refuse(requestId, 'EINVAL', 'a backup begins with its chunk number 0');
    }
    if (number > incoming.given) {
      return context.refuse(requestId, 'EINVAL', `chunk ${incoming.given} comes next, not ${number}`);
    }
    if (number === incoming.given) {
      if (!actors.hasRoom('log-store')) return context.refuse(requestId, 'EBUSY', 'the log-store is busy');
      actors.sendFramed(
        'log-store',
        (frame) => ({
          name: 'log-store.snapshot_chunk',
          body: { ...actors.identity, ...frame, snapshot_id: restore_id, source: 'installed', number, chunk },
        }),
        chunk.length,
      );
      incoming.given += 1;
      incoming.bytes += chunk.length;
      incoming.checksum = snapshotChecksum(chunk, incoming.checksum);
    }
    const stored = incoming.given;
    actors.afterSynced(() => context.reply(requestId, { stored }));
  }

  /** Whether this peer has received all of that backup, and nothing else. */
  hasAll(restoreId: SnapshotId, head: SnapshotHead): boolean {
    const { incoming } = this;
    if (incoming?.restoreId !== restoreId || incoming.index !== head.index) return false;
    return incoming.given === head.chunks && incoming.bytes === head.bytes && incoming.checksum === head.checksum;
  }
}

/** Returns the index of the chunk's snapshot, or what is wrong with the chunk. */
function indexOfChunk(bytes: Uint8Array, number: number): number | string {
  try {
    const chunk = decodeSnapshotChunk(bytes);
    return chunk.number === number ? chunk.index : `it is chunk ${chunk.number}, not ${number}`;
  } catch (error) {
    if (error instanceof ConclaveError) return error.message;
    throw error;
  }
}
