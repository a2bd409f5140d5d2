/**
 * Every message between actors: its sender, its recipient, its purpose and its schema. The key is `<recipient>.<message>`, as in its
 * subject. `docs/subjects.md` is generated from this table.
 *
 * Every message has its group. Messages among one peer's own actors have `store_id` and `session` (`own`), those on an ordered link
 * their place in it (`frame`), those between peers `group_uid` and their sender.
 */
import { z } from 'zod';
import { Configuration } from './configuration.js';
import { ErrorBody } from './errors.js';
import { BuildVersion, Levels } from './levels.js';
import { limits } from './limits.js';
import { SnapshotHead, SnapshotId } from './snapshot.js';
import {
  ActorKind,
  Bytes,
  Count,
  GroupId,
  GroupUid,
  Incarnation,
  LogIndex,
  PeerId,
  Session,
  StateDigest,
  StoreId,
  Term,
  Traceparent,
} from './types.js';

const group = { group_id: GroupId };
/** Among one peer's own actors. */
const own = { ...group, store_id: StoreId, session: Session };
/** The place in an ordered link from a node to one of its actors: `link` counts its restarts, `seq` counts from 1. */
const frame = { link: Count, seq: Count };
export const Frame = z.object(frame);
export type Frame = z.infer<typeof Frame>;

const Batches = z.array(Bytes).max(limits.appendBatches);
const ConfigurationEntries = z.array(z.object({ index: LogIndex, configuration: Configuration }));

/** Why a chunk of a snapshot is not returned: `none`: there is no snapshot; `replaced`: by a newer one. */
const SnapshotRefusal = z.enum(['', 'none', 'replaced', 'stale_term']);

/** A chunk as a log-store reads it. */
const snapshotChunk = {
  ...own,
  request_id: Count,
  snapshot_id: z.union([SnapshotId, z.literal('')]),
  head: SnapshotHead.nullable(),
  number: Count,
  /** As `SnapshotChunker` made it; empty if it is refused. */
  chunk: Bytes,
  refusal: SnapshotRefusal,
};

/** The build of a peer: the levels that all four of its actors support. The first version, which supports level 0, omits it. */
const build = {
  version: BuildVersion.optional(),
  /** Null: unknown, as an actor of the peer has not reported it. */
  levels: Levels.nullable().optional(),
  /** The highest version of commands that its state machine reads; undefined: 0. */
  command_version: Count.optional(),
};

/** The two rounds of an election: a pre-vote changes nothing at its voters (Raft thesis, section 9.6). */
export const VoteKind = z.enum(['pre_vote', 'vote']);
export type VoteKind = z.infer<typeof VoteKind>;

/** Entries from `first` up to the beginning of the next run have `term`. */
export const TermRun = z.object({ first: LogIndex, term: Term });
export type TermRun = z.infer<typeof TermRun>;

/** The state of a replicator. */
export const ReplicatorState = z.enum(['identify', 'probe', 'replicate', 'install', 'refused']);
export type ReplicatorState = z.infer<typeof ReplicatorState>;

