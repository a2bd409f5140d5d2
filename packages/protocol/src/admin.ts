/** The admin commands: requests, replies, and who answers them. DESIGN's table is their source. */
import { z } from 'zod';
import { Configuration } from './configuration.js';
import { ErrorBody } from './errors.js';
import { BuildVersion, Levels } from './levels.js';
import { limits } from './limits.js';
import { Progress } from './messages.js';
import { SnapshotHead, SnapshotId } from './snapshot.js';
import { Bytes, Count, GroupId, GroupUid, LogIndex, PeerId, Session, StateDigest, StoreId, Term } from './types.js';

const timeout = { timeout_ms: z.number().int().min(1).max(86_400_000).optional() };
/** Where given, the command is refused (EPERM) by any other leader. */
const leader = { leader_id: PeerId.optional() };

const PeerList = z
  .array(PeerId)
  .min(1)
  .max(limits.configurationPeers)
  .refine((peers) => new Set(peers).size === peers.length, 'a peer is listed twice');

export const ChangeReply = z.object({ old_peers: z.array(PeerId), new_peers: z.array(PeerId) });
export type ChangeReply = z.infer<typeof ChangeReply>;

export const Stage = z.enum(['none', 'catching_up', 'joint', 'stable']);
export type Stage = z.infer<typeof Stage>;

export const Role = z.enum(['opening', 'follower', 'pre_candidate', 'candidate', 'leader', 'fenced']);
export type Role = z.infer<typeof Role>;

/** `heal`: a member's store, which it has lost, is replaced by the one that it has now. `reset`: see `reset_peer`. */
export const ChangeKind = z.enum(['change', 'heal', 'reset']);
export type ChangeKind = z.infer<typeof ChangeKind>;

/** A change of the configuration and what became of it. */
export const Change = z.object({
  kind: ChangeKind,
  old_peers: z.array(PeerId),
  new_peers: z.array(PeerId),
  state: z.enum(['going_on', 'done', 'undone']),
  stage: Stage,
  /** The term and index of its last configuration entry; 0: none was appended, or (of a term) it is gone from the log. */
  term: Term,
  index: LogIndex,
  /** Why it was undone. */
  error: ErrorBody.optional(),
});
export type Change = z.infer<typeof Change>;

/** A snapshot that is stored. */
export const StoredSnapshot = z.object({
  snapshot_id: SnapshotId,
  /** Of the last entry that it stands for. */
  index: LogIndex,
  term: Term,
  chunks: Count,
  bytes: Count,
});
export type StoredSnapshot = z.infer<typeof StoredSnapshot>;

/** A snapshot on its way: how many of its chunks are done. */
export const SnapshotPart = z.object({
  index: LogIndex,
  chunks: Count,
  done: Count,
  percent: z.number().int().min(0).max(100),
});
export type SnapshotPart = z.infer<typeof SnapshotPart>;

/** Whether a peer may be restarted now without the group losing its quorum, and if not, why. */
export const Restart = z.object({ peer_id: PeerId, may: z.boolean(), reason: z.string() });
export type Restart = z.infer<typeof Restart>;

/**
 * Why a peer accepts no entries: an operator made it read-only, or its disk has less free space than the reserve. Empty: it
 * accepts them. The first version says `told` for `operator`.
 */
export const ReadOnlyReason = z.preprocess(
  (reason) => (reason === 'told' ? 'operator' : reason),
  z.enum(['', 'operator', 'disk']),
);
export type ReadOnlyReason = z.infer<typeof ReadOnlyReason>;

/** What came of comparing the members' states behind one entry. */
export const ComparedStates = z.object({
  index: LogIndex,
  /** Those that have answered. */
  members: z.array(z.object({ peer_id: PeerId, digest: StateDigest })),
  /** Those that have another digest than the majority; without a majority all that answered, where they differ. */
  differing: z.array(PeerId),
  unanswered: z.array(PeerId),
  /** Whether a majority of the members has the same digest. */
  has_majority: z.boolean(),
});
export type ComparedStates = z.infer<typeof ComparedStates>;

