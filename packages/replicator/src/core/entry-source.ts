/**
 * Where one replicator gets its entries from: the recent batches that all share, and what was read from the
 * log-store for a target that is further behind.
 *
 * Owns the running read and what it brought and was not sent yet, at most twice `limits.replicatorReadBytes`. Does not own
 * how far the target is.
 *
 * Invariants:
 * 1. At most one read is under way; its answers are taken in order, one to any other is dropped.
 * 2. What is handed out is of the leader's log in its term: a read carries the term, and is refused in another.
 * 3. The term before the entries comes from where the entries come from.
 */
import {
  type BatchHeader,
  type Body,
  batchHeader,
  ConclaveError,
  type LogIndex,
  limits,
  type Term,
} from '@conclave/protocol';
import { BatchRun, type RunBatch } from './batch-run.js';
import type { Position } from './in-flight-window.js';
import type { Leadership } from './leadership.js';

/** Entries for one message. */
export interface Gathered {
  readonly prev: Position;
  readonly last: Position;
  readonly batches: Uint8Array[];
  readonly bytes: number;
}

interface Read {
  readonly requestId: number;
  /** Where the next answer begins. */
  fromIndex: LogIndex;
  /** When it was asked, or last answered. */
  latestMs: number;
  refused: '' | 'beyond_end' | 'other';
}

export class EntrySource {
  private fetched: BatchRun | undefined;
  private read: Read | undefined;

  constructor(private readonly leadership: Leadership) {}

  /** The term of an entry, where it is known without asking. */
  termAt(index: LogIndex): Term | undefined {
    return this.leadership.termAt(index) ?? this.fetched?.termAt(index);
  }

  /**
   * The batches for one message, beginning with the one that holds `nextIndex`; undefined: not in memory. A single
   * batch goes whatever its size.
   */
  gather(nextIndex: LogIndex): Gathered | undefined {
    const { cache } = this.leadership;
    const inCache = cache.placeOf(nextIndex);
    const isCached = inCache !== undefined && cache.at(inCache)?.content !== undefined;
    // In step again, or past what was read: that is of no more use.
    if (isCached || this.fetched?.placeOf(nextIndex) === undefined) this.fetched = undefined;
    const run = isCached ? cache : this.fetched;
    let place = isCached ? inCache : this.fetched?.placeOf(nextIndex);
    if (run === undefined || place === undefined) return undefined;
    const first = run.at(place);
    if (first?.content === undefined) return undefined;
    const batches = [first.content];
    let { header } = first;
    let bytes = first.content.length;
    while (batches.length < limits.appendBatches) {
      place += 1;
      const next = run.at(place);
      if (next?.content === undefined || bytes + next.content.length > limits.appendBytes) break;
      batches.push(next.content);
      bytes += next.content.length;
      header = next.header;
    }
    const prev = { index: (first.header.first - 1) as LogIndex, term: first.prevTerm };
    return { prev, last: { index: header.last, term: header.term }, batches, bytes };
  }

  /**
   * Reads on before all that was read is sent, so that neither the disk nor the target waits for the other. What is before
   * `nextIndex` was sent, and is dropped.
   */
  readAhead(nextIndex: LogIndex, nowMs: number): void {
    const { fetched } = this;
    if (fetched === undefined) return;
    fetched.evictBefore(nextIndex);
    const unsent = fetched.bytesFrom(nextIndex);
    const end = fetched.lastIndex;
    if (unsent === undefined || end === undefined || end >= this.leadership.lastIndex) return;
    const behind = (end + 1) as LogIndex;
    if (unsent < limits.replicatorReadBytes && !this.isCached(behind)) {
      this.ask(behind, limits.replicatorReadBytes, nowMs);
    }
  }

  private isCached(index: LogIndex): boolean {
    const { cache } = this.leadership;
    const place = cache.placeOf(index);
    return place !== undefined && cache.at(place)?.content !== undefined;
  }

  /** The leader's own log-store has synced entries: a read beyond its end, which it refused, may be asked again. */
  onReadable(): boolean {
    if (this.read?.refused !== 'beyond_end') return false;
    this.read = undefined;
    return true;
  }

  /** Whether what is there from that entry on is no more than one read would bring. */
  isNearEnd(nextIndex: LogIndex): boolean {
    const { cache, lastIndex } = this.leadership;
    return nextIndex > lastIndex || (cache.bytesFrom(nextIndex) ?? Infinity) <= limits.replicatorReadBytes;
  }

