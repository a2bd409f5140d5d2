/** Builds the messages of a log-store. */
import {
  asLogIndex,
  asTerm,
  type Body,
  type Frame,
  limits,
  type Message,
  type Session,
  type StoreId,
  supportedLevels,
  type Term,
} from '@conclave/protocol';
import type { LogStoreOptions } from './inputs-and-effects.js';
import { type KeptSnapshot, type LogState, remembered, storeIdOf } from './log-state.js';
import type { ChunkRequest, ReadRequest } from './read-checks.js';
import type { Row } from './storage-operations.js';
import type { Acknowledgement } from './write-batch.js';

/** To the node: the run of the log-store, and the current session. */
export function welcome({ groupId, incarnation }: LogStoreOptions, session: Session): Message {
  return { name: 'node.welcome', body: { group_id: groupId, incarnation, session } };
}

/** To the node: another node has opened a newer session. */
export function fenced(
  { groupId }: LogStoreOptions,
  refused: { store_id: StoreId; session: Session },
  session: Session,
): Message {
  const { store_id, session: refused_session } = refused;
  return { name: 'node.fenced', body: { group_id: groupId, store_id, refused_session, session } };
}

/** To the node: its link is synced up to this frame. */
export function ack(
  options: LogStoreOptions,
  storeId: StoreId,
  session: Session,
  synced: Frame,
  tick?: { readonly taken_seq: number; readonly asked_seq: number },
): Message {
  const { groupId, incarnation, levels = supportedLevels } = options;
  const { link, seq } = synced;
  const body: Body<'node.ack'> = {
    group_id: groupId,
    store_id: storeId,
    session,
    link,
    seq,
    actor: 'log-store',
    incarnation,
    levels,
  };
  if (tick !== undefined) {
    body.taken_seq = tick.taken_seq;
    body.asked_seq = tick.asked_seq;
  }
  return { name: 'node.ack', body };
}

/** To the leader: this peer's log matches up to an index, and is synced. */
export function stored(options: LogStoreOptions, storeId: StoreId, acknowledgement: Acknowledgement): Message {
  const { leaderId, leaderTerm, groupUid, session, seq, matchIndex } = acknowledgement;
  return {
    name: 'feed.stored',
    body: {
      group_id: options.groupId,
      group_uid: groupUid,
      peer_id: options.peerId,
      store_id: storeId,
      session,
      seq,
      leader_id: leaderId,
      leader_term: leaderTerm,
      match_index: matchIndex,
    },
  };
}

/** To the reader: batches and the term of the entry before them. */
export function entries(request: ReadRequest, rows: readonly Row[], prevTerm: Term, more: boolean): Message {
  return entriesReply(request, { prev_term: prevTerm, batches: rows.map(({ value }) => value), refusal: '' }, more);
}

/** To the reader: why there are no entries. */
export function noEntries(request: ReadRequest, refusal: 'stale_term' | 'beyond_end' | 'compacted'): Message {
  return entriesReply(request, { prev_term: asTerm(0), batches: [], refusal });
}

function entriesReply(
  { group_id, store_id, session, request_id, from_index, reader }: ReadRequest,
  found: Pick<Body<'node.entries'>, 'prev_term' | 'batches' | 'refusal'>,
  more = false,
): Message {
  const body = { group_id, store_id, session, request_id, from_index, ...found };
  return reader === 'node' ? { name: 'node.entries', body } : { name: 'replicator.entries', body: { ...body, more } };
}

/** To the reader: a chunk of the current snapshot. */
export function chunk(request: ChunkRequest, { snapshot_id, head }: KeptSnapshot, bytes: Uint8Array): Message {
  return chunkReply(request, { snapshot_id, head, chunk: bytes, refusal: '' });
}

/** To the reader: why there is no chunk. */
export function noChunk(request: ChunkRequest, refusal: 'none' | 'replaced' | 'stale_term'): Message {
  return chunkReply(request, { snapshot_id: request.snapshot_id, head: null, chunk: new Uint8Array(), refusal });
}

function chunkReply(
  { group_id, store_id, session, request_id, number, reader }: ChunkRequest,
  found: Pick<Body<'node.snapshot_chunk'>, 'snapshot_id' | 'head' | 'chunk' | 'refusal'>,
): Message {
  return { name: `${reader}.snapshot_chunk`, body: { group_id, store_id, session, request_id, number, ...found } };
}

/** To the node: the free space of the disk. @param problem why the log-store is unhealthy, though it replies; empty: it is healthy */
export function disk(
  { groupId }: LogStoreOptions,
  storeId: StoreId,
  session: Session,
  room: { readonly freeBytes: number; readonly isLow: boolean },
  problem: string,
): Message {
  const own = { group_id: groupId, store_id: storeId, session };
  const body: Body<'node.disk'> = { ...own, free_bytes: room.freeBytes, is_low: room.isLow };
  if (problem !== '') body.problem = problem;
  return { name: 'node.disk', body };
}

/** To the node: its session is open, and the durable state. */
export function opened(options: LogStoreOptions, durable: LogState, isUnverified = false): Message {
  const { groupUid, term, votedFor, session, nonce, base, lastIndex, snapshot, incoming } = durable;
  const commitIndex = asLogIndex(Math.min(durable.commitIndex, lastIndex));
  const body: Body<'node.opened'> = {
    group_id: options.groupId,
    store_id: storeIdOf(durable),
    session,
    nonce,
    incarnation: options.incarnation,
    group_uid: groupUid,
    term,
    voted_for: votedFor,
    base_index: base.index,
    base_term: base.term,
    last_index: lastIndex,
    commit_index: commitIndex,
    term_runs: durable.termRuns.slice(-limits.reportedTermRuns),
    configurations: remembered(durable.configurations, commitIndex),
    snapshot: snapshot === undefined ? null : { snapshot_id: snapshot.snapshot_id, head: snapshot.head },
    installing:
      incoming?.source === 'installed' ? { snapshot_id: incoming.snapshot_id, stored: incoming.stored } : null,
    read_only: durable.readOnly,
    ...(durable.divergedAt === 0 ? {} : { diverged_at: durable.divergedAt }),
    ...(isUnverified ? { unverified: true } : {}),
  };
  return { name: 'node.opened', body };
}
