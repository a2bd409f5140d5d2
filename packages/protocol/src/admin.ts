/** The admin commands: requests, replies, and where they are sent. */
import { z } from 'zod';
import { Configuration } from './configuration.js';
import { ErrorBody } from './errors.js';
import { BuildVersion, Levels } from './levels.js';
import { limits } from './limits.js';
import { Progress } from './messages.js';
import { SnapshotHead, SnapshotId } from './snapshot.js';
import { Bytes, Count, GroupId, GroupUid, LogIndex, PeerId, Session, StateDigest, StoreId, Term } from './types.js';

const timeout = { timeout_ms: z.number().int().min(1).max(86_400_000).optional() };
/** If given, any other leader refuses the command (EPERM). */
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

/** `heal`: the lost store of a member is replaced by its current one. `reset`: see `reset_peer`. */
export const ChangeKind = z.enum(['change', 'heal', 'reset']);
export type ChangeKind = z.infer<typeof ChangeKind>;

/** A membership change and its outcome. */
export const Change = z.object({
  kind: ChangeKind,
  old_peers: z.array(PeerId),
  new_peers: z.array(PeerId),
  state: z.enum(['going_on', 'done', 'undone']),
  stage: Stage,
  /** The term and index of its last configuration entry; 0: none was appended, or (of a term) it is no longer in the log. */
  term: Term,
  index: LogIndex,
  /** Why it was undone. */
  error: ErrorBody.optional(),
});
export type Change = z.infer<typeof Change>;

/** A stored snapshot. */
export const StoredSnapshot = z.object({
  snapshot_id: SnapshotId,
  /** Of the last entry that it covers. */
  index: LogIndex,
  term: Term,
  chunks: Count,
  bytes: Count,
});
export type StoredSnapshot = z.infer<typeof StoredSnapshot>;

/** A snapshot in progress: how many of its chunks are done. */
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
 * Why a peer accepts no entries. `told`: an operator made it read-only; `disk`: its disk has less free space than the reserve. Empty:
 * it accepts them.
 */
export const ReadOnlyReason = z.enum(['', 'told', 'disk']);
export type ReadOnlyReason = z.infer<typeof ReadOnlyReason>;

/** The result of comparing the members' states after one entry. */
export const ComparedStates = z.object({
  index: LogIndex,
  /** The members that replied. */
  members: z.array(z.object({ peer_id: PeerId, digest: StateDigest })),
  /** The members with another digest than the majority; without a majority all that replied, if they differ. */
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
  /** The term of the last entry; 0: the log is empty. The first version does not report it. */
  last_term: Term.optional(),
  commit_index: LogIndex,
  applied_index: LogIndex,
  /** The current snapshot of this peer. The log goes back to `first_index`. */
  snapshot: StoredSnapshot.nullable(),
  /** A snapshot that this peer is taking, and how much of it is written. */
  taking: z.object({ index: LogIndex, chunks: Count, bytes: Count }).nullable(),
  /** The restore of the state from the snapshot after a start; until it ends, stale reads are refused. */
  restoring: SnapshotPart.nullable(),
  /** A snapshot that the leader sends to this peer, as its log lacks entries that are compacted. */
  installing: SnapshotPart.nullable(),
  /** The members whose votes the lowest ungranted ballot lacks; leader only. */
  lacking: z.object({ peers: z.array(PeerId), old_peers: z.array(PeerId) }),
  /** Of each replicator; leader only. Its `caught_up` is meant for new peers only: see there. */
  progress: z.array(Progress),
  /** The last changes, newest last. */
  changes: z.array(Change),
  health: z.object({ healthy: z.boolean(), reason: z.string() }),
  /** Another history of this group with a leader, so that neither leader serves; leader only. */
  other_history: z.object({ group_uid: GroupUid, leader_id: PeerId }).nullable().optional(),
  /** The last comparison of the members' states; leader only. */
  states: ComparedStates.optional(),
  /** Of each member and new peer; leader only. */
  restart: z.array(Restart),
  /** Of this peer. */
  read_only: ReadOnlyReason,
  /** Of this peer. A leader considers a peer silent after that time without a message of it; undefined: an older version. */
  election_timeout_ms: Count.optional(),
  /** Free space on this peer's disk, as last reported; null: not yet. */
  disk_free_bytes: Count.nullable(),
  /** The build of this peer; undefined: the first version, as for the next two. */
  version: BuildVersion.optional(),
  /** The feature levels that all of its processes support; null: not known yet. */
  levels: Levels.nullable().optional(),
  /** The highest version of commands that its state machine reads; undefined: 0. */
  command_version: Count.optional(),
  /** The group's feature level, by this peer's log. */
  level: Count.optional(),
  /** Messages that were dropped, by reason. */
  dropped: z.record(z.string(), Count),
});
export type StatusReply = z.infer<typeof StatusReply>;

/** The levels that a member or new peer supports, and why it prevents a higher level; empty: it does not. */
export const PeerLevels = z.object({
  peer_id: PeerId,
  version: z.union([BuildVersion, z.literal('')]),
  /** Null: not reported recently. */
  levels: Levels.nullable(),
  holds_back: z.string(),
});
export type PeerLevels = z.infer<typeof PeerLevels>;

export const UpgradeReply = z.object({
  /** The group's feature level. */
  level: Count,
  /** The highest level that the leader supports: the group can be raised to it. */
  highest: Count,
  /** Of each member and new peer. */
  peers: z.array(PeerLevels),
  /** Why the level is not raised now, apart from the peers' levels; empty: it can be, or is the highest. */
  obstacle: z.string(),
  /** When the leader raises it automatically, in milliseconds from now, if nothing changes; null: it does not. */
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
  /** Whether this call created the group; false: it existed. */
  founded: z.boolean(),
});
export type BootstrapReply = z.infer<typeof BootstrapReply>;

