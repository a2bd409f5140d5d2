/** Messages between a node and its log-store, except those about snapshots, and the feed messages with entries. */
import { z } from 'zod';
import { limits } from '../limits.js';
import { SnapshotHead, SnapshotId } from '../snapshot.js';
import { Bytes, Count, GroupUid, Incarnation, LogIndex, PeerId, Session, StoreId, Term } from '../types.js';
import { append, Batches, ConfigurationEntries, define, frame, group, own, TermRun, traced } from './fields.js';

export const logStoreMessages = {
  'log-store.hello': define(
    'node',
    'asks which run of the log-store this is, before opening it',
    z.object({ ...group, nonce: Incarnation }),
  ),
  'node.welcome': define(
    'log-store',
    'reply to `hello`: its incarnation and the current session; also sent once when a log-store starts',
    z.object({ ...group, incarnation: Incarnation, session: Session }),
  ),
  'log-store.open': define(
    'node',
    'opens a new session; repeating the nonce is the same opening. Refused unless `incarnation` is of this run and `after_session` the current session, so that a late repeat opens nothing',
    z.object({ ...group, nonce: Incarnation, incarnation: Incarnation, after_session: Session }),
  ),
  'node.opened': define(
    'log-store',
    'the session is open, and the durable state. Sent after the running write',
    z.object({
      ...own,
      nonce: Incarnation,
      incarnation: Incarnation,
      group_uid: GroupUid,
      term: Term,
      voted_for: z.union([PeerId, z.literal('')]),
      /** Entries up to here are replaced by a snapshot. `base_term`: the term of the last of these. */
      base_index: LogIndex,
      base_term: Term,
      last_index: LogIndex,
      /** A commit index that was once known; entries at or below it are committed. */
      commit_index: LogIndex,
      term_runs: z.array(TermRun),
      configurations: ConfigurationEntries,
      /** The current snapshot. */
      snapshot: z.object({ snapshot_id: SnapshotId, head: SnapshotHead }).nullable(),
      /** A snapshot that a leader has begun to install, and how many of its chunks are stored. */
      installing: z.object({ snapshot_id: SnapshotId, stored: Count }).nullable(),
      /** An operator has made the peer read-only. */
      read_only: z.boolean(),
      /** The entry after which the state was found to differ from the majority's, and not repaired since; undefined: none. */
      diverged_at: LogIndex.optional(),
      /** The side file of the last write is missing or damaged: it is unknown whether all synced data exist. */
      unverified: z.boolean().optional(),
    }),
  ),
  'node.fenced': define(
    'log-store',
    'refuses a message of an older session (EFENCED)',
    z.object({ ...group, store_id: StoreId, refused_session: Session, session: Session }),
  ),
  'feed.append': define(
    'node',
    'a leader’s new entries, to its log-store; caught-up followers receive it too',
    z.object({
      ...append,
      /** The term of the entry before the first one; 0: there is none. */
      prev_term: Term,
    }),
  ),
  'log-store.append': define(
    'node',
    'entries to store, possibly none: `verified_index` must be acknowledged in any case',
    z.object(append),
  ),
  'replicator.append': define(
    'node',
    'the positions of a leader’s new entries; with their content only while the replicators have to send it to a target',
    z.object({
      ...own,
      ...frame,
      term: Term,
      commit_index: LogIndex,
      /** Of each batch: its entries, and its bytes. */
      runs: z.array(z.object({ first_index: LogIndex, last_index: LogIndex, bytes: Count })).max(limits.appendBatches),
      /** As many as runs, or none. */
      batches: Batches,
      ...traced,
    }),
  ),
  'log-store.vote': define(
    'node',
    'term and vote to store, before they are sent',
    z.object({ ...own, ...frame, term: Term, voted_for: z.union([PeerId, z.literal('')]) }),
  ),
  'feed.stored': define(
    'log-store',
    'to the leader’s ballot-box and replicators: this peer’s log is synced and matches the leader’s up to `match_index`',
    z.object({
      ...group,
      group_uid: GroupUid,
      peer_id: PeerId,
      store_id: StoreId,
      session: Session,
      seq: Count,
      leader_id: PeerId,
      leader_term: Term,
      match_index: LogIndex,
    }),
  ),
  'log-store.reset': define(
    'node',
    'an operator makes this peer continue without the others: in one write a new history, a new term without a vote, and the entry with the remaining members, after the last one',
    z.object({
      ...own,
      ...frame,
      /** The old history, and the one that replaces it. */
      old_group_uid: GroupUid,
      group_uid: GroupUid,
      /** Above that of the entry: no peer with the same reset writes its entry in a term of an election. */
      term: Term,
      /** One entry, a configuration, at the last index + 1, of a term between the stored one and the new one. */
      batch: Bytes,
    }),
  ),
  'log-store.read_only': define(
    'node',
    'whether an operator has made this peer read-only, and where its state diverged; stored, and reported in `opened`',
    z.object({
      ...own,
      ...frame,
      read_only: z.boolean(),
      /** See `opened`; 0: the state is not known to differ; undefined: unchanged. */
      diverged_at: LogIndex.optional(),
    }),
  ),
  'node.disk': define(
    'log-store',
    'the free space of the disk, and what is wrong with the storage: every second',
    z.object({
      ...own,
      free_bytes: Count,
      /** Below the reserve, or it was and is not well above it yet. */
      is_low: z.boolean(),
      /** Why the log-store is unhealthy, though it replies; undefined: it is healthy, or an older build. */
      problem: z.string().optional(),
    }),
  ),
  'log-store.read': define(
    'node, replicator',
    'asks for entries from an index on. A replicator names its term, and is refused when the store knows another (`leader_term` 0: a node reads its own log)',
    z.object({
      ...own,
      request_id: Count,
      reader: z.enum(['node', 'replicator']),
      leader_term: Term,
      from_index: LogIndex,
      max_bytes: Count,
    }),
  ),
  'node.entries': define(
    'log-store',
    'reply to `read`; the batches begin with the one that holds `from_index`',
    z.object({
      ...own,
      request_id: Count,
      from_index: LogIndex,
      /** The term of the entry before the first batch's; 0: there is none. */
      prev_term: Term,
      batches: Batches,
      /** Why there are none; empty: there are some. `compacted`: a snapshot has replaced the entry. */
      refusal: z.enum(['', 'stale_term', 'beyond_end', 'compacted']),
    }),
  ),
  'replicator.entries': define(
    'log-store',
    'reply to `read`, in as many messages as needed; the batches begin with the one that holds `from_index`, prev_term is of the same read',
    z.object({
      ...own,
      request_id: Count,
      from_index: LogIndex,
      prev_term: Term,
      batches: Batches,
      refusal: z.enum(['', 'stale_term', 'beyond_end', 'compacted']),
      /** Whether another reply to the same read follows, with the entries after these. */
      more: z.boolean(),
    }),
  ),
  'log-store.confirm': define(
    'node',
    'a leader asks whether its session is still the current one, for the reads of this round',
    z.object({ ...own, term: Term, tick_id: Count }),
  ),
  'node.in_force': define(
    'log-store',
    'reply to `confirm`: no newer session has been opened',
    z.object({ ...own, term: Term, tick_id: Count }),
  ),
} as const;
