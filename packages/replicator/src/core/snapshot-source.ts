/**
 * Reads the chunks of a snapshot from the leader's own log-store, for one replicator.
 *
 * Owns: which snapshot is read, the reads in progress, and the chunks that were read and are not sent yet.
 *
 * Invariants:
 * 1. A reply counts once, and only for a read in progress.
 * 2. All chunks belong to one snapshot: each read names it, except the first read, which returns a chunk of the current snapshot.
 * 3. The reads in progress, and the chunks that are not sent yet, are together at most `limits.snapshotWindowChunks`.
 */
import { type Body, invariant, limits, type SnapshotHead, type SnapshotId } from '@conclave/protocol';
import type { LeaderTerm } from './leader-term.js';

type SnapshotChunk = Body<'replicator.snapshot_chunk'>;

export interface Snapshot {
  readonly id: SnapshotId;
  readonly head: SnapshotHead;
}

interface Read {
  readonly number: number;
  readonly askedMs: number;
}

export class SnapshotSource {
  /** Undefined until the first reply. */
  snapshot: Snapshot | undefined;
  private readonly reads = new Map<number, Read>();
  private readonly chunks = new Map<number, Uint8Array>();
  private waitsForTick = false;

  constructor(private readonly leaderTerm: LeaderTerm) {}

  /** Reads a chunk, unless it is in memory or being read. @returns false if it cannot be read now */
  ask(number: number, nowMs: number): boolean {
    if (this.waitsForTick) return false;
    if (this.isReadOrReading(number)) return true;
    const { leaderTerm, snapshot } = this;
    const bytes = snapshot === undefined ? limits.snapshotChunkBytes : snapshot.head.bytes / snapshot.head.chunks;
    if (!leaderTerm.output.snapshotThrottle.take(bytes, nowMs)) return false;
    const requestId = leaderTerm.output.nextRequestId();
    this.reads.set(requestId, { number, askedMs: nowMs });
    invariant(this.reads.size + this.chunks.size <= limits.snapshotWindowChunks, 'chunks are read within the window');
    const body = {
      ...leaderTerm.identity,
      request_id: requestId,
      reader: 'replicator' as const,
      leader_term: leaderTerm.term,
      snapshot_id: snapshot?.id ?? ('' as const),
      number,
    };
    leaderTerm.send(leaderTerm.peerId, { name: 'log-store.read_snapshot', body });
    return true;
  }

  expects(body: SnapshotChunk): boolean {
    return this.reads.get(body.request_id)?.number === body.number;
  }

  /** Accepts the reply to a read in progress. @returns `replaced`: the log-store has a newer snapshot; all chunks of the old one are dropped */
  onChunk(body: SnapshotChunk): 'accepted' | 'replaced' | 'no_snapshot' | 'read_refused' | 'malformed_chunk' {
    this.reads.delete(body.request_id);
    switch (body.refusal) {
      case '':
        return this.keep(body);
      case 'replaced':
        this.snapshot = undefined;
        this.clear();
        return 'replaced';
      case 'none':
        return 'no_snapshot';
      case 'stale_term':
        this.waitsForTick = true;
        return 'read_refused';
    }
  }

  /** Removes and returns a chunk. */
  take(number: number): Uint8Array | undefined {
    const chunk = this.chunks.get(number);
    this.chunks.delete(number);
    return chunk;
  }

  /** Drops all chunks and reads except those from `number` to `end - 1`. */
  keepOnly(number: number, end: number): void {
    for (const [requestId, read] of this.reads) {
      if (read.number < number || read.number >= end) this.reads.delete(requestId);
    }
    for (const kept of this.chunks.keys()) if (kept < number || kept >= end) this.chunks.delete(kept);
  }

  /** Drops lost reads, so that they are repeated. */
  onTick(nowMs: number): void {
    this.waitsForTick = false;
    for (const [requestId, { askedMs }] of this.reads) {
      const isOverdue = nowMs - askedMs >= this.leaderTerm.times.electionTimeoutMs / 2;
      if (isOverdue) this.reads.delete(requestId);
    }
  }

  private keep({ snapshot_id: id, head, number, chunk }: SnapshotChunk): 'accepted' | 'malformed_chunk' {
    const known = this.snapshot?.id ?? id;
    if (id === '' || head === null || id !== known || number >= head.chunks || chunk.length === 0) {
      this.waitsForTick = true;
      return 'malformed_chunk';
    }
    this.snapshot ??= { id, head };
    this.chunks.set(number, chunk);
    return 'accepted';
  }

  private clear(): void {
    this.reads.clear();
    this.chunks.clear();
  }

  private isReadOrReading(number: number): boolean {
    if (this.chunks.has(number)) return true;
    for (const read of this.reads.values()) if (read.number === number) return true;
    return false;
  }
}
