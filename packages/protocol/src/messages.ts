/**
 * Every message between actors: who sends it, who hears it, what for, and its schema. The key is
 * `<recipient>.<message>`, the end of its subject. `docs/subjects.md` is generated from this table.
 *
 * Every message carries its group. Messages among one peer's own actors carry `store_id` and `session`
 * (`own`), those on an ordered link their place in it (`frame`), those between peers `group_uid` and who sent
 * them.
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
} from './types.js';

const group = { group_id: GroupId };
/** Among one peer's own actors. */
const own = { ...group, store_id: StoreId, session: Session };
/** The place in an ordered link from a node to one of its actors: `link` counts its beginnings, `seq` from 1. */
const frame = { link: Count, seq: Count };
export const Frame = z.object(frame);
export type Frame = z.infer<typeof Frame>;

const Batches = z.array(Bytes).max(limits.appendBatches);
const ConfigurationEntries = z.array(z.object({ index: LogIndex, configuration: Configuration }));

/** Why a piece of a snapshot is not answered: `none`: there is no snapshot; `replaced`: a newer one has taken its place. */
const SnapshotRefusal = z.enum(['', 'none', 'replaced', 'stale_term']);

/** A chunk as a log-store reads it back. */
const snapshotChunk = {
  ...own,
  request_id: Count,
  snapshot_id: z.union([SnapshotId, z.literal('')]),
  head: SnapshotHead.nullable(),
  number: Count,
  /** As `SnapshotChunker` made it; empty where it is refused. */
  chunk: Bytes,
  refusal: SnapshotRefusal,
};

/** Which build a peer runs: what all four of its actors speak. Left out by the first version, which speaks level 0. */
const build = {
  version: BuildVersion.optional(),
  /** Null: not known yet, as an actor of the peer has not said. */
  levels: Levels.nullable().optional(),
  /** The highest version of commands that its state machine reads; none: 0. */
  command_version: Count.optional(),
};

/** An election's two rounds: a pre-vote changes nothing at whom it asks (Raft thesis, section 9.6). */
export const VoteKind = z.enum(['pre_vote', 'vote']);
export type VoteKind = z.infer<typeof VoteKind>;

/** Entries from `first` up to the next run's begin have `term`. */
export const TermRun = z.object({ first: LogIndex, term: Term });
export type TermRun = z.infer<typeof TermRun>;

/** What a replicator does for its target. */
export const ReplicatorState = z.enum(['identify', 'probe', 'replicate', 'install', 'refused']);
export type ReplicatorState = z.infer<typeof ReplicatorState>;

/** How one target of a leader's replicators is doing. */
export const Progress = z.object({
  peer_id: PeerId,
  /** Of the target, as far as known; empty: never heard of. */
  store_id: StoreId,
  state: ReplicatorState,
  match_index: LogIndex,
  next_index: LogIndex,
  in_flight: Count,
  /** Since the target last answered; -1: never. */
  silent_ms: z.number().int().min(-1),
  /** Since its log-store last acknowledged that it has stored all that it was sent; -1: never; none: a version that does not say. */
  stored_ms: z.number().int().min(-1).optional(),
  /**
   * Of a peer that catches up to be taken in: it gets new entries as members do, and acknowledges them as soon. Of all others, members too, `false`, however near they
   * are: of these, what `match_index` lacks of the leader's `last_index` tells.
   */
  caught_up: z.boolean(),
  /** Of a peer that catches up: the writers are faster than it, and are to be slowed down for a moment. */
  wants_throttle: z.boolean().optional(),
  /**
   * It lacks entries, and does not get new ones as members do that are in step, or acknowledges them later; or it has not applied what
   * it has. None: it could lead at once.
   */
  behind: z.boolean().optional(),
  /** Why it is refused, or empty. */
  refusal: z.enum(['', 'ENOTEMPTY', 'ESTORE']),
  /** It takes no entries: it is told so, or its disk is full. */
  read_only: z.boolean(),
  /** Its election timeout; none: not heard yet, or a version that does not say. */
  election_timeout_ms: Count.optional(),
  /** It has stopped applying, and must not lead: it cannot read an entry, or one of its processes is of an older version. */
  cannot_lead: z.boolean().optional(),
  /** One of its own actors is silent: it stores and votes, and does not campaign. */
  lacks_actor: z.boolean().optional(),
  /** It has not applied what was committed a tick earlier: elected now, it would let its clients wait. */
  unapplied: z.boolean().optional(),
  /** The build that it runs, and the feature levels that it speaks; none: not heard yet. */
  version: BuildVersion.optional(),
  levels: Levels.optional(),
  /** The highest version of commands that its state machine reads; none: 0, or not heard yet. */
  command_version: Count.optional(),
  /** Another store than the one it is bound to that answers under its name, and how long the bound one has been silent. */
  found: z.object({ store_id: StoreId, group_uid: GroupUid, last_index: LogIndex, bound_silent_ms: Count }).optional(),
  /** The snapshot that is being sent to it, and how many of its chunks it has stored. */
  install: z.object({ index: LogIndex, chunks: Count, stored: Count, bytes: Count }).nullable(),
});
export type Progress = z.infer<typeof Progress>;