  /** Where the leader's batch that begins with `nextIndex` stands, also without its content; undefined: not known. */
  placed(nextIndex: LogIndex): Omit<Gathered, 'batches'> | undefined {
    const { cache } = this.leadership;
    const place = cache.placeOf(nextIndex);
    const batch = place === undefined ? undefined : cache.at(place);
    if (batch === undefined || batch.header.first !== nextIndex) return undefined;
    const { header, size, prevTerm } = batch;
    return {
      prev: { index: (header.first - 1) as LogIndex, term: prevTerm },
      last: { index: header.last, term: header.term },
      bytes: size,
    };
  }

  /** Asks the log-store for the batches from `fromIndex` on, unless a read is under way. */
  ask(fromIndex: LogIndex, maxBytes: number, nowMs: number): void {
    if (this.read !== undefined) return;
    const { leadership } = this;
    const requestId = leadership.outlet.nextRequestId();
    this.read = { requestId, fromIndex, latestMs: nowMs, refused: '' };
    const body = {
      ...leadership.own,
      request_id: requestId,
      reader: 'replicator' as const,
      leader_term: leadership.term,
      from_index: fromIndex,
      max_bytes: maxBytes,
    };
    leadership.send(leadership.peerId, { name: 'log-store.read', body });
  }

  isAnsweredBy(body: Body<'replicator.entries'>): boolean {
    return (
      this.read?.requestId === body.request_id && this.read.fromIndex === body.from_index && this.read.refused === ''
    );
  }

  /**
   * Takes an answer to the running read. A refused read ends with the next tick, but for one of what is compacted, and for one
   * beyond the end of what is synced, which ends with the next sync.
   */
  onEntries(
    body: Body<'replicator.entries'>,
    nowMs: number,
  ): 'taken' | 'compacted' | 'read_refused' | 'malformed_entries' {
    if (body.refusal === 'compacted') {
      this.read = undefined;
      return 'compacted';
    }
    if (body.refusal !== '' || body.batches.length === 0) {
      if (this.read !== undefined) this.read.refused = body.refusal === 'beyond_end' ? 'beyond_end' : 'other';
      return 'read_refused';
    }
    // What was not sent yet stays in front of it.
    const isNext = this.fetched?.lastIndex === body.from_index - 1;
    const run = isNext && this.fetched !== undefined ? this.fetched : new BatchRun();
    const last = readInto(run, body, this.leadership.term);
    if (last === undefined) {
      if (this.read !== undefined) this.read.refused = 'other';
      return 'malformed_entries';
    }
    this.fetched = run;
    if (this.read === undefined || !body.more) this.read = undefined;
    else Object.assign(this.read, { fromIndex: last + 1, latestMs: nowMs });
    return 'taken';
  }

  /** Gives a read up that was refused or got lost, so that it is asked anew. */
  onTick(nowMs: number): void {
    if (this.read === undefined) return;
    const isOverdue = nowMs - this.read.latestMs >= this.leadership.times.electionTimeoutMs / 2;
    if (this.read.refused !== '' || isOverdue) this.read = undefined;
  }
}

/**
 * Adds the batches of an answer to the run, and answers the last index. Undefined, and nothing is added, unless they
 * hold `from_index`, follow each other and the run, and their terms rise up to `term`.
 */
function readInto(run: BatchRun, body: Body<'replicator.entries'>, term: Term): LogIndex | undefined {
  const batches: RunBatch[] = [];
  let prevTerm = body.prev_term;
  let lastIndex = run.lastIndex;
  if (lastIndex !== undefined && run.termAt(lastIndex) !== prevTerm) return undefined;
  for (const bytes of body.batches) {
    const header = headerOf(bytes);
    if (header === undefined || header.term < prevTerm || header.term > term) return undefined;
    if (lastIndex === undefined ? header.first > body.from_index : header.first !== lastIndex + 1) return undefined;
    batches.push({ header, size: bytes.length, content: bytes, prevTerm });
    prevTerm = header.term;
    lastIndex = header.last;
  }
  if (lastIndex === undefined || lastIndex < body.from_index) return undefined;
  for (const batch of batches) run.push(batch);
  return lastIndex;
}

function headerOf(bytes: Uint8Array): BatchHeader | undefined {
  try {
    return batchHeader(bytes);
  } catch (error) {
    if (error instanceof ConclaveError) return undefined;
    throw error;
  }
}