export const StatusReply = z.object({
  group_id: GroupId,
  group_uid: GroupUid,
  peer_id: PeerId,
  store_id: StoreId,
  session: Session,
  role: Role,
  term: Term,
  leader_id: z.union([PeerId, z.literal('')]),
  configuration: Configuration.nullable(),
  configuration_index: LogIndex,
  stage: Stage,
  first_index: LogIndex,
  last_index: LogIndex,
  commit_index: LogIndex,
  applied_index: LogIndex,
  /** The snapshot that counts here. The log goes back to `first_index`. */
  snapshot: StoredSnapshot.nullable(),
  /** A snapshot that this peer is taking, and how much of it is written so far. */
  taking: z.object({ index: LogIndex, chunks: Count, bytes: Count }).nullable(),
  /** The state is read back from the snapshot after a start; until it is, stale reads are refused. */
  restoring: SnapshotPart.nullable(),
  /** The leader sends this peer a snapshot, as it lacks entries that are gone. */
  installing: SnapshotPart.nullable(),
  /** Whose votes the lowest ungranted ballot lacks; leader only. */
  lacking: z.object({ peers: z.array(PeerId), old_peers: z.array(PeerId) }),
  /** Of each replicator; leader only. Its `caught_up` speaks of peers to be taken in alone: see there. */
  progress: z.array(Progress),
  /** The last changes, newest last. */
  changes: z.array(Change),
  health: z.object({ healthy: z.boolean(), reason: z.string() }),
  /** Another history of this group that somebody leads, so that neither leader serves; leader only. */
  other_history: z.object({ group_uid: GroupUid, leader_id: PeerId }).nullable().optional(),
  /** The last comparison of the members' states; leader only. */
  states: ComparedStates.optional(),
  /** Of each member, and of who is to become one; leader only. */
  restart: z.array(Restart),
  /** Of this peer. */
  read_only: ReadOnlyReason,
  /** Of this peer. A leader considers a peer silent after that time without a message of it; none: a version that does not say. */
  election_timeout_ms: Count.optional(),
  /** Free on this peer's disk, as it was said last; null: not yet. */
  disk_free_bytes: Count.nullable(),
  /** The build that this peer runs; none: the first version, as of the next two. */
  version: BuildVersion.optional(),
  /** The feature levels that all of its processes speak; null: not known yet. */
  levels: Levels.nullable().optional(),
  /** The highest version of commands that its state machine reads; none: 0. */
  command_version: Count.optional(),
  /** The group's feature level, by this peer's log. */
  level: Count.optional(),
  /** Messages that were dropped, by reason. */
  dropped: z.record(z.string(), Count),
});
export type StatusReply = z.infer<typeof StatusReply>;

/** What a member, or who is to become one, speaks, and why it keeps the group from a higher level; empty: it does not. */
export const PeerLevels = z.object({
  peer_id: PeerId,
  version: z.union([BuildVersion, z.literal('')]),
  /** Null: not heard lately. */
  levels: Levels.nullable(),
  holds_back: z.string(),
});
export type PeerLevels = z.infer<typeof PeerLevels>;

export const UpgradeReply = z.object({
  /** The group's feature level. */
  level: Count,
  /** The highest that the leader speaks: the group can be raised to that. */
  highest: Count,
  /** Of each member, and of who is to become one. */
  peers: z.array(PeerLevels),
  /** Why the level is not raised now, beside what peers say; empty: it can be, or nothing is left to raise. */
  obstacle: z.string(),
  /** When the leader raises it by itself, in milliseconds from now, if all stays as it is; null: it does not. */
  raises_in_ms: Count.nullable(),
  /** Whether this call has raised it. */
  raised: z.boolean(),
});
export type UpgradeReply = z.infer<typeof UpgradeReply>;

export const BootstrapReply = z.object({
  group_id: GroupId,
  group_uid: GroupUid,
  peers: z.array(PeerId),
  old_peers: z.array(PeerId),
  leader_id: z.union([PeerId, z.literal('')]),
  /** Whether this call founded the group; false: it was there. */
  founded: z.boolean(),
});
export type BootstrapReply = z.infer<typeof BootstrapReply>;

export const ResetPeerReply = z.object({
  group_id: GroupId,
  /** The history that is left behind, and the one that takes its place. */
  old_group_uid: GroupUid,
  group_uid: GroupUid,
  /** How often that has been done to this group. */
  epoch: Count,
  old_peers: z.array(PeerId),
  new_peers: z.array(PeerId),
  /** What this peer's log held before. */
  last_index: LogIndex,
  commit_index: LogIndex,
  /** What may be lost, in a sentence. */
  may_be_lost: z.string(),
});
export type ResetPeerReply = z.infer<typeof ResetPeerReply>;

const Empty = z.object({});

/** Binary, or in JSON its base64. */
const BytesOrBase64 = z.union([Bytes, z.base64().transform((text) => new Uint8Array(Buffer.from(text, 'base64')))]);

interface Command<Request extends z.ZodType, Reply extends z.ZodType> {
  /** `group`: the leader; `peer`: the node of the peer in the subject. */
  readonly answeredBy: readonly ('group' | 'peer')[];
  readonly purpose: string;
  readonly request: Request;
  readonly reply: Reply;
}

