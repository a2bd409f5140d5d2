/** What a log-store says, put into messages. */
import {
  asLogIndex,
  asTerm,
  type Body,
  type ConfigurationEntry,
  type Frame,
  invariant,
  limits,
  type Message,
  type Session,
  type StoreId,
  type Term,
} from '@conclave/protocol';
import type { Acknowledgement } from './gathered-write.js';
import type { LogStoreOptions } from './inputs-and-effects.js';
import type { ReadRequest } from './log-reads.js';
import { firstIndex, type LogState } from './log-state.js';
import type { Row } from './operations.js';

/** To the node: which run of the log-store this is, and the session in force. */
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
export function ack(options: LogStoreOptions, storeId: StoreId, session: Session, synced: Frame): Message {
  const { groupId, incarnation } = options;
  const own = { group_id: groupId, store_id: storeId, session };
  return { name: 'node.ack', body: { ...own, ...synced, actor: 'log-store', incarnation } };
}

/** To the leader: this peer's log is the leader's up to an index, and synced. */
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

/** To who reads: batches and the term of the entry before them. */
export function entries(request: ReadRequest, rows: readonly Row[], prevTerm: Term): Message {
  return answer(request, { prev_term: prevTerm, batches: rows.map(({ value }) => value), refusal: '' });
}

/** To who reads: why there are none. */
export function noEntries(request: ReadRequest, refusal: 'stale_term' | 'beyond_end'): Message {
  return answer(request, { prev_term: asTerm(0), batches: [], refusal });
}

function answer(
  { group_id, store_id, session, request_id, from_index, reader }: ReadRequest,
  found: Pick<Body<'node.entries'>, 'prev_term' | 'batches' | 'refusal'>,
): Message {
  return { name: `${reader}.entries`, body: { group_id, store_id, session, request_id, from_index, ...found } };
}

/** To the node: its session is open, and this is durable. */
export function opened(options: LogStoreOptions, durable: LogState): Message {
  const { storeId, groupUid, term, votedFor, session, nonce, lastIndex } = durable;
  invariant(storeId !== '', 'a store that is open has its id');
  const commitIndex = asLogIndex(Math.min(durable.commitIndex, lastIndex));
  const body: Body<'node.opened'> = {
    group_id: options.groupId,
    store_id: storeId,
    session,
    nonce,
    incarnation: options.incarnation,
    group_uid: groupUid,
    term,
    voted_for: votedFor,
    first_index: firstIndex(durable),
    last_index: lastIndex,
    commit_index: commitIndex,
    term_runs: durable.termRuns.slice(-limits.reportedTermRuns),
    configurations: reported(durable.configurations, commitIndex),
  };
  return { name: 'node.opened', body };
}

/**
 * The first configuration, which names the founders; the last committed ones; and all that may yet be truncated.
 * A group that has changed for years must still fit a message.
 */
function reported(entries: readonly ConfigurationEntry[], commitIndex: number): ConfigurationEntry[] {
  const committed = entries.filter(({ index }) => index <= commitIndex).length;
  const from = Math.max(committed - limits.reportedConfigurations, 0);
  return entries.filter((_, at) => at === 0 || at >= from);
}
