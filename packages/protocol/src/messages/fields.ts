/** Fields and types that several messages share, and the form of an entry in the table of messages. */
import { z } from 'zod';
import { Configuration } from '../configuration.js';
import { BuildVersion, Levels } from '../levels.js';
import { limits } from '../limits.js';
import { SnapshotHead, SnapshotId } from '../snapshot.js';
import { Bytes, Count, GroupId, GroupUid, LogIndex, PeerId, Session, StoreId, Term, Traceparent } from '../types.js';

export const group = { group_id: GroupId };
/** Fields of messages among the actors of one peer. */
export const own = { ...group, store_id: StoreId, session: Session };
/** The position in an ordered link from a node to one of its actors: `link` counts the restarts of the link, `seq` its messages from 1. */
export const frame = { link: Count, seq: Count };
/**
 * How long after this tick a voter still waits before it votes for a successor, if NATS reports that nobody receives requests on
 * the group’s subjects. Undefined: an election timeout, because the leader may hold a lease, or is of an older version.
 */
export const ReplaceableAfterMs = Count;
export const Frame = z.object(frame);
export type Frame = z.infer<typeof Frame>;

export const Batches = z.array(Bytes).max(limits.appendBatches);
export const ConfigurationEntries = z.array(z.object({ index: LogIndex, configuration: Configuration }));

/** Why a log-store does not return a chunk of a snapshot. `none`: there is no snapshot; `replaced`: a newer one has replaced it. */
export const SnapshotRefusal = z.enum(['', 'none', 'replaced', 'stale_term']);

/** A chunk as a log-store reads it. */
export const snapshotChunk = {
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
export const build = {
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
  /** The time since the target last replied; -1: it never has. */
  silent_ms: z.number().int().min(-1),
  /** The time since its log-store last acknowledged that it has stored everything that was sent to it; -1: it never has; undefined: an older version. */
  stored_ms: z.number().int().min(-1).optional(),
  /**
   * Of a new peer that catches up: it receives new entries as members do, and acknowledges them as soon. `false` for all others, members
   * too: for these, compare `match_index` with the leader's `last_index`.
   */
  caught_up: z.boolean(),
  /** Of a peer that catches up: clients write faster than it stores, and the leader should throttle them for a moment. */
  wants_throttle: z.boolean().optional(),
  /**
   * Whether the target lags: it lacks entries, or acknowledges new ones later than members do, or has not applied the entries that it
   * has. Undefined: it could lead at once.
   */
  behind: z.boolean().optional(),
  /** Why the leader rejects the target; empty: it does not. */
  refusal: z.enum(['', 'ENOTEMPTY', 'ESTORE']),
  /** It is read-only: an operator made it so, or its disk is full. */
  read_only: z.boolean(),
  /** Its election timeout; undefined: not reported yet, or an older version. */
  election_timeout_ms: Count.optional(),
  /** Whether it must not lead: it has stopped applying, because it cannot read an entry or one of its processes is of an older version. */
  cannot_lead: z.boolean().optional(),
  /** Whether one of its own actors is silent: then it stores and votes, but does not campaign. */
  lacks_actor: z.boolean().optional(),
  /** Whether it has not applied entries that were committed a tick earlier: as a leader it would make its clients wait. */
  unapplied: z.boolean().optional(),
  /** It answers `node.read_tick`; undefined: not reported yet, or an older version. */
  answers_read_ticks: z.boolean().optional(),
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

/** For each store, the highest committed index that it is known to have acknowledged. */
export const Acknowledged = z.array(z.object({ store_id: StoreId, index: LogIndex })).max(limits.acknowledgedStores);
export type Acknowledged = z.infer<typeof Acknowledged>;

export const Target = z.object({
  peer_id: PeerId,
  /** The peer's store: the one in the configuration, or a member's new store; empty: unknown, because the peer is new. */
  store_id: StoreId,
  /** Whether it catches up: it is a new peer, or a member's new store. */
  catching_up: z.boolean(),
});
export type Target = z.infer<typeof Target>;

/** The `traceparent` of each request with a trace whose entry is in the message; at most `limits.messageTraces`. */
export const traced = { traces: z.array(Traceparent).max(limits.messageTraces).optional() };

export const append = {
  ...own,
  ...frame,
  group_uid: GroupUid,
  leader_id: PeerId,
  leader_term: Term,
  /** The last index up to which the log is verified to match the leader's; returned in `stored` after the sync. */
  verified_index: LogIndex,
  /** The entries from this index on are deleted first; 0: none. */
  truncate_from: LogIndex,
  /** The commit index that the node knows; a hint, stored beside the entries. */
  commit_index: LogIndex,
  batches: Batches,
  /** The log has everything that its leader has reported as committed, so that a log that was unverified when it was opened is verified. */
  verified: z.boolean().optional(),
  ...traced,
};

export interface Definition<S extends z.ZodType> {
  readonly from: string;
  readonly purpose: string;
  readonly schema: S;
}

export function define<S extends z.ZodType>(from: string, purpose: string, schema: S): Definition<S> {
  return { from, purpose, schema };
}