/** The progress of one target of a leader's replicators. */
export const Progress = z.object({
  peer_id: PeerId,
  /** The target's store, as far as known; empty: never reported. */
  store_id: StoreId,
  state: ReplicatorState,
  match_index: LogIndex,
  next_index: LogIndex,
  in_flight: Count,
  /** Since the target last replied; -1: never. */
  silent_ms: z.number().int().min(-1),
  /** Since its log-store last acknowledged that it has stored everything it was sent; -1: never; undefined: an older version. */
  stored_ms: z.number().int().min(-1).optional(),
  /**
   * Of a new peer that catches up: it receives new entries as members do, and acknowledges them as soon. `false` for all others, members
   * too: for these, compare `match_index` with the leader's `last_index`.
   */
  caught_up: z.boolean(),
  /** Of a peer that catches up: the writers are faster than it, and are to be throttled for a moment. */
  wants_throttle: z.boolean().optional(),
  /**
   * It lacks entries, and does not receive new ones as members do that are caught up, or acknowledges them later; or it has not applied
   * what it has. Undefined: it could lead at once.
   */
  behind: z.boolean().optional(),
  /** Why it is refused; empty: it is not. */
  refusal: z.enum(['', 'ENOTEMPTY', 'ESTORE']),
  /** It is read-only: an operator made it so, or its disk is full. */
  read_only: z.boolean(),
  /** Its election timeout; undefined: not reported yet, or an older version. */
  election_timeout_ms: Count.optional(),
  /** It has stopped applying, and must not lead: it cannot read an entry, or one of its processes is of an older version. */
  cannot_lead: z.boolean().optional(),
  /** One of its own actors is silent: it stores and votes, and does not campaign. */
  lacks_actor: z.boolean().optional(),
  /** It has not applied what was committed a tick earlier: as a leader it would let its clients wait. */
  unapplied: z.boolean().optional(),
  /** Its build, and the feature levels that it supports; undefined: not reported yet. */
  version: BuildVersion.optional(),
  levels: Levels.optional(),
  /** The highest version of commands that its state machine reads; undefined: 0, or not reported yet. */
  command_version: Count.optional(),
  /** Another store than the bound one that replies under its name, and how long the bound one has been silent. */
  found: z.object({ store_id: StoreId, group_uid: GroupUid, last_index: LogIndex, bound_silent_ms: Count }).optional(),
  /** The snapshot that is being sent to it, and how many of its chunks it has stored. */
  install: z.object({ index: LogIndex, chunks: Count, stored: Count, bytes: Count }).nullable(),
});
export type Progress = z.infer<typeof Progress>;

/** The committed index that each store is known to have acknowledged. */
const Acknowledged = z.array(z.object({ store_id: StoreId, index: LogIndex })).max(limits.acknowledgedStores);
export type Acknowledged = z.infer<typeof Acknowledged>;

const Target = z.object({
  peer_id: PeerId,
  /** The store to which the configuration binds the peer; empty: unknown, as it is new. */
  store_id: StoreId,
  /** Whether it is a new peer that catches up. */
  catching_up: z.boolean(),
});
export type Target = z.infer<typeof Target>;

/** The traces of the requests whose entries these are: `traceparent` of each, at most `limits.messageTraces`. */
const traced = { traces: z.array(Traceparent).max(limits.messageTraces).optional() };

const append = {
  ...own,
  ...frame,
  group_uid: GroupUid,
  leader_id: PeerId,
  leader_term: Term,
  /** Up to here the log is verified to match the leader's; returned in `stored` after the sync. */
  verified_index: LogIndex,
  /** All entries from here on are to be deleted first; 0: none. */
  truncate_from: LogIndex,
  /** The commit index that the node knows; a hint, stored beside the entries. */
  commit_index: LogIndex,
  batches: Batches,
  /** The log has everything that its leader has reported as committed, so that a log that was unverified when it was opened is verified. */
  verified: z.boolean().optional(),
  ...traced,
};

interface Definition<S extends z.ZodType> {
  readonly from: string;
  readonly purpose: string;
  readonly schema: S;
}

function define<S extends z.ZodType>(from: string, purpose: string, schema: S): Definition<S> {
  return { from, purpose, schema };
}

