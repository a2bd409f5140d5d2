/**
 * Answers reads of the log and of its snapshot. Owns the reads under way; the log's state is `LogStages`'.
 *
 * Invariants:
 * 1. Only what is synced is read.
 * 2. What is answered is of one log: a read that a truncation or a new base has overtaken is made anew or refused.
 */
import { type GroupId, invariant, type Message } from '@conclave/protocol';
import type { LogStoreEffect } from './inputs-and-effects.js';
import { checkRows, LogReads, type ReadRequest, restOf, rowsBehind } from './log-reads.js';
import type { LogStages } from './log-stages.js';
import { termBefore } from './log-state.js';
import type { Row } from './operations.js';
import * as replies from './replies.js';
import { type ChunkRequest, checkedChunk, SnapshotReads } from './snapshot-reads.js';

/** Where a reader's words go. */
export interface ReaderOutside {
  emit(effect: LogStoreEffect): void;
  answer(message: Message): void;
  drop(reason: string): void;
}

export class LogReader {
  private readonly reads = new LogReads();
  private readonly chunkReads = new SnapshotReads();

  constructor(
    private readonly groupId: GroupId,
    private readonly log: LogStages,
    private readonly outside: ReaderOutside,
  ) {}

  /** Forgets all that is under way; answers how many there were. */
  drop(): number {
    return this.reads.drop() + this.chunkReads.drop();
  }

  // ---- Entries -------------------------------------------------------------------------------------

  onRead(request: ReadRequest): void {
    if (!this.reads.hasRoom) this.outside.drop('too_many_reads');
    else this.beginRead(request);
  }

  /** A write is synced: reads that waited for it go on. */
  onWritten(): void {
    for (const request of this.reads.takeWaiting()) this.beginRead(request);
  }

  private beginRead(request: ReadRequest): void {
    // A truncation that is being written may or may not be seen: wait for it.
    if (this.log.isTruncating) {
      this.reads.wait(request);
      return;
    }
    const refusal = this.refusalOf(request);
    if (refusal !== '') {
      this.outside.answer(replies.noEntries(request, refusal));
      return;
    }
    const { token, range } = this.reads.begin(request, this.log.durable.lastIndex, this.log.truncations);
    this.outside.emit({ type: 'read', token, range });
  }

  private refusalOf(request: ReadRequest): '' | 'stale_term' | 'beyond_end' | 'compacted' {
    const { base, lastIndex } = this.log.durable;
    if (this.isOfOtherTerm(request)) return 'stale_term';
    if (request.from_index > lastIndex) return 'beyond_end';
    return Math.max(request.from_index, 1) <= base.index ? 'compacted' : '';
  }

  /** A replicator of an older term would send entries of a newer one as its own. */
  private isOfOtherTerm({ leader_term }: ReadRequest | ChunkRequest): boolean {
    return leader_term !== 0 && leader_term !== this.log.accepted.term;
  }

  /** @throws ConclaveError ECORRUPT */
  onReadDone(token: number, rows: readonly Row[]): void {
    const read = this.reads.end(token);
    if (read === undefined) {
      this.outside.drop('read_of_older_session');
      return;
    }
    const { request, range, truncations } = read;
    if (truncations !== this.log.truncations) {
      this.outside.drop('read_overtaken');
      this.beginRead(request);
      return;
    }
    // Both are looked at again: the term may have risen, and the entries may have gone, while the storage was reading.
    const refusal = this.refusalOf(request);
    if (refusal !== '') {
      this.outside.answer(replies.noEntries(request, refusal));
      return;
    }
    const { durable } = this.log;
    const first = checkRows(this.groupId, range, rows);
    const behind = rowsBehind(durable.base.index, first, rows);
    const rest = restOf(request, rows, durable.lastIndex);
    this.outside.answer(replies.entries(request, behind, termBefore(durable, first), rest !== undefined));
    if (rest !== undefined) this.beginRead(rest);
  }

  // ---- Chunks of the snapshot ----------------------------------------------------------------------

  onReadSnapshot(request: ChunkRequest): void {
    const { snapshot } = this.log.durable;
    if (!this.chunkReads.hasRoom) {
      this.outside.drop('too_many_reads');
      return;
    }
    const refusal = this.chunkRefusalOf(request);
    if (refusal !== '') {
      this.outside.answer(replies.noChunk(request, refusal));
      return;
    }
    invariant(snapshot !== undefined, 'what is not refused is there');
    if (request.number >= snapshot.head.chunks) {
      this.outside.drop('chunk_beyond_end');
      return;
    }
    const { token, slot } = this.chunkReads.begin(request, snapshot.slot);
    this.outside.emit({ type: 'read_chunk', token, slot, number: request.number });
  }

  private chunkRefusalOf(request: ChunkRequest): '' | 'none' | 'replaced' | 'stale_term' {
    const { snapshot } = this.log.durable;
    if (this.isOfOtherTerm(request)) return 'stale_term';
    if (snapshot === undefined) return 'none';
    return request.snapshot_id === '' || request.snapshot_id === snapshot.snapshot_id ? '' : 'replaced';
  }

  /** @throws ConclaveError ECORRUPT */
  onChunkRead(token: number, bytes: Uint8Array | undefined): void {
    const read = this.chunkReads.end(token);
    if (read === undefined) {
      this.outside.drop('read_of_older_session');
      return;
    }
    const { request, slot } = read;
    const { snapshot } = this.log.durable;
    const refusal = snapshot?.slot === slot ? this.chunkRefusalOf(request) : 'replaced';
    if (refusal !== '') {
      this.outside.answer(replies.noChunk(request, refusal));
      return;
    }
    invariant(snapshot !== undefined, 'what is not refused is there');
    this.outside.answer(replies.chunk(request, snapshot, checkedChunk(this.groupId, snapshot, request.number, bytes)));
  }
}
