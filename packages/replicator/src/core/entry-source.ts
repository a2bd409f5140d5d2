/**
 * Where one replicator gets entries from: the recent batches that all replicators share or, for a target that is further
 * behind, the log-store.
 *
 * Owns: the read in progress, and the batches that were read and are not sent yet, at most twice `limits.replicatorReadBytes`. Does
 * not own the target's positions.
 *
 * Invariants:
 * 1. At most one read is in progress; its replies are accepted in order, replies to other reads are dropped.
 * 2. The returned entries are those of the leader's log in its term: a read names the term, and the log-store refuses it in another
 *    term.
 * 3. The term of the entry before the returned ones comes from the same source as these.
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
import type { LeaderTerm } from './leader-term.js';

/** The entries of one message. */
export interface EntriesToSend {
  readonly prev: Position;
  readonly last: Position;
  readonly batches: Uint8Array[];
  readonly bytes: number;
}

interface Read {
  readonly requestId: number;
  /** The first index of the next reply. */
  fromIndex: LogIndex;
  /** When the read was sent, or its last reply was received. */
  latestMs: number;
  /** Why the log-store refused the read; empty: it did not. */
  refused: '' | 'beyond_end' | 'other';
}

export class EntrySource {
  private fetched: BatchRun | undefined;
  private read: Read | undefined;

  constructor(private readonly leaderTerm: LeaderTerm) {}

  /** @returns the term of an entry; undefined: only the log-store knows it */
  termAt(index: LogIndex): Term | undefined {
    return this.leaderTerm.termAt(index) ?? this.fetched?.termAt(index);
  }

  /**
   * Collects the batches of one message, beginning with the one that contains `nextIndex`. The first batch may have any size.
   * @returns the batches; undefined: the first one is not in memory
   */
  collect(nextIndex: LogIndex): EntriesToSend | undefined {
    const { cache } = this.leaderTerm;
    const inCache = cache.placeOf(nextIndex);
    const isCached = inCache !== undefined && cache.at(inCache)?.payload !== undefined;
    // The shared batches contain the entry, or the target has all batches that were read from the log-store: those are no longer
    // needed.
    if (isCached || this.fetched?.placeOf(nextIndex) === undefined) this.fetched = undefined;
    const run = isCached ? cache : this.fetched;
    let place = isCached ? inCache : this.fetched?.placeOf(nextIndex);
    if (run === undefined || place === undefined) return undefined;
    const first = run.at(place);
    if (first?.payload === undefined) return undefined;
    const batches = [first.payload];
    let { header } = first;
    let bytes = first.payload.length;
    while (batches.length < limits.appendBatches) {
      place += 1;
      const next = run.at(place);
      if (next?.payload === undefined || bytes + next.payload.length > limits.appendBytes) break;
      batches.push(next.payload);
      bytes += next.payload.length;
      header = next.header;
    }
    const prev = { index: (first.header.first - 1) as LogIndex, term: first.prevTerm };
    return { prev, last: { index: header.last, term: header.term }, batches, bytes };
  }

  /**
   * Reads the next batches before all that were read are sent, so that neither the disk nor the target waits for the other. Drops the
   * batches before `nextIndex`, which were sent.
   */
  readAhead(nextIndex: LogIndex, nowMs: number): void {
    const { fetched } = this;
    if (fetched === undefined) return;
    fetched.evictBefore(nextIndex);
    const unsent = fetched.bytesFrom(nextIndex);
    const end = fetched.lastIndex;
    if (unsent === undefined || end === undefined || end >= this.leaderTerm.lastIndex) return;
    const afterEnd = (end + 1) as LogIndex;
    if (unsent < limits.replicatorReadBytes && !this.isCached(afterEnd)) {
      this.ask(afterEnd, limits.replicatorReadBytes, nowMs);
    }
  }

  private isCached(index: LogIndex): boolean {
    const { cache } = this.leaderTerm;
    const place = cache.placeOf(index);
    return place !== undefined && cache.at(place)?.payload !== undefined;
  }

  /** The leader's own log-store has synced entries. @returns whether a read that it refused as beyond its end can be repeated */
  onReadable(): boolean {
    if (this.read?.refused !== 'beyond_end') return false;
    this.read = undefined;
    return true;
  }

  /** Whether one read would return all entries of the log from `nextIndex` on. */
  isNearEnd(nextIndex: LogIndex): boolean {
    const { cache, lastIndex } = this.leaderTerm;
    return nextIndex > lastIndex || (cache.bytesFrom(nextIndex) ?? Infinity) <= limits.replicatorReadBytes;
  }

  /** @returns the positions of the leader's batch that begins with `nextIndex`, also without its payload; undefined: unknown */
  positionsOf(nextIndex: LogIndex): Omit<EntriesToSend, 'batches'> | undefined {
    const { cache } = this.leaderTerm;
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

  /** Reads the batches from `fromIndex` on, unless a read is in progress. */
  ask(fromIndex: LogIndex, maxBytes: number, nowMs: number): void {
    if (this.read !== undefined) return;
    const { leaderTerm } = this;
    const requestId = leaderTerm.output.nextRequestId();
    this.read = { requestId, fromIndex, latestMs: nowMs, refused: '' };
    const body = {
      ...leaderTerm.identity,
      request_id: requestId,
      reader: 'replicator' as const,
      leader_term: leaderTerm.term,
      from_index: fromIndex,
      max_bytes: maxBytes,
    };
    leaderTerm.send(leaderTerm.peerId, { name: 'log-store.read', body });
  }

  expects(body: Body<'replicator.entries'>): boolean {
    return (
      this.read?.requestId === body.request_id && this.read.fromIndex === body.from_index && this.read.refused === ''
    );
  }

  /**
   * Accepts a reply to the read in progress. A refused read ends with the next tick. A read of compacted entries ends at once, and a
   * read beyond the synced end of the log ends with the next sync.
   */
  onEntries(
    body: Body<'replicator.entries'>,
    nowMs: number,
  ): 'accepted' | 'compacted' | 'read_refused' | 'malformed_entries' {
    if (body.refusal === 'compacted') {
      this.read = undefined;
      return 'compacted';
    }
    if (body.refusal !== '' || body.batches.length === 0) {
      if (this.read !== undefined) this.read.refused = body.refusal === 'beyond_end' ? 'beyond_end' : 'other';
      return 'read_refused';
    }
    // If the new batches follow those that were read before, they are added to them.
    const isNext = this.fetched?.lastIndex === body.from_index - 1;
    const run = isNext && this.fetched !== undefined ? this.fetched : new BatchRun();
    const last = readInto(run, body, this.leaderTerm.term);
    if (last === undefined) {
      if (this.read !== undefined) this.read.refused = 'other';
      return 'malformed_entries';
    }
    this.fetched = run;
    if (this.read === undefined || !body.more) this.read = undefined;
    else Object.assign(this.read, { fromIndex: last + 1, latestMs: nowMs });
    return 'accepted';
  }

  /** Drops a read that was refused or lost, so that it is repeated. */
  onTick(nowMs: number): void {
    if (this.read === undefined) return;
    const isOverdue = nowMs - this.read.latestMs >= this.leaderTerm.times.electionTimeoutMs / 2;
    if (this.read.refused !== '' || isOverdue) this.read = undefined;
  }
}

/**
 * Adds the batches of a reply to the run.
 * @returns the last index; undefined: nothing is added, because the batches do not contain `from_index`, do not follow each other and
 * the run, or have terms that decrease or exceed `term`
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
    batches.push({ header, size: bytes.length, payload: bytes, prevTerm });
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