export const ResetPeerReply = z.object({
  group_id: GroupId,
  /** The old history, and the one that replaces it. */
  old_group_uid: GroupUid,
  group_uid: GroupUid,
  /** How many times the group was reset. */
  epoch: Count,
  old_peers: z.array(PeerId),
  new_peers: z.array(PeerId),
  /** The end of this peer's log before. */
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

/** A command; a request with an unknown field is refused, as its sender relies on the field. */
function command<Shape extends z.ZodRawShape, Reply extends z.ZodType>(
  answeredBy: readonly ('group' | 'peer')[],
  purpose: string,
  request: z.ZodObject<Shape>,
  reply: Reply,
) {
  const command = { answeredBy, purpose, request: request.strict(), reply };
  return command satisfies Command<z.ZodType, z.ZodType>;
}

/** `taken`: now; otherwise nothing was applied since the last snapshot, which is returned. */
export const SnapshotReply = StoredSnapshot.extend({ first_index: LogIndex, taken: z.boolean() });
export type SnapshotReply = z.infer<typeof SnapshotReply>;

export const adminCommands = {
  add_peer: command(
    ['group'],
    'adds a peer, after it has caught up',
    z.object({ peer_id: PeerId, ...leader, ...timeout }),
    ChangeReply,
  ),
  remove_peer: command(['group'], 'removes a peer', z.object({ peer_id: PeerId, ...leader, ...timeout }), ChangeReply),
  change_peers: command(
    ['group'],
    'changes to this set of peers',
    z.object({ new_peers: PeerList, ...leader, ...timeout }),
    ChangeReply,
  ),
  cancel_change: command(['group'], 'cancels the change in progress', Empty, z.object({ cancelled: Change })),
  transfer_leader: command(
    ['group'],
    'transfers the leadership to a peer; to the most up-to-date one by default',
    z.object({ peer_id: PeerId.optional(), ...timeout }),
    Empty,
  ),
  upgrade: command(
    ['group'],
    'returns the feature level of the group, and which peers prevent a higher one; with `raise`: raises it if all support it, and replies when that is committed. This is irreversible',
    z.object({ raise: z.boolean().optional() }),
    UpgradeReply,
  ),
  status: command(['group', 'peer'], 'returns the state that the leader, or this peer, knows', Empty, StatusReply),
  bootstrap: command(
    ['peer'],
    'creates the group, unless it exists. Every peer that hosts a group of that name is asked first, listed or not, for at least three election timeouts; if a peer holds data and there is no leader, nothing is created (ENOTEMPTY)',
    z.object({
      peers: PeerList,
      /** Even if peers that are not listed hold an earlier group of that name without a leader. */
      new: z.boolean().optional(),
      /** With the state of a backup, all chunks of which this peer was given. */
      restore: z.object({ restore_id: SnapshotId, head: SnapshotHead }).optional(),
      ...timeout,
    }),
    BootstrapReply,
  ),
  read_only: command(
    ['peer'],
    'makes this peer read-only, or ends that; kept across restarts. It still votes and replies. `reason` is why it is read-only afterwards, possibly because of its disk',
    z.object({ read_only: z.boolean() }),
    z.object({ read_only: z.boolean(), reason: ReadOnlyReason }),
  ),
  reset_peer: command(
    ['peer'],
    'makes this peer continue with these members alone, if the quorum is lost permanently; data that only the others held is lost',
    z.object({ new_peers: PeerList }),
    ResetPeerReply,
  ),
  check: command(
    ['group'],
    'compares the states of all members now, by their digests after one entry; returns which members differ, and which did not reply',
    Empty,
    ComparedStates,
  ),
  get_leader: command(
    ['peer'],
    'returns the leader according to this peer',
    Empty,
    z.object({ leader_id: z.union([PeerId, z.literal('')]), term: Term }),
  ),
  read_snapshot: command(
    ['peer'],
    'reads a chunk of this peer’s current snapshot, for a backup; ENOENT: there is none, or another one than the one that is named',
    z.object({ snapshot_id: SnapshotId.optional(), number: Count }),
    z.object({ snapshot_id: SnapshotId, head: SnapshotHead, number: Count, chunk: Bytes }),
  ),
  restore_chunk: command(
    ['peer'],
    'sends the next chunk of a backup to a peer without data of the group; number 0 restarts. `bootstrap` with `restore` then creates the group. `stored`: how many chunks the peer has',
    z.object({ restore_id: SnapshotId, number: Count, chunk: BytesOrBase64 }),
    z.object({ stored: Count }),
  ),
  snapshot: command(
    ['peer'],
    'takes a snapshot of this peer’s state and compacts the log before it, except the margin; replies when it is current',
    Empty,
    SnapshotReply,
  ),
} as const;

export type AdminCommands = typeof adminCommands;
export type AdminCommand = keyof AdminCommands;

/** Commands that change nothing: a failed one is not done. */
export const readCommands: readonly AdminCommand[] = ['status', 'get_leader', 'check', 'read_snapshot'];
export type AdminRequest<C extends AdminCommand> = z.infer<AdminCommands[C]['request']>;
export type AdminReply<C extends AdminCommand> = z.infer<AdminCommands[C]['reply']>;

export function isAdminCommand(name: string): name is AdminCommand {
  return Object.hasOwn(adminCommands, name);
}
