/**
 * Where one replicator gets the chunks of the snapshot from that it sends: its own log-store.
 *
 * Owns which snapshot that is, the running reads and what they brought. Does not own what has been sent.
 *
 * Invariants:
 * 1. An answer counts once, and only to a read that is under way.
 * 2. All chunks are of one snapshot: a read names it, but for the first one, which takes whichever counts.
 * 3. At most `limits.snapshotWindowChunks` reads are under way or have brought a chunk that waits.
 */
import { type Body, invariant, limits, type SnapshotHead, type SnapshotId } from '@conclave/protocol';
import type { Leadership } from './leadership.js';

type Answer = Body<'replicator.snapshot_chunk'>;

export interface Snapshot {
  readonly id: SnapshotId;
  readonly head: SnapshotHead;
}

interface Read {
  readonly number: number;
  readonly askedMs: number;
}

export class SnapshotSource {
  /** Undefined until the first read is answered. */
  snapshot: Snapshot | undefined;
  private readonly reads = new Map<number, Read>();
  private readonly chunks = new Map<number, Uint8Array>();
  private waitsForTick = false;

  constructor(private readonly leadership: Leadership) {}

  /** Reads this chunk, unless it is there or on its way. False: not now. */
  ask(number: number, nowMs: number): boolean {
    if (this.waitsForTick) return false;
    if (this.isAskedOrThere(number)) return true;
    const { leadership, snapshot } = this;
    const bytes = snapshot === undefined ? limits.snapshotChunkBytes : snapshot.head.bytes / snapshot.head.chunks;
    if (!leadership.outlet.snapshotThrottle.take(bytes, nowMs)) return false;
    const requestId = leadership.outlet.nextRequestId();
    this.reads.set(requestId, { number, askedMs: nowMs });
    invariant(this.reads.size + this.chunks.size <= limits.snapshotWindowChunks, 'chunks are read within the window');
    const body = {
      ...leadership.own,
      request_id: requestId,
      reader: 'replicator' as const,
      leader_term: leadership.term,
      snapshot_id: snapshot?.id ?? ('' as const),
      number,
    };
    leadership.send(leadership.peerId, { name: 'log-store.read_snapshot', body });
    return true;
  }

  isAnsweredBy(body: Answer): boolean {
    return this.reads.get(body.request_id)?.number === body.number;
  }

  /** Takes the answer to a running read. `replaced`: there is a newer snapshot, and all of the old one is forgotten. */
  onChunk(body: Answer): 'taken' | 'replaced' | 'no_snapshot' | 'read_refused' | 'malformed_chunk' {
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

  /** Hands a chunk out, once. */
  take(number: number): Uint8Array | undefined {
    const chunk = this.chunks.get(number);
    this.chunks.delete(number);
    return chunk;
  }

  /** Forgets what has been read, but for this chunk and those behind it, up to `end`. */
  keepOnly(number: number, end: number): void {
    for (const [requestId, read] of this.reads) {
      if (read.number < number || read.number >= end) this.reads.delete(requestId);
    }
    for (const kept of this.chunks.keys()) if (kept < number || kept >= end) this.chunks.delete(kept);
  }

  /** Gives up reads that got lost, so that they are asked anew. */
  onTick(nowMs: number): void {
    this.waitsForTick = false;
    for (const [requestId, { askedMs }] of this.reads) {
      const isOverdue = nowMs - askedMs >= this.leadership.times.electionTimeoutMs / 2;
      if (isOverdue) this.reads.delete(requestId);
    }
  }

  private keep({ snapshot_id: id, head, number, chunk }: Answer): 'taken' | 'malformed_chunk' {
    const known = this.snapshot?.id ?? id;
    if (id === '' || head === null || id !== known || number >= head.chunks || chunk.length === 0) {
      this.waitsForTick = true;
      return 'malformed_chunk';
    }
    this.snapshot ??= { id, head };
    this.chunks.set(number, chunk);
    return 'taken';
  }

  private clear(): void {
    this.reads.clear();
    this.chunks.clear();
  }

  private isAskedOrThere(number: number): boolean {
    if (this.chunks.has(number)) return true;
    for (const read of this.reads.values()) if (read.number === number) return true;
    return false;
  }
}