/** Committed entries that stores are known to have acknowledged: each up to there. */
const Acknowledged = z.array(z.object({ store_id: StoreId, index: LogIndex })).max(limits.acknowledgedStores);
export type Acknowledged = z.infer<typeof Acknowledged>;

const Target = z.object({
  peer_id: PeerId,
  /** The store that the configuration binds the peer to; empty: to be learnt, as it is new. */
  store_id: StoreId,
  /** Whether it is watched for having caught up. */
  catching_up: z.boolean(),
});
export type Target = z.infer<typeof Target>;

const append = {
  ...own,
  ...frame,
  group_uid: GroupUid,
  leader_id: PeerId,
  leader_term: Term,
  /** Up to here the log is verified to be the leader's; echoed in `stored` after the sync. */
  verified_index: LogIndex,
  /** All entries from here on are to be deleted first; 0: none. */
  truncate_from: LogIndex,
  /** The commit index as the node knows it; a hint, stored beside the entries. */
  commit_index: LogIndex,
  batches: Batches,
  /** The log has all that its leader has said is committed: what was not verified when it was opened is. */
  verified: z.boolean().optional(),
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
    'answers `hello`: its incarnation and the session in force; also sent once when a log-store starts',
    z.object({ ...group, incarnation: Incarnation, session: Session }),
  ),
  'log-store.open': define(
    'node',
    'opens a new session; repeating the nonce is the same opening. Refused unless `incarnation` is of this run and `after_session` the session in force, so that a late repeat opens nothing',
    z.object({ ...group, nonce: Incarnation, incarnation: Incarnation, after_session: Session }),
  ),
  'node.opened': define(
    'log-store',
    'the session is open; what is durable. Sent after the running write',
    z.object({
      ...own,
      nonce: Incarnation,
      incarnation: Incarnation,
      group_uid: GroupUid,
      term: Term,
      voted_for: z.union([PeerId, z.literal('')]),
      /** Entries up to here are gone: a snapshot stands for them. `base_term`: the term of the last of these. */
      base_index: LogIndex,
      base_term: Term,
      last_index: LogIndex,
      /** A commit index that was once known; what is at or below it is committed. */
      commit_index: LogIndex,
      term_runs: z.array(TermRun),
      configurations: ConfigurationEntries,
      /** The snapshot that counts. */
      snapshot: z.object({ snapshot_id: SnapshotId, head: SnapshotHead }).nullable(),
      /** A snapshot that a leader has begun to install, and how many of its chunks are stored. */
      installing: z.object({ snapshot_id: SnapshotId, stored: Count }).nullable(),
      /** Told so by an operator: the peer takes no entries. */
      read_only: z.boolean(),
      /** The entry behind which the state was found to differ from the majority's, and not repaired since; left out: none. */
      diverged_at: LogIndex.optional(),
      /** The side file of the last write is missing or damaged: whether all is there that was synced cannot be told. */
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
    'a leader’s new entries, to its log-store; followers in step hear it too',
    z.object({
      ...append,
      /** The term of the entry before the first one; 0: there is none. */
      prev_term: Term,
    }),
  ),
  'log-store.append': define(
    'node',
    'entries to store, also none: an acknowledgement of `verified_index` is wanted all the same',
    z.object(append),
  ),
  'replicator.append': define(
    'node',
    'where a leader’s new entries stand in its log; their content only while some target is to get it from the replicators',
    z.object({
      ...own,
      ...frame,
      term: Term,
      commit_index: LogIndex,
      /** Of each batch: its entries, and its bytes. */
      runs: z.array(z.object({ first_index: LogIndex, last_index: LogIndex, bytes: Count })).max(limits.appendBatches),
      /** As many as runs, or none. */
      batches: Batches,
    }),
  ),
  'log-store.vote': define(
    'node',
    'term and vote to store, before they are spoken',
    z.object({ ...own, ...frame, term: Term, voted_for: z.union([PeerId, z.literal('')]) }),
  ),
  'feed.stored': define(
    'log-store',
    'to the leader’s ballot-box and replicators: this peer’s log is synced, and is the leader’s, up to `match_index`',
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
    'an operator has this peer go on without the others: in one write a new history, a new term without a vote, and the entry that says who goes on, behind the last one',
    z.object({
      ...own,
      ...frame,
      /** What is left behind, and what takes its place. */
      old_group_uid: GroupUid,
      group_uid: GroupUid,
      /** Above that of the entry: no peer that is reset alike writes its entry in a term that is elected for. */
      term: Term,
      /** One entry, a configuration, at the last index + 1, of a term between the stored one and the new one. */
      batch: Bytes,
    }),
  ),
  'log-store.read_only': define(
    'node',
    'whether this peer takes entries, by its operator, and where its state diverged; kept, and reported in `opened`',
    z.object({
      ...own,
      ...frame,
      read_only: z.boolean(),
      /** See `opened`; 0: nothing stands against the state; left out: as before. */
      diverged_at: LogIndex.optional(),
    }),
  ),
  'node.disk': define(
    'log-store',
    'how much room the disk has: every few seconds, and when that is low or no longer so',
    z.object({
      ...own,
      free_bytes: Count,
      /** Below the reserve, or was and is not yet well above it. */
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
    'answers `read`; the batches begin with the one that holds `from_index`',
    z.object({
      ...own,
      request_id: Count,
      from_index: LogIndex,
      /** The term of the entry before the first batch's; 0: there is none. */
      prev_term: Term,
      batches: Batches,
      /** Why there are none, or empty. `compacted`: a snapshot has taken the place of the entry. */
      refusal: z.enum(['', 'stale_term', 'beyond_end', 'compacted']),
    }),
  ),
  'replicator.entries': define(
    'log-store',
    'answers `read`, in as many messages as it takes; the batches begin with the one that holds `from_index`, prev_term comes from the same read',
    z.object({
      ...own,
      request_id: Count,
      from_index: LogIndex,
      prev_term: Term,
      batches: Batches,
      refusal: z.enum(['', 'stale_term', 'beyond_end', 'compacted']),
      /** Whether another answer to the same read follows, from behind these entries on. */
      more: z.boolean(),
    }),
  ),

  // ---- snapshots ---------------------------------------------------------------------------------
  'log-store.snapshot_chunk': define(
    'node',
    'the next chunk of a snapshot that the node takes, or that its leader installs; number 0 begins, and drops another that was begun',
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
    'all chunks have been sent: the snapshot counts from now on, and the log before it goes. An installed one takes the place of a log that does not hold its last entry',
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
    'asks for a chunk of the snapshot that counts. An empty id: of whichever that is',
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
    'answers `install_snapshot` once that is synced: so many chunks of it are stored, in order',
    z.object({
      ...group,
      group_uid: GroupUid,
      peer_id: PeerId,
      store_id: StoreId,
      term: Term,
      request_id: Count,
      snapshot_id: SnapshotId,
      stored: Count,
      /** All of it is, and counts: the follower’s log begins behind it. */
      installed: z.boolean(),
    }),
  ),

  'log-store.confirm': define(
    'node',
    'a leader asks whether its session is still in force, for the reads of this round',
    z.object({ ...own, term: Term, tick_id: Count }),
  ),
  'node.in_force': define(
    'log-store',
    'answers `confirm`: nobody has opened a newer session',
    z.object({ ...own, term: Term, tick_id: Count }),
  ),

  // ---- a node and all of its actors --------------------------------------------------------------
  'log-store.tick': define(
    'node',
    'asks for a sign of life and for what the link has delivered',
    z.object({ ...own, ...frame }),
  ),
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
    'all of this link up to `seq` has been taken (by a log-store: is synced); 0: nothing of this link is known, begin it anew',
    z.object({
      ...own,
      ...frame,
      actor: ActorKind,
      incarnation: Incarnation,
      /** That the actor speaks; none: it is of the first version. */
      levels: Levels.optional(),
      /**
       * Answers a tick: what of this link has been taken, synced or not, and what the tick said was sent last. What lies between was
       * lost, as messages arrive in order. None: it answers no tick, or is of a version that does not say.
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
      /** The latest configuration entry: who is caught up is beyond it. */
      configuration_index: LogIndex,
      targets: z.array(Target),
      /** What this peer knows of earlier terms. */
      acknowledged: Acknowledged.optional(),
    }),
  ),
  'replicator.targets': define(
    'node',
    'the targets have changed; who is not listed is let go',
    z.object({ ...own, ...frame, term: Term, configuration_index: LogIndex, targets: z.array(Target) }),
  ),
  'replicator.transfer': define(
    'node',
    'hand over: send `timeout_now` to this target once it has `last_index`; an empty name takes that back',
    z.object({ ...own, ...frame, term: Term, peer_id: z.union([PeerId, z.literal('')]), last_index: LogIndex }),
  ),
  'replicator.stop': define('node', 'the peer no longer leads', z.object({ ...own, ...frame, term: Term })),
  'node.progress': define(
    'replicator',
    'how each target is doing; on every tick, and at once when one has caught up or is refused',
    z.object({
      ...own,
      term: Term,
      targets: z.array(Progress),
      /** The last tick that the replicators had received: the report is not newer than that. None: a version that does not say. */
      tick_id: Count.optional(),
      /** Whether some target is in step and does not hear the leader’s feed: appends are to come with their content. */
      wants_content: z.boolean(),
    }),
  ),

  // ---- a node and its ballot-box -----------------------------------------------------------------
  'ballot-box.elect': define(
    'node',
    'count the votes of this election; the candidate’s own is in, if the configuration has it',
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
    'this peer leads `term`: register the entries of that term, each with the configuration in force at it, and count',
    z.object({
      ...own,
      ...frame,
      peer_id: PeerId,
      group_uid: GroupUid,
      term: Term,
      /** The first entry of the term, and the last appended so far (`first_index - 1`: none yet). */
      first_index: LogIndex,
      last_index: LogIndex,
      /** The leader's election timeout; none: a version that does not say. */
      election_timeout_ms: Count.optional(),
      /** In order of index; the first is in force at `first_index`. */
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
    }),
  ),
  'ballot-box.stop': define('node', 'the peer neither stands nor leads', z.object({ ...own, ...frame, term: Term })),
  'node.elected': define(
    'ballot-box',
    'this election is won; repeated on ticks until something else is opened',
    z.object({ ...own, term: Term, kind: VoteKind, election_id: Count }),
  ),
  'feed.committed': define(
    'ballot-box',
    'all entries up to `index` are committed; to the own node, which tells its replicators with the next append or tick',
    z.object({ ...own, term: Term, index: LogIndex }),
  ),
  'node.confirmed': define(
    'ballot-box',
    'a quorum has echoed this tick: the peer led when it was sent',
    z.object({
      ...own,
      term: Term,
      tick_id: Count,
      /** The latest tick of which a quorum has said so with `session_tick_id`: the leader’s lease runs from when it was sent. */
      session_tick_id: Count,
    }),
  ),
  'node.ballots': define(
    'ballot-box',
    'the lowest ballot that is not granted, and whose votes it lacks; on every tick of a leader',
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
      /** Whether the target is in step, and is to hear the leader’s `feed.append` itself. */
      hear_feed: z.boolean(),
      batches: Batches,
      /** What the target's store has acknowledged, to this leader or, committed, to earlier ones: a store that has less went back. */
      acknowledged_index: LogIndex.optional(),
      /** The same of all stores, committed, for who leads next; with heartbeats. */
      acknowledged: Acknowledged.optional(),
    }),
  ),
  'replicator.rejected': define(
    'node of a follower',
    'the entry before does not match (or the store is another, or takes no entries): where to try next',
    z.object({
      ...group,
      group_uid: GroupUid,
      peer_id: PeerId,
      store_id: StoreId,
      term: Term,
      request_id: Count,
      /** `wants_snapshot`: nothing is wrong with the entries, but the state needs a snapshot (level 1 and above). */
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
      /** The latest tick after which its log-store was still in its session; 0: none. It is what leases are counted by. */
      session_tick_id: Count,
      /** Whether it hears the leader’s `feed.append` itself. */
      hears_feed: z.boolean(),
      /** Whether it takes no entries. */
      read_only: z.boolean(),
      /** For how long it grants no vote after it has received a tick; none: a version that does not say. */
      election_timeout_ms: Count.optional(),
      ...build,
      /** Whether it has stopped applying, and must not lead. */
      cannot_lead: z.boolean().optional(),
      /** Whether one of its own actors is silent, so that it does not campaign. */
      lacks_actor: z.boolean().optional(),
      /** Whether it has not applied what it knew to be committed a tick ago, so that it could not answer at once as a leader. */
      unapplied: z.boolean().optional(),
    }),
  ),
  'node.read_index': define(
    'node of a follower',
    'asks for a commit index that is as of now, for linearizable reads of its own; again on its ticks until it is answered',
    z.object({
      ...group,
      group_uid: GroupUid,
      peer_id: PeerId,
      /** Of the asker; what was asked in another one is not waited for any more. */
      session: Session,
      request_id: Count,
      /** Whether the leader’s lease is enough to be sure. */
      by_lease: z.boolean(),
    }),
  ),
  'node.read_index_answer': define(
    'node of the leader',
    'answers `read_index`: this was committed at some moment since it was asked, and nothing beyond it was answered to anybody before',
    z.object({
      ...group,
      group_uid: GroupUid,
      peer_id: PeerId,
      term: Term,
      session: Session,
      request_id: Count,
      read_index: LogIndex,
      /** The term of that entry: who has it with this term has all that is committed up to there. */
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
      /** Told to stand by the leader itself: the leader’s lease does not count against it. */
      transfer: z.boolean(),
      /** What the candidate knows of stores: a voter whose store has less does not vote. */
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
      /** Whom it answers: while a store takes the place of another, both stand under one name. */
      candidate_store_id: StoreId,
      granted: z.boolean(),
    }),
  ),
  'node.change_announced': define(
    'node of the leader',
    'a change is catching up, or has ended so: nothing of it stands in the log. On every tick of it, so that whoever leads next can say what became of it',
    z.object({
      ...group,
      group_uid: GroupUid,
      leader_id: PeerId,
      term: Term,
      old_peers: z.array(PeerId).max(limits.configurationPeers),
      new_peers: z.array(PeerId).max(limits.configurationPeers),
      /** Why it has ended without a trace; null: it goes on. */
      over: ErrorBody.nullable(),
    }),
  ),
  'node.compare_state': define(
    'node of the leader',
    'asks a member for the digest of its state exactly behind this entry, which nobody has applied yet (level 1 and above)',
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
      /** Its state is wrong, and what is on its disk gives the same: it needs a snapshot of this entry or a later one. */
      wants_snapshot_from: LogIndex.optional(),
    }),
  ),
  'node.state_compared': define(
    'node of the leader',
    'what came of comparing the digests of all members: this one has the majority’s (null: no majority agrees)',
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
    'replicator of the leader; its node, where its state is wrong',
    'stand at once: the leader hands over',
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
    'asks a peer which store and history it has',
    z.object({
      ...group,
      peer_id: PeerId,
      asker: z.enum(['node', 'replicator']),
      request_id: Count,
      /** From a founder: promise not to found this group yourself meanwhile. */
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
    'answers `identify`; `founding`: it is founding this group itself',
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

/** The names of the messages that a recipient gets, by the beginning of the name. */
export type MessageNameTo<R extends string> = Extract<MessageName, `${R}.${string}`>;

export function isMessageName(name: string): name is MessageName {
  return Object.hasOwn(messages, name);
}

/** Which actors of the peer hear each message of its feed. */
export const feedListeners = {
  'feed.append': ['log-store'],
  'feed.stored': ['replicator', 'ballot-box'],
  'feed.committed': ['node'],
  'feed.echo': ['replicator', 'ballot-box'],
} as const satisfies Record<MessageNameTo<'feed'>, readonly ActorKind[]>;

/** Which of them actors of other peers hear too, when these were asked to. */
export const peerFeedMessages = { 'feed.append': ['node'] } as const satisfies Partial<
  Record<MessageNameTo<'feed'>, readonly ActorKind[]>
>;
export type PeerFeedMessageName = keyof typeof peerFeedMessages;

export type NodeMessage = Message<MessageNameTo<'node'> | 'feed.committed' | 'feed.append'>;
export type ReplicatorMessage = Message<MessageNameTo<'replicator'> | 'feed.stored' | 'feed.echo'>;
export type BallotBoxMessage = Message<MessageNameTo<'ballot-box'> | 'feed.stored' | 'feed.echo'>;
export type LogStoreMessage = Message<MessageNameTo<'log-store'> | 'feed.append'>;
