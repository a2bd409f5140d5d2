/**
 * Serves reads of the log and of its snapshot.
 *
 * Owns: the reads in progress. Does not own the log's state (`WritePipeline`).
 *
 * Invariants:
 * 1. Only synced entries are read.
 * 2. A reply holds entries of one log, and the term before them is of that log: no read runs beside a truncation. It waits
 *    for a truncation that is being written; one that was overtaken by a truncation or a new base is repeated or refused.
 * 3. A missing chunk of the current snapshot is damage (ECORRUPT); a missing chunk of a replaced snapshot is not.
 */
import { asLogIndex, type GroupId, invariant, limits, type Message } from '@conclave/protocol';
import type { LogStoreEffect } from './inputs-and-effects.js';
import { termBefore } from './log-state.js';
import * as messages from './messages.js';
import { type ChunkRequest, checkedChunk, checkRows, type ReadRequest, restOf, rowsAfter } from './read-checks.js';
import { ReadQueue } from './read-queue.js';
import type { BatchRange, Row } from './storage-operations.js';
import type { WritePipeline } from './write-pipeline.js';

/** Receives the effects, replies and drops of a reader. */
export interface ReaderOutput {
  emit(effect: LogStoreEffect): void;
  reply(message: Message): void;
  drop(reason: string): void;
}

interface EntryReadDetails {
  readonly range: BatchRange;
  /** How many truncations had been handed to the storage when the read began. */
  readonly truncations: number;
}

export class LogReader {
  private readonly reads = new ReadQueue<ReadRequest, EntryReadDetails>();
  private readonly chunkReads = new ReadQueue<ChunkRequest, { readonly slot: number }>();

  constructor(
    private readonly groupId: GroupId,
    private readonly log: WritePipeline,
    private readonly output: ReaderOutput,
  ) {}

  /** Drops all reads. @returns how many there were */
  drop(): number {
    return this.reads.drop() + this.chunkReads.drop();
  }

  // ---- Entries -------------------------------------------------------------------------------------

  onRead(request: ReadRequest): void {
    if (!this.reads.hasRoom) this.output.drop('too_many_reads');
    else this.beginRead(request);
  }

  /** A write is synced: reads that waited for it begin. */
  onWritten(): void {
    for (const request of this.reads.takeWaiting()) this.beginRead(request);
  }

  private beginRead(request: ReadRequest): void {
    // A read may or may not see a truncation that is being written.
    if (this.log.isTruncating) {
      this.reads.wait(request);
      return;
    }
    const refusal = this.refusalOf(request);
    if (refusal !== '') {
      this.output.reply(messages.noEntries(request, refusal));
      return;
    }
    const range: BatchRange = {
      fromIndex: asLogIndex(Math.max(request.from_index, 1)),
      lastIndex: this.log.durable.lastIndex,
      maxBytes: Math.min(request.max_bytes, limits.readBytes),
      maxBatches: limits.appendBatches,
    };
    const { token } = this.reads.begin(request, { range, truncations: this.log.truncations });
    this.output.emit({ type: 'read', token, range });
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
      this.output.drop('read_of_older_session');
      return;
    }
    const { request } = read;
    const { range, truncations } = read.details;
    if (truncations !== this.log.truncations) {
      this.output.drop('read_overtaken');
      this.beginRead(request);
      return;
    }
    // While the storage was reading, the term may have risen and the entries may have been deleted.
    const refusal = this.refusalOf(request);
    if (refusal !== '') {
      this.output.reply(messages.noEntries(request, refusal));
      return;
    }
    const { durable } = this.log;
    const first = checkRows(this.groupId, range, rows);
    const remaining = rowsAfter(durable.base.index, first, rows);
    const rest = restOf(request, rows, durable.lastIndex);
    this.output.reply(messages.entries(request, remaining, termBefore(durable, first), rest !== undefined));
    if (rest !== undefined) this.beginRead(rest);
  }

  // ---- Chunks of the snapshot ----------------------------------------------------------------------

  onReadSnapshot(request: ChunkRequest): void {
    const { snapshot } = this.log.durable;
    if (!this.chunkReads.hasRoom) {
      this.output.drop('too_many_reads');
      return;
    }
    const refusal = this.chunkRefusalOf(request);
    if (refusal !== '') {
      this.output.reply(messages.noChunk(request, refusal));
      return;
    }
    invariant(snapshot !== undefined, 'a request that is not refused has a snapshot');
    if (request.number >= snapshot.head.chunks) {
      this.output.drop('chunk_beyond_end');
      return;
    }
    const { slot } = snapshot;
    const { token } = this.chunkReads.begin(request, { slot });
    this.output.emit({ type: 'read_chunk', token, slot, number: request.number });
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
      this.output.drop('read_of_older_session');
      return;
    }
    const { request } = read;
    const { snapshot } = this.log.durable;
    const refusal = snapshot?.slot === read.details.slot ? this.chunkRefusalOf(request) : 'replaced';
    if (refusal !== '') {
      this.output.reply(messages.noChunk(request, refusal));
      return;
    }
    invariant(snapshot !== undefined, 'a request that is not refused has a snapshot');
    this.output.reply(messages.chunk(request, snapshot, checkedChunk(this.groupId, snapshot, request.number, bytes)));
  }
}
