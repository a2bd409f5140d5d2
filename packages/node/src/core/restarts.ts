/**
 * Which peers may be restarted now (promise 23): those without which a majority of each set of the configuration goes on
 * taking entries in step with the leader. The leader alone knows.
 */
import {
  catchupMargin,
  type Member,
  majority,
  type PeerId,
  type Progress,
  peerIds,
  type Restart,
} from '@conclave/protocol';
import type { NodeContext } from './context.js';
import type { Leadership } from './leadership.js';
import type { NodeState } from './state.js';

export interface RestartView {
  readonly context: NodeContext;
  readonly state: NodeState;
  readonly leadership: Leadership;
  /** Who is to come in by the change that is going on. */
  readonly joiners: readonly PeerId[];
}

/** Of each member of the configuration in force and each joiner, in the order of their names. */
export function restarts(view: RestartView): Restart[] {
  const configuration = view.state.log.configuration?.configuration;
  if (configuration === undefined) return [];
  const sets = [configuration.peers, configuration.old_peers].filter((members) => members.length > 0);
  const members = new Set(sets.flatMap((set) => peerIds(set)));
  const all = [...new Set([...members, ...view.joiners])].sort();
  return all.map((peer_id) => {
    const reason = members.has(peer_id)
      ? sets.map((set) => reasonAgainst(view, set, peer_id)).find((against) => against !== '')
      : 'the change that is going on waits for it';
    return { peer_id, may: reason === undefined, reason: reason ?? '' };
  });
}

/** Why this set would have no quorum without the peer, or empty. */
function reasonAgainst(view: RestartView, set: readonly Member[], without: PeerId): string {
  if (!peerIds(set).includes(without)) return '';
  const others = set.filter(({ peer_id }) => peer_id !== without);
  const needed = majority(set.length);
  if (others.length < needed) return `${needed} of ${set.length} are needed: nobody can be spared`;
  const troubles = others.map((member) => [member.peer_id, troubleOf(view, member)] as const);
  const bad = troubles.filter(([, trouble]) => trouble !== '');
  const good = others.length - bad.length;
  if (good >= needed) return '';
  const told = bad.map(([peerId, trouble]) => `${peerId} ${trouble}`).join(', ');
  return `without it ${good} of ${set.length} would go on, and ${needed} are needed: ${told}`;
}

/** Why the group cannot count on this member now, or empty. */
function troubleOf({ context, state, leadership }: RestartView, { peer_id, store_id }: Member): string {
  if (peer_id === state.peerId) return state.readOnlyReason === '' ? '' : 'is read-only';
  const progress = leadership.progress(peer_id);
  if (progress === undefined || progress.silent_ms < 0) return 'has not been heard of';
  if (progress.refusal !== '' || progress.store_id !== store_id) return 'has another store';
  if (progress.silent_ms > context.options.electionTimeoutMs) return `is silent for ${progress.silent_ms} ms`;
  if (progress.read_only) return 'is read-only';
  return lagOf(progress, state.log.lastIndex);
}

function lagOf({ install, match_index, state }: Progress, lastIndex: number): string {
  if (install !== null || state === 'install') return 'installs a snapshot';
  const lag = lastIndex - match_index;
  return lag > catchupMargin ? `lags by ${lag} entries` : '';
}
