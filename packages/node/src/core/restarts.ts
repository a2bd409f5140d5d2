/**
 * Which peers may be restarted now (promises 23 and 27): those without which the rest can commit entries, now. The leader
 * alone knows.
 *
 * Two things are needed of the rest. A majority of each set of the configuration stores entries: its log-stores have
 * acknowledged within the last moments, not only its nodes. And somebody leads: this leader, if it is one of the rest and
 * whole, or whoever is elected, for which a majority that can lead suffices, as one of them has the longest log of it.
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
import type { OwnActors } from './own-actors.js';
import type { NodeState } from './state.js';

export interface RestartView {
  readonly context: NodeContext;
  readonly state: NodeState;
  readonly own: OwnActors;
  readonly leadership: Leadership;
  /** Who is to come in by the change that is going on. */
  readonly joiners: readonly PeerId[];
}

/** Why the group cannot count on a member now: for storing entries, and for leading; empty: it can. */
interface Trouble {
  readonly storing: string;
  readonly leading: string;
}

type Troubles = ReadonlyMap<Member, Trouble>;

/** Of each member of the configuration in force and each joiner, in the order of their names. */
export function restarts(view: RestartView): Restart[] {
  const configuration = view.state.log.configuration?.configuration;
  if (configuration === undefined) return [];
  const sets = [configuration.peers, configuration.old_peers]
    .filter((members) => members.length > 0)
    .map((members): Troubles => new Map(members.map((member) => [member, troubleOf(view, member)])));
  const members = new Set(sets.flatMap((set) => peerIds([...set.keys()])));
  const all = [...new Set([...members, ...view.joiners])].sort();
  return all.map((peer_id) => {
    const reason = members.has(peer_id)
      ? sets.map((set) => reasonAgainst(view, set, peer_id)).find((against) => against !== '')
      : 'the change that is going on waits for it';
    return { peer_id, may: reason === undefined, reason: reason ?? '' };
  });
}

/** Why the rest of this set could commit nothing without the peer, or empty. */
function reasonAgainst(view: RestartView, set: Troubles, without: PeerId): string {
  const others = [...set].filter(([{ peer_id }]) => peer_id !== without);
  const needed = majority(set.size);
  if (others.length < needed) return `${needed} of ${set.size} are needed: nobody can be spared`;
  const storing = shortage(others, needed, ({ storing }) => storing);
  if (storing !== undefined) {
    return `without it ${storing.good} of ${set.size} would go on, and ${needed} are needed: ${storing.bad}`;
  }
  if (without !== view.state.peerId && leaderTrouble(view) === '') return '';
  const leading = shortage(others, needed, ({ storing, leading }) => storing || leading);
  if (leading === undefined) return '';
  return `without it ${leading.good} of ${set.size} could elect a leader, and ${needed} are needed: ${leading.bad}`;
}

/** How many of these are without trouble, and what the others have; undefined: enough are. */
function shortage(
  members: readonly (readonly [Member, Trouble])[],
  needed: number,
  troubleIn: (trouble: Trouble) => string,
): { good: number; bad: string } | undefined {
  const bad = members.filter(([, trouble]) => troubleIn(trouble) !== '');
  const good = members.length - bad.length;
  if (good >= needed) return undefined;
  return { good, bad: bad.map(([{ peer_id }, trouble]) => `${peer_id} ${troubleIn(trouble)}`).join(', ') };
}

function troubleOf(view: RestartView, member: Member): Trouble {
  // A leader whose lost store is being replaced has another one than the old set says.
  const isOwn = member.peer_id === view.state.peerId && member.store_id === view.state.storeId;
  if (isOwn) return { storing: ownTrouble(view), leading: leaderTrouble(view) };
  const progress = view.leadership.progress(member.peer_id);
  const cannotLead = progress?.cannot_lead === true ? 'cannot lead' : '';
  return {
    storing: targetTrouble(view, member, progress),
    leading: progress?.lacks_actor === true ? 'has a silent actor and does not campaign' : cannotLead,
  };
}

/** Within this time a peer that stores entries has acknowledged some. Ticks cause acknowledgements, reports come with ticks. */
function recentMs({ context: { options } }: RestartView): number {
  return Math.max(options.electionTimeoutMs / 2, 3 * options.heartbeatIntervalMs);
}

/** Why this leader stores nothing itself now, or empty. */
function ownTrouble(view: RestartView): string {
  if (view.state.readOnlyReason !== '') return 'is read-only';
  const ageMs = view.leadership.ownStoredAgeMs;
  return ageMs > recentMs(view) ? `has stored nothing for ${Math.floor(ageMs)} ms` : '';
}

/** Why this leader may not lead for much longer, or empty. */
function leaderTrouble(view: RestartView): string {
  const silent = view.own.silent(recentMs(view));
  if (silent.length > 0) return `lacks its own ${silent.join(' and ')}`;
  return view.state.cannotLead === '' ? ownTrouble(view) : 'cannot lead';
}

/** Why the group cannot count on this member to store entries now, or empty. */
function targetTrouble(view: RestartView, { store_id }: Member, progress: Progress | undefined): string {
  if (progress === undefined || progress.silent_ms < 0) return 'has not been heard of';
  if (progress.refusal !== '' || progress.store_id !== store_id) return 'has another store';
  const silentMs = Math.floor(progress.silent_ms + view.leadership.reportAgeMs);
  if (silentMs > recentMs(view)) return `is silent for ${silentMs} ms`;
  if (progress.read_only) return 'is read-only';
  const { install, state, stored_ms = progress.silent_ms, match_index } = progress;
  if (install !== null || state === 'install') return 'installs a snapshot';
  if (stored_ms < 0) return 'has stored nothing of this leader’s yet';
  const storedMs = Math.floor(stored_ms + view.leadership.reportAgeMs);
  if (storedMs > recentMs(view)) return `has stored nothing for ${storedMs} ms`;
  const lag = view.state.log.lastIndex - match_index;
  return lag > catchupMargin ? `lags by ${lag} entries` : '';
}