/** A command; a request with a field that its schema does not have is refused, as its sender means something by it. */
function command<Shape extends z.ZodRawShape, Reply extends z.ZodType>(
  answeredBy: readonly ('group' | 'peer')[],
  purpose: string,
  request: z.ZodObject<Shape>,
  reply: Reply,
) {
  const command = { answeredBy, purpose, request: request.strict(), reply };
  return command satisfies Command<z.ZodType, z.ZodType>;
}

/** `taken`: now; else nothing had been applied since the last one, which is told. */
export const SnapshotReply = StoredSnapshot.extend({ first_index: LogIndex, taken: z.boolean() });
export type SnapshotReply = z.infer<typeof SnapshotReply>;

export const adminCommands = {
  add_peer: command(
    ['group'],
    'takes a peer in, after it has caught up',
    z.object({ peer_id: PeerId, ...leader, ...timeout }),
    ChangeReply,
  ),
  remove_peer: command(['group'], 'lets a peer go', z.object({ peer_id: PeerId, ...leader, ...timeout }), ChangeReply),
  change_peers: command(
    ['group'],
    'changes to this set of peers',
    z.object({ new_peers: PeerList, ...leader, ...timeout }),
    ChangeReply,
  ),
  cancel_change: command(['group'], 'takes back the change that is going on', Empty, z.object({ cancelled: Change })),
  transfer_leader: command(
    ['group'],
    'hands the leadership to a peer; to the most up-to-date where none is named',
    z.object({ peer_id: PeerId.optional(), ...timeout }),
    Empty,
  ),
  upgrade: command(
    ['group'],
    'which feature level the group has, and which peers keep it from a higher one; with `raise`: raises it, once all speak it, and answers when that is committed. There is no way back',
    z.object({ raise: z.boolean().optional() }),
    UpgradeReply,
  ),
  status: command(['group', 'peer'], 'what the leader, or this peer, knows', Empty, StatusReply),
  bootstrap: command(
    ['peer'],
    'founds the group, unless it is there. Everybody who hosts a group of that name is asked first, listed or not, for at least three election timeouts; where anybody holds data and nobody leads, nothing is founded (ENOTEMPTY)',
    z.object({
      peers: PeerList,
      /** Also where peers that are not listed hold an earlier group of that name, which nobody leads. */
      new: z.boolean().optional(),
      /** Not with nothing, but with the state of a backup, all chunks of which this peer was given. */
      restore: z.object({ restore_id: SnapshotId, head: SnapshotHead }).optional(),
      ...timeout,
    }),
    BootstrapReply,
  ),
  read_only: command(
    ['peer'],
    'has this peer take no entries from now on, or take them again; kept over restarts. It votes and is heard all the same. `reason` says why it takes none then: also for its disk',
    z.object({ read_only: z.boolean() }),
    z.object({ read_only: z.boolean(), reason: ReadOnlyReason }),
  ),
  reset_peer: command(
    ['peer'],
    'has this peer go on with these members alone, when the quorum is gone for good; what only the others held is lost',
    z.object({ new_peers: PeerList }),
    ResetPeerReply,
  ),
  check: command(
    ['group'],
    'compares the states of all members now, by their digests behind one entry; answers who differs, and who did not answer',
    Empty,
    ComparedStates,
  ),
  get_leader: command(
    ['peer'],
    'whom this peer takes for the leader',
    Empty,
    z.object({ leader_id: z.union([PeerId, z.literal('')]), term: Term }),
  ),
  read_snapshot: command(
    ['peer'],
    'reads a chunk of the snapshot that counts here, for a backup; ENOENT where there is none, or it is no longer the one that is named',
    z.object({ snapshot_id: SnapshotId.optional(), number: Count }),
    z.object({ snapshot_id: SnapshotId, head: SnapshotHead, number: Count, chunk: Bytes }),
  ),
  restore_chunk: command(
    ['peer'],
    'gives a peer that holds no group the next chunk of a backup, from number 0 on, which begins anew; the group is then founded by `bootstrap` with `restore`. `stored`: how many of it the peer has',
    z.object({ restore_id: SnapshotId, number: Count, chunk: BytesOrBase64 }),
    z.object({ stored: Count }),
  ),
  snapshot: command(
    ['peer'],
    'takes a snapshot of this peer’s state and lets the log before it go, but for the margin; answers when that counts',
    Empty,
    SnapshotReply,
  ),
} as const;

export type AdminCommands = typeof adminCommands;
export type AdminCommand = keyof AdminCommands;

/** Those that change nothing: one that fails is not done. */
export const readCommands: readonly AdminCommand[] = ['status', 'get_leader', 'check', 'read_snapshot'];
export type AdminRequest<C extends AdminCommand> = z.infer<AdminCommands[C]['request']>;
export type AdminReply<C extends AdminCommand> = z.infer<AdminCommands[C]['reply']>;

export function isAdminCommand(name: string): name is AdminCommand {
  return Object.hasOwn(adminCommands, name);
}
