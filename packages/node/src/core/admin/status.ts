/** What a node reports of itself. */
import type {
  Configuration,
  GroupId,
  GroupUid,
  Levels,
  PeerId,
  Restart,
  Role,
  StatusReply,
  Term,
} from '@conclave/protocol';
import type { NodeOptions } from '../inputs-and-effects.js';
import type { LeaderState } from '../leader/index.js';
import type { LocalActors } from '../local/index.js';
import { build } from '../local/index.js';
import type { ConfigurationChange } from '../membership/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import { restartSafety } from './restart-safety.js';

export interface NodeHealth {
  readonly healthy: boolean;
  /** Why it is not healthy; of a healthy node, empty or a remark. */
  readonly reason: string;
}

export interface NodeSummary {
  readonly role: Role;
  readonly term: Term;
  readonly leader_id: PeerId | '';
  readonly commit_index: number;
  readonly applied_index: number;
  readonly last_index: number;
  readonly session: number;
  readonly group_uid: GroupUid;
  /** The group's feature level, by the newest configuration of this peer's log. */
  readonly level: number;
  readonly version: string;
  /** The feature levels that this peer supports; null: not known yet. */
  readonly levels: Levels | null;
}

/** @param leaderId the leader, as far as this peer knows */
export function summary(state: NodeState, { version = '' }: NodeOptions, leaderId: PeerId | ''): NodeSummary {
  return {
    role: state.role,
    term: state.term,
    leader_id: leaderId,
    commit_index: state.commitIndex,
    applied_index: state.appliedIndex,
    last_index: state.log.lastIndex,
    session: state.session,
    group_uid: state.groupUid,
    level: state.level,
    version,
    levels: state.peerLevels,
  };
}

/**
 * @param stuck what makes no progress, or empty
 * @param storeRefusal why the group does not count this store, or undefined
 * @param isRestoring the state is being restored from a snapshot
 * @param divergence why the state is not used, or empty
 */
export function health(
  state: NodeState,
  actors: LocalActors,
  isRemoved: boolean,
  stuck: string,
  storeRefusal: string | undefined,
  isRestoring: boolean,
  divergence: string,
): NodeHealth {
  const sick = (reason: string): NodeHealth => ({ healthy: false, reason });
  if (state.role === 'opening') return sick('its log-store does not answer');
  if (state.role === 'fenced') return sick('fenced: another node has opened its log-store');
  if (storeRefusal !== undefined) return sick(storeRefusal);
  if (isRemoved) return sick('removed: this peer is no longer a member of the group');
  const silent = actors.silent();
  if (silent.length > 0) return sick(`silent: ${silent.join(', ')}`);
  if (divergence !== '') return sick(divergence);
  if (state.cannotLead !== '') return sick(state.cannotLead);
  if (state.storageProblem !== '') return sick(`log-store: ${state.storageProblem}`);
  if (state.groupUid === '') return { healthy: true, reason: 'holds no data of the group yet' };
  if (state.leaderId === '') return sick('knows no leader');
  // It does everything but answer reads. It counts as healthy: a supervisor that restarts unhealthy processes would restart it
  // again and again.
  if (isRestoring) return { healthy: true, reason: 'restores its state from a snapshot' };
  if (stuck !== '') return sick(stuck);
  if (state.readOnlyReason === '') return { healthy: true, reason: '' };
  return { healthy: true, reason: `read-only: ${state.readOnlyReason === 'told' ? 'operator' : state.readOnlyReason}` };
}

/** Which members may be restarted now, of this configuration. */
export interface RestartAdvice {
  readonly configuration: Configuration | null;
  readonly restart: readonly Restart[];
}

/** Returns a leader's advice. */
export function restartAdvice(
  context: StepContext,
  state: NodeState,
  actors: LocalActors,
  leadership: LeaderState,
  change: ConfigurationChange,
): { configuration: Configuration | null; restart: Restart[] } {
  const configuration = state.log.configuration?.configuration ?? null;
  return {
    configuration,
    restart: restartSafety({ context, state, actors, leadership, newPeers: change.catchingUpPeers }),
  };
}

export function status(
  context: StepContext,
  state: NodeState,
  actors: LocalActors,
  leadership: LeaderState,
  change: ConfigurationChange,
  nodeHealth: NodeHealth,
  snapshots: Pick<
    StatusReply,
    'leader_id' | 'snapshot' | 'taking' | 'restoring' | 'installing' | 'other_history' | 'states'
  >,
): StatusReply {
  const leads = state.role === 'leader';
  const { log } = state;
  return {
    group_id: context.options.groupId as GroupId,
    group_uid: state.groupUid,
    peer_id: state.peerId,
    store_id: state.storeId,
    session: state.session,
    role: state.role,
    term: state.term,
    configuration: log.configuration?.configuration ?? null,
    configuration_index: log.configuration?.index ?? (0 as never),
    stage: leads ? change.stage : 'none',
    first_index: log.firstIndex,
    last_index: log.lastIndex,
    last_term: log.lastTerm,
    commit_index: state.commitIndex,
    applied_index: state.appliedIndex,
    ...snapshots,
    lacking: leads ? leadership.missingVotes : { peers: [], old_peers: [] },
    progress: leads ? leadership.allProgress : [],
    changes: change.history(),
    health: nodeHealth,
    restart: leads ? restartAdvice(context, state, actors, leadership, change).restart : [],
    read_only: state.readOnlyReason,
    disk_free_bytes: state.diskFreeBytes,
    election_timeout_ms: Math.floor(context.options.electionTimeoutMs),
    ...build(context.options, state),
    level: state.level,
    dropped: { ...context.dropped },
  };
}
