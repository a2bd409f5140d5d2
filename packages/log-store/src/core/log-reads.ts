/**
 * The reads that are under way.
 *
 * Invariants:
 * 1. No read runs beside a truncation: it waits for one that is being written, and one that was overtaken is
 *    made anew. So the batches and the term before them are of one and the same log.
 * 2. There are at most `limits.logReads`.
 */
import { asLogIndex, type Body, batchFrom, batchHeader, type GroupId, type LogIndex, limits } from '@conclave/protocol';
import { batchKey } from './keys.js';
import type { BatchRange, Row } from './operations.js';
import { checkedBatch, corrupt } from './records.js';

export type ReadRequest = Body<'log-store.read'>;

export interface Read {
  readonly token: number;
  readonly request: ReadRequest;
  readonly range: BatchRange;
  /** How many truncations had been handed to the storage when it began. */
  readonly truncations: number;
}

export class LogReads {
  private readonly running = new Map<number, Read>();
  private waiting: ReadRequest[] = [];
  private lastToken = 0;

  get hasRoom(): boolean {
    return this.running.size + this.waiting.length < limits.logReads;
  }

  begin(request: ReadRequest, lastIndex: LogIndex, truncations: number): Read {
    this.lastToken += 1;
    const range: BatchRange = {
      fromIndex: asLogIndex(Math.max(request.from_index, 1)),
      lastIndex,
      maxBytes: Math.min(request.max_bytes, limits.readBytes),
      maxBatches: limits.appendBatches,
    };
    const read: Read = { token: this.lastToken, request, range, truncations };
    this.running.set(read.token, read);
    return read;
  }

  wait(request: ReadRequest): void {
    this.waiting.push(request);
  }

  takeWaiting(): ReadRequest[] {
    const { waiting } = this;
    this.waiting = [];
    return waiting;
  }

  /** The read with this token, which is over with it; undefined where it was dropped. */
  end(token: number): Read | undefined {
    const read = this.running.get(token);
    this.running.delete(token);
    return read;
  }

  /** Forgets all; answers how many there were. */
  drop(): number {
    const dropped = this.running.size + this.waiting.length;
    this.running.clear();
    this.waiting = [];
    return dropped;
  }
}

/**
 * Checks what was read, and answers the first index of it.
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
 * What a replicator's read still asks for behind these rows, which were answered: it may ask for more than goes into
 * one message. Undefined: nothing, or little.
 */
export function restOf(request: ReadRequest, rows: readonly Row[], lastIndex: LogIndex): ReadRequest | undefined {
  const latest = rows.at(-1);
  if (request.reader === 'node' || latest === undefined) return undefined;
  const maxBytes = request.max_bytes - rows.reduce((bytes, { value }) => bytes + value.length, 0);
  const fromIndex = batchHeader(latest.value).last + 1;
  if (maxBytes < limits.readBytes / 2 || fromIndex > lastIndex) return undefined;
  return { ...request, from_index: asLogIndex(fromIndex), max_bytes: maxBytes };
}

/** The rows without the entries up to `base`: the batch that holds it may go on behind it. */
export function rowsBehind(base: LogIndex, first: LogIndex, rows: readonly Row[]): readonly Row[] {
  const [row, ...rest] = rows;
  if (row === undefined || first > base) return rows;
  return [{ key: row.key, value: batchFrom(row.value, asLogIndex(base + 1)) }, ...rest];
}