export const messages = {
  // ---- a node and its log-store ------------------------------------------------------------------
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
    'the free space of the disk: every few seconds, and when it becomes low or is no longer',
    z.object({
      ...own,
      free_bytes: Count,
      /** Below the reserve, or it was and is not well above it yet. */
      is_low: z.boolean(),
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

  // ---- snapshots ---------------------------------------------------------------------------------
  'log-store.snapshot_chunk': define(
    'node',
    'the next chunk of a snapshot that the node takes, or that its leader installs; number 0 begins a snapshot, and drops an incomplete one',
    z.object({
      ...own,
      ...frame,
      snapshot_id: SnapshotId,
      source: z.enum(['taken', 'installed']),
      number: Count,
      chunk: Bytes,
    }),
  ),
  'log-store.snapshot_end': define(
    'node',
    'all chunks have been sent: the snapshot is current from now on, and the log before it is compacted. An installed one replaces a log that does not hold its last entry',
    z.object({
      ...own,
      ...frame,
      snapshot_id: SnapshotId,
      source: z.enum(['taken', 'installed']),
      group_uid: GroupUid,
      term: Term,
      head: SnapshotHead,
      /** Entries up to here are no longer needed; at most the snapshot’s index. Of an installed one: that. */
      compact_to: LogIndex,
    }),
  ),
  'log-store.read_snapshot': define(
    'node, replicator',
    'asks for a chunk of the current snapshot. An empty id: of whichever that is',
    z.object({
      ...own,
      request_id: Count,
      reader: z.enum(['node', 'replicator']),
      /** As in `read`. */
      leader_term: Term,
      snapshot_id: z.union([SnapshotId, z.literal('')]),
      number: Count,
    }),
  ),
  'node.snapshot_chunk': define('log-store', 'answers `read_snapshot`', z.object(snapshotChunk)),
  'replicator.snapshot_chunk': define('log-store', 'answers `read_snapshot`', z.object(snapshotChunk)),
  'node.install_snapshot': define(
    'replicator of the leader',
    'Raft’s InstallSnapshot: one chunk, or none, which asks how many are stored',
    z.object({
      ...group,
      group_uid: GroupUid,
      leader_id: PeerId,
      term: Term,
      target_store_id: StoreId,
      request_id: Count,
      tick_id: Count,
      snapshot_id: SnapshotId,
      head: SnapshotHead,
      number: Count,
      chunk: Bytes,
    }),
  ),
  'replicator.snapshot_stored': define(
    'node of a follower',
    'reply to `install_snapshot` once that is synced: how many of its chunks are stored, in order',
    z.object({
      ...group,
      group_uid: GroupUid,
      peer_id: PeerId,
      store_id: StoreId,
      term: Term,
      request_id: Count,
      snapshot_id: SnapshotId,
      stored: Count,
      /** The snapshot is complete and current: the follower’s log begins after it. */
      installed: z.boolean(),
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

  // ---- a node and all of its actors --------------------------------------------------------------
  'log-store.tick': define('node', 'asks for an acknowledgement of the link', z.object({ ...own, ...frame })),
  'ballot-box.tick': define(
    'node',
    'the same; the ballot-box also repeats `elected` or `committed`',
    z.object({ ...own, ...frame, term: Term, leading: z.boolean() }),
  ),
  'replicator.tick': define(
    'node',
    'the same; from a leader it starts a round of heartbeats, which followers echo with `tick_id`',
    z.object({ ...own, ...frame, term: Term, leading: z.boolean(), tick_id: Count, commit_index: LogIndex }),
  ),
  'node.ack': define(
    'log-store, replicator, ballot-box',
    'all messages of this link up to `seq` are accepted (by a log-store: synced); 0: nothing of this link is known, restart it',
    z.object({
      ...own,
      ...frame,
      actor: ActorKind,
      incarnation: Incarnation,
      /** The levels that the actor supports; undefined: it is of the first version. */
      levels: Levels.optional(),
      /**
       * Reply to a tick: the last accepted message of this link, synced or not, and the last one sent according to the tick. Those in between
       * were lost, as messages arrive in order. Undefined: it is no reply to a tick, or of an older version.
       */
      taken_seq: Count.optional(),
      asked_seq: Count.optional(),
    }),
  ),

  // ---- a node and its replicators ----------------------------------------------------------------
  'replicator.lead': define(
    'node',
    'this peer leads `term`: replicate to these targets',
    z.object({
      ...own,
      ...frame,
      peer_id: PeerId,
      group_uid: GroupUid,
      term: Term,
      last_index: LogIndex,
      last_term: Term,
      commit_index: LogIndex,
      /** The latest configuration entry: a peer that has caught up has it. */
      configuration_index: LogIndex,
      targets: z.array(Target),
      /** What this peer knows of earlier terms. */
      acknowledged: Acknowledged.optional(),
    }),
  ),
  'replicator.targets': define(
    'node',
    'the targets have changed; those that are not listed are dropped',
    z.object({ ...own, ...frame, term: Term, configuration_index: LogIndex, targets: z.array(Target) }),
  ),
  'replicator.transfer': define(
    'node',
    'transfer the leadership: send `timeout_now` to this target once it has `last_index`; an empty name withdraws that',
    z.object({ ...own, ...frame, term: Term, peer_id: z.union([PeerId, z.literal('')]), last_index: LogIndex }),
  ),
  'replicator.stop': define('node', 'the peer no longer leads', z.object({ ...own, ...frame, term: Term })),
  'node.progress': define(
    'replicator',
    'the progress of each target; on every tick, and at once when one has caught up or is refused',
    z.object({
      ...own,
      term: Term,
      targets: z.array(Progress),
      /** The last tick that the replicators had received: the report is not newer than that. Undefined: an older version. */
      tick_id: Count.optional(),
      /** Whether a target is caught up and does not receive the leader’s feed: appends are to be sent with their content. */
      wants_content: z.boolean(),
    }),
  ),

  // ---- a node and its ballot-box -----------------------------------------------------------------
  'ballot-box.elect': define(
    'node',
    'count the votes of this election; the candidate’s own is included, if the configuration includes it',
    z.object({
      ...own,
      ...frame,
      peer_id: PeerId,
      group_uid: GroupUid,
      term: Term,
      kind: VoteKind,
      election_id: Count,
      configuration: Configuration,
    }),
  ),
  'ballot-box.lead': define(
    'node',
    'this peer leads `term`: register the entries of that term, each with the configuration that is effective there, and count',
    z.object({
      ...own,
      ...frame,
      peer_id: PeerId,
      group_uid: GroupUid,
      term: Term,
      /** The first entry of the term, and the last appended so far (`first_index - 1`: none yet). */
      first_index: LogIndex,
      last_index: LogIndex,
      /** The leader's election timeout; undefined: an older version. */
      election_timeout_ms: Count.optional(),
      /** In order of index; the first is effective at `first_index`. */
      configurations: ConfigurationEntries,
    }),
  ),
  'ballot-box.register': define(
    'node',
    'a leader’s new entries, without their content: each run in order; one of a configuration is alone in its run',
    z.object({
      ...own,
      ...frame,
      term: Term,
      runs: z
        .array(z.object({ first_index: LogIndex, last_index: LogIndex, configuration: Configuration.nullable() }))
        .max(limits.appendBatches),
      ...traced,
    }),
  ),
  'ballot-box.stop': define('node', 'the peer neither campaigns nor leads', z.object({ ...own, ...frame, term: Term })),
  'node.elected': define(
    'ballot-box',
    'this election is won; repeated on ticks until something else is opened',
    z.object({ ...own, term: Term, kind: VoteKind, election_id: Count }),
  ),
  'feed.committed': define(
    'ballot-box',
    'all entries up to `index` are committed; sent to the leader’s node, which passes the index to its replicators with the next append or tick',
    z.object({ ...own, term: Term, index: LogIndex }),
  ),
  'node.confirmed': define(
    'ballot-box',
    'a quorum has echoed this tick: the peer led when it was sent',
    z.object({
      ...own,
      term: Term,
      tick_id: Count,
      /** The latest tick that a quorum has reported in `session_tick_id`: the leader’s lease counts from when it was sent. */
      session_tick_id: Count,
    }),
  ),
  'node.ballots': define(
    'ballot-box',
    'the lowest ballot that is not granted, and the votes that it lacks; on every tick of a leader',
    z.object({
      ...own,
      term: Term,
      commit_index: LogIndex,
      registered_index: LogIndex,
      lacking: z.object({ peers: z.array(PeerId), old_peers: z.array(PeerId) }),
    }),
  ),

  // ---- between peers -----------------------------------------------------------------------------
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
    'reply to `read_index`: the commit index at some moment since the request, and no reply to anybody exceeded it before',
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
      /** The leader itself told it to campaign: the leader’s lease does not count against it. */
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
  'node.change_announced': define(
    'node of the leader',
    'a change is catching up, or has ended so: the log has no entry of it. On every tick of it, so that the next leader can report its outcome',
    z.object({
      ...group,
      group_uid: GroupUid,
      leader_id: PeerId,
      term: Term,
      old_peers: z.array(PeerId).max(limits.configurationPeers),
      new_peers: z.array(PeerId).max(limits.configurationPeers),
      /** Why it has ended without an entry; null: it is in progress. */
      over: ErrorBody.nullable(),
    }),
  ),
  'node.compare_state': define(
    'node of the leader',
    'asks a member for the digest of its state exactly after this entry, which no member has applied yet (level 1 and above)',
    z.object({
      ...group,
      group_uid: GroupUid,
      leader_id: PeerId,
      term: Term,
      target_store_id: StoreId,
      index: LogIndex,
    }),
  ),
  'node.state_digest': define(
    'node of a member',
    'answers `compare_state`',
    z.object({
      ...group,
      group_uid: GroupUid,
      peer_id: PeerId,
      store_id: StoreId,
      term: Term,
      index: LogIndex,
      /** Empty: it has applied more already, or has none. */
      digest: StateDigest,
      /** Its state is wrong, and a restore from its disk gives the same: it needs a snapshot of this entry or a later one. */
      wants_snapshot_from: LogIndex.optional(),
    }),
  ),
  'node.state_compared': define(
    'node of the leader',
    'the result of comparing the digests of all members: this one has the majority’s (null: no majority agrees)',
    z.object({
      ...group,
      group_uid: GroupUid,
      leader_id: PeerId,
      term: Term,
      target_store_id: StoreId,
      index: LogIndex,
      agrees: z.boolean().nullable(),
      /** The majority's; empty: there is none. */
      digest: StateDigest,
    }),
  ),
  'node.timeout_now': define(
    'replicator of the leader; its node, if its state is wrong',
    'campaign at once: the leader transfers the leadership',
    z.object({
      ...group,
      group_uid: GroupUid,
      leader_id: PeerId,
      term: Term,
      target_store_id: StoreId,
    }),
  ),
  'node.identify': define(
    'replicator of the leader, node of a founder',
    'asks a peer for its store and its history',
    z.object({
      ...group,
      peer_id: PeerId,
      asker: z.enum(['node', 'replicator']),
      request_id: Count,
      /** From a founder: promise not to create this group yourself meanwhile. */
      founding: z.boolean(),
    }),
  ),
  'replicator.identity': define(
    'node',
    'answers `identify`',
    z.object({
      ...group,
      peer_id: PeerId,
      request_id: Count,
      store_id: StoreId,
      group_uid: GroupUid,
      last_index: LogIndex,
      ...build,
    }),
  ),
  'node.identity': define(
    'node',
    'reply to `identify`; `founding`: it is creating this group itself',
    z.object({
      ...group,
      peer_id: PeerId,
      request_id: Count,
      store_id: StoreId,
      group_uid: GroupUid,
      last_index: LogIndex,
      leader_id: z.union([PeerId, z.literal('')]),
      founding: z.boolean(),
      configuration: Configuration.nullable(),
      ...build,
    }),
  ),
} as const;

export type Messages = typeof messages;
export type MessageName = keyof Messages;
/** The body of a message, as inferred from its schema. */
export type Body<N extends MessageName> = z.infer<Messages[N]['schema']>;

/** A message with its name: a discriminated union over all of them. */
export type Message<N extends MessageName = MessageName> = {
  [M in N]: { readonly name: M; readonly body: Body<M> };
}[N];

/** The names of the messages to a recipient, by the first part of the name. */
export type MessageNameTo<R extends string> = Extract<MessageName, `${R}.${string}`>;

export function isMessageName(name: string): name is MessageName {
  return Object.hasOwn(messages, name);
}

/** The actors of the peer that receive each message of its feed. */
export const feedListeners = {
  'feed.append': ['log-store'],
  'feed.stored': ['replicator', 'ballot-box'],
  'feed.committed': ['node'],
  'feed.echo': ['replicator', 'ballot-box'],
} as const satisfies Record<MessageNameTo<'feed'>, readonly ActorKind[]>;

/** Those that actors of other peers receive too, if they were asked to subscribe. */
export const peerFeedMessages = { 'feed.append': ['node'] } as const satisfies Partial<
  Record<MessageNameTo<'feed'>, readonly ActorKind[]>
>;
export type PeerFeedMessageName = keyof typeof peerFeedMessages;

export type NodeMessage = Message<MessageNameTo<'node'> | 'feed.committed' | 'feed.append'>;
export type ReplicatorMessage = Message<MessageNameTo<'replicator'> | 'feed.stored' | 'feed.echo'>;
export type BallotBoxMessage = Message<MessageNameTo<'ballot-box'> | 'feed.stored' | 'feed.echo'>;
export type LogStoreMessage = Message<MessageNameTo<'log-store'> | 'feed.append'>;
