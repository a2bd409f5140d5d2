/**
 * How a group's log changes while the chunks of a snapshot arrive, and when the snapshot becomes current (Raft thesis, section
 * 5.1).
 *
 * A chunk that is not the next one is dropped, and its link continues: unlike entries, a snapshot can be restarted at any time,
 * and a fault in one must not stop the log.
 */
import { asLogIndex, type Body, decodeSnapshotChunk, limits, snapshotChecksum, type TermRun } from '@conclave/protocol';
import { type Base, type IncomingSnapshot, type KeptSnapshot, type LogState, remembered, termAt } from './log-state.js';
import type { Garbage } from './storage-operations.js';

type ChunkBody = Body<'log-store.snapshot_chunk'>;
type EndBody = Body<'log-store.snapshot_end'>;

/** The place of a chunk: `begin`: in a new slot; `next`: after the stored chunks; otherwise it has none. */
export type ChunkPlace = 'begin' | 'next' | 'snapshot_repeat' | 'snapshot_gap';

export function placeOfChunk({ incoming, snapshot }: LogState, { snapshot_id, source, number }: ChunkBody): ChunkPlace {
  if (incoming?.snapshot_id === snapshot_id && incoming.source === source) {
    if (number === incoming.stored) return 'next';
    return number < incoming.stored ? 'snapshot_repeat' : 'snapshot_gap';
  }
  if (number > 0) return 'snapshot_gap';
  return snapshot?.snapshot_id === snapshot_id ? 'snapshot_repeat' : 'begin';
}

/** Whether the chunk's checksum, index and number are right. */
export function chunkIsIntact({ chunk, number }: ChunkBody): boolean {
  if (chunk.length > limits.snapshotChunkBytes) return false;
  try {
    return decodeSnapshotChunk(chunk).number === number;
  } catch {
    return false;
  }
}

/** The state with a chunk that begins a snapshot, or is the next one of it. */
export function withChunk(state: LogState, { snapshot_id, source, number, chunk }: ChunkBody): LogState {
  const begun =
    number > 0 && state.incoming !== undefined
      ? state.incoming
      : { slot: state.lastSlot + 1, snapshot_id, source, stored: 0, bytes: 0, checksum: 0 };
  const incoming: IncomingSnapshot = {
    ...begun,
    stored: begun.stored + 1,
    bytes: begun.bytes + chunk.length,
    checksum: snapshotChecksum(chunk, begun.checksum),
  };
  return { ...state, incoming, lastSlot: Math.max(state.lastSlot, incoming.slot) };
}

/** Why a snapshot whose last chunk has arrived is invalid; empty: it is valid. */
export function flawOf(state: LogState, { snapshot_id, source, head }: EndBody): string {
  const { incoming, snapshot } = state;
  if (incoming?.snapshot_id !== snapshot_id || incoming.source !== source) {
    return snapshot?.snapshot_id === snapshot_id ? 'snapshot_counts_already' : 'snapshot_unknown';
  }
  const { stored, bytes, checksum } = incoming;
  const isWhole = stored === head.chunks && bytes === head.bytes && checksum === head.checksum;
  if (!isWhole) return 'snapshot_not_whole';
  if (head.index < (snapshot?.head.index ?? 0)) return 'snapshot_older';
  // Only entries that may still be truncated are replaced.
  const mayReplace = source === 'installed' && head.index > state.commitIndex;
  return mayReplace || holdsLastEntry(state, head) ? '' : 'snapshot_of_other_log';
}

/** Whether the log has the last entry of the snapshot. */
function holdsLastEntry(state: LogState, head: KeptSnapshot['head']): boolean {
  return termAt(state, head.index) === head.term;
}

/** Whether the snapshot replaces the whole log, as it is of another log or reaches beyond the end of this one. */
export function replacesLog(state: LogState, { head }: EndBody): boolean {
  return !holdsLastEntry(state, head);
}

/** The state with the complete, valid snapshot. The log begins after it, or at the index up to which it is compacted. */
export function withSnapshot(state: LogState, body: EndBody): LogState {
  const { head, source, snapshot_id } = body;
  const slot = state.incoming?.slot ?? 0;
  const commitIndex = asLogIndex(Math.max(state.commitIndex, head.index));
  const counted = { ...state, snapshot: { slot, snapshot_id, head }, incoming: undefined, commitIndex };
  if (source === 'taken') {
    const to = asLogIndex(Math.max(Math.min(body.compact_to, head.index), state.base.index));
    const configurations = remembered(state.configurations, commitIndex);
    return { ...from(counted, { index: to, term: termAt(state, to) ?? state.base.term }), configurations };
  }
  const base = { index: head.index, term: head.term };
  if (replacesLog(state, body)) {
    return { ...counted, base, lastIndex: base.index, termRuns: [], configurations: head.configurations };
  }
  const later = state.configurations.filter(({ index }) => index > head.index);
  return { ...from(counted, base), configurations: [...head.configurations, ...later] };
}

/** The state with its base moved up to an entry of the log. */
function from(state: LogState, base: Base): LogState {
  if (base.index === state.base.index) return state;
  const first = asLogIndex(base.index + 1);
  const { termRuns, lastIndex } = state;
  const kept = termRuns.filter((_, at) => (termRuns[at + 1]?.first ?? lastIndex + 1) > first);
  const [run, ...later] = kept;
  const begin = (run: TermRun): TermRun => (run.first >= first ? run : { ...run, first });
  return { ...state, base, termRuns: run === undefined ? [] : [begin(run), ...later] };
}

/** The state without the incomplete snapshot. */
export function withoutIncoming(state: LogState): LogState {
  return state.incoming === undefined ? state : { ...state, incoming: undefined };
}

/** The garbage of this log. */
export function garbageOf({ base, lastSlot, snapshot, incoming }: LogState): Garbage {
  const keptSlots = [snapshot?.slot, incoming?.slot].filter((slot) => slot !== undefined);
  return { upTo: base.index, lastSlot, keptSlots };
}

/** Whether rows that were needed before may be garbage now. */
export function leavesGarbage(before: LogState, after: LogState): boolean {
  const [was, is] = [garbageOf(before), garbageOf(after)];
  return was.upTo !== is.upTo || was.keptSlots.join() !== is.keptSlots.join();
}
