/** Messages between peers about replication, reads and elections. */
import { z } from 'zod';
import { Count, GroupUid, LogIndex, PeerId, Session, StoreId, Term } from '../types.js';
import { Acknowledged, Batches, build, define, group, ReplaceableAfterMs, VoteKind } from './fields.js';

export const peerMessages = {
  'node.append_entries': define(
    'replicator of the leader',
    'Raft’s AppendEntries; without batches a probe or heartbeat',
    z.object({
      ...group,
      group_uid: GroupUid,
      leader_id: PeerId,
      term: Term,
      /** The store that the target must have. */
      target_store_id: StoreId,
      request_id: Count,
      prev_index: LogIndex,
      prev_term: Term,
      leader_commit: LogIndex,
      tick_id: Count,
      /** Of the same tick. */
      replaceable_after_ms: ReplaceableAfterMs.optional(),
      /** Whether the target is to subscribe to the leader’s `feed.append`, as it is caught up. */
      hear_feed: z.boolean(),
      batches: Batches,
      /** The index that the target's store has acknowledged, to this leader or, committed, to earlier ones: a store with less went back. */
      acknowledged_index: LogIndex.optional(),
      /** The same of all stores, committed, for the next leader; with heartbeats. */
      acknowledged: Acknowledged.optional(),
    }),
  ),
  'replicator.rejected': define(
    'node of a follower',
    'the entry before does not match (or it is another store, or read-only): where to try next',
    z.object({
      ...group,
      group_uid: GroupUid,
      peer_id: PeerId,
      store_id: StoreId,
      term: Term,
      request_id: Count,
      /** `wants_snapshot`: the entries are right, but the state needs a snapshot (level 1 and above). */
      reason: z.enum(['mismatch', 'store', 'busy', 'read_only', 'wants_snapshot']),
      last_index: LogIndex,
      /** The term of its entry at `prev_index` and that term's first index; 0: it has no entry there. */
      conflict_term: Term,
      conflict_index: LogIndex,
    }),
  ),
  'feed.echo': define(
    'node of a follower',
    'to the leader’s ballot-box and replicators: this peer follows the leader in this term, as of this tick',
    z.object({
      ...group,
      group_uid: GroupUid,
      peer_id: PeerId,
      store_id: StoreId,
      leader_id: PeerId,
      leader_term: Term,
      tick_id: Count,
      /** The latest tick after which its log-store was still in its session; 0: none. Leases are counted by it. */
      session_tick_id: Count,
      /** Whether it is subscribed to the leader’s `feed.append`. */
      hears_feed: z.boolean(),
      /** Whether it is read-only. */
      read_only: z.boolean(),
      /** How long it grants no vote after it has received a tick; undefined: an older version. */
      election_timeout_ms: Count.optional(),
      ...build,
      /** Whether it has stopped applying, and must not lead. */
      cannot_lead: z.boolean().optional(),
      /** Whether one of its own actors is silent, so that it does not campaign. */
      lacks_actor: z.boolean().optional(),
      /** Whether it has not applied what it knew to be committed a tick ago, so that it could not serve at once as a leader. */
      unapplied: z.boolean().optional(),
      /** Whether it answers `node.read_tick`; undefined: an older version, which does not. */
      answers_read_ticks: z.boolean().optional(),
    }),
  ),
  'node.read_tick': define(
    'node of the leader',
    'a tick for the reads that wait, sent to the nodes of the members directly: a follower echoes it like the tick of a heartbeat',
    z.object({
      ...group,
      group_uid: GroupUid,
      leader_id: PeerId,
      term: Term,
      target_store_id: StoreId,
      tick_id: Count,
      /** Of the same tick, as in `append_entries`. */
      replaceable_after_ms: ReplaceableAfterMs.optional(),
    }),
  ),
  'node.read_index': define(
    'node of a follower',
    'asks for the current commit index, for linearizable reads at this peer; repeated on its ticks until there is a reply',
    z.object({
      ...group,
      group_uid: GroupUid,
      peer_id: PeerId,
      /** Of the asking peer; requests of an earlier one are not waited for any more. */
      session: Session,
      request_id: Count,
      /** Whether the leader’s lease suffices as a confirmation. */
      by_lease: z.boolean(),
    }),
  ),
  'node.read_index_answer': define(
    'node of the leader',
    'reply to `read_index`: the commit index at a moment after the request; before that moment no client received the result of a later entry',
    z.object({
      ...group,
      group_uid: GroupUid,
      peer_id: PeerId,
      term: Term,
      session: Session,
      request_id: Count,
      read_index: LogIndex,
      /** The term of that entry: a log that has it with this term has everything that is committed up to there. */
      index_term: Term,
    }),
  ),
  'node.higher_term': define(
    'node',
    'refuses an older leader: the sender’s term is higher',
    z.object({ ...group, group_uid: GroupUid, peer_id: PeerId, store_id: StoreId, term: Term }),
  ),
  'node.request_vote': define(
    'node of a candidate',
    'asks for a pre-vote or vote',
    z.object({
      ...group,
      group_uid: GroupUid,
      candidate_id: PeerId,
      candidate_store_id: StoreId,
      term: Term,
      kind: VoteKind,
      election_id: Count,
      last_index: LogIndex,
      last_term: Term,
      /** The leader itself ordered it to campaign: the leader’s lease does not count against it. */
      transfer: z.boolean(),
      /** The acknowledged indexes that the candidate knows: a voter whose store has less does not vote. */
      acknowledged: Acknowledged.optional(),
    }),
  ),
  'ballot-box.vote_response': define(
    'node of a voter',
    'grants or refuses',
    z.object({
      ...group,
      group_uid: GroupUid,
      peer_id: PeerId,
      store_id: StoreId,
      term: Term,
      kind: VoteKind,
      election_id: Count,
      /** The store of the candidate that it replies to: while a store is replaced, both campaign under one name. */
      candidate_store_id: StoreId,
      granted: z.boolean(),
    }),
  ),
} as const;
