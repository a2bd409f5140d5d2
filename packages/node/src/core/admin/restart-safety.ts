/**
 * Which peers may be restarted now (promises 23 and 27): a peer may be, if the other members can commit entries without it. Only
 * the leader knows.
 * The other members must fulfil two conditions. First, a majority of each set of the configuration stores entries: their
 * log-stores have acknowledged entries lately; it is not enough that their nodes respond. Second, a peer leads: this leader, if
 * it is one of them and healthy; or a peer that they elect. For an election, a majority of peers that can lead is enough, because
 * the one of them with the most up-to-date log can be elected.
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
import type { LeaderState } from '../leader/index.js';
import type { LocalActors } from '../local/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

export interface RestartView {
  readonly context: StepContext;
  readonly state: NodeState;
  readonly actors: LocalActors;
  readonly leadership: LeaderState;
  /** The peers that the running change adds. */
  readonly newPeers: readonly PeerId[];
}

/** Why a member cannot store entries now, and why it cannot lead; empty: it can. */
interface Problem {
  readonly storing: string;
  readonly leading: string;
}

type Problems = ReadonlyMap<Member, Problem>;

/** Returns the advice for each member of the effective configuration and each new peer, in the order of their names. */
export function restartSafety(view: RestartView): Restart[] {
  const configuration = view.state.log.configuration?.configuration;
  if (configuration === undefined) return [];
  const sets = [configuration.peers, configuration.old_peers]
    .filter((members) => members.length > 0)
    .map((members): Problems => new Map(members.map((member) => [member, problemOf(view, member)])));
  const members = new Set(sets.flatMap((set) => peerIds([...set.keys()])));
  const all = [...new Set([...members, ...view.newPeers])].sort();
  return all.map((peer_id) => {
    const reason =
      sets.map((set) => reasonAgainst(view, set, peer_id)).find((rejection) => rejection !== '') ??
      (members.has(peer_id) ? undefined : reasonAgainstNew(view, peer_id));
    return { peer_id, may: reason === undefined, reason: reason ?? '' };
  });
}

/** Returns why a peer that the change in progress adds must not be restarted; undefined: it may be, as the change does not progress with it. */
function reasonAgainstNew(view: RestartView, peerId: PeerId): string | undefined {
  const { leadership } = view;
  const progress = leadership.progress(peerId);
  if (progress === undefined || progress.silent_ms < 0) return undefined;
  const { silent_ms, stored_ms = silent_ms, install } = progress;
  const quietMs = leadership.confirmation.reportAgeMs + Math.max(silent_ms, install === null ? stored_ms : 0);
  return quietMs > recentMs(view) ? undefined : 'the change in progress waits for it';
}

/** Returns why the rest of this set could commit nothing without the peer; empty: it could. */
function reasonAgainst(view: RestartView, set: Problems, without: PeerId): string {
  const others = [...set].filter(([{ peer_id }]) => peer_id !== without);
  const needed = majority(set.size);
  if (others.length < needed) return `${needed} of ${set.size} are needed: no peer can be spared`;
  const storing = shortage(others, needed, ({ storing }) => storing);
  if (storing !== undefined) {
    return `without it ${storing.good} of ${set.size} would continue, and ${needed} are needed: ${storing.bad}`;
  }
  if (without !== view.state.peerId && leaderProblem(view) === '') return '';
  const leading = shortage(others, needed, ({ storing, leading }) => storing || leading);
  if (leading === undefined) return '';
  return `without it ${leading.good} of ${set.size} could elect a leader, and ${needed} are needed: ${leading.bad}`;
}

/** Returns how many of these have no problem, and the problems of the others; undefined: enough have none. */
function shortage(
  members: readonly (readonly [Member, Problem])[],
  needed: number,
  problemIn: (problem: Problem) => string,
): { good: number; bad: string } | undefined {
  const bad = members.filter(([, problem]) => problemIn(problem) !== '');
  const good = members.length - bad.length;
  if (good >= needed) return undefined;
  return { good, bad: bad.map(([{ peer_id }, problem]) => `${peer_id} ${problemIn(problem)}`).join(', ') };
}

function problemOf(view: RestartView, member: Member): Problem {
  // A leader whose lost store is being replaced has another store than the old set names.
  const isOwn = member.peer_id === view.state.peerId && member.store_id === view.state.storeId;
  if (isOwn) return { storing: ownProblem(view), leading: leaderProblem(view) };
  const progress = view.leadership.progress(member.peer_id);
  return { storing: targetProblem(view, member, progress), leading: leadingProblem(progress) };
}

/** Returns why this member would not lead, or not soon, or empty. */
function leadingProblem(progress: Progress | undefined): string {
  if (progress?.lacks_actor === true) return 'has a silent actor and does not campaign';
  if (progress?.cannot_lead === true) return 'cannot lead';
  return progress?.unapplied === true ? 'has not applied what is committed' : '';
}

/**
 * Within this time a peer that stores entries has acknowledged some: each tick causes acknowledgements, and reports come with
 * ticks.
 */
function recentMs({ context: { options } }: RestartView): number {
  return Math.max(options.electionTimeoutMs / 2, 3 * options.heartbeatIntervalMs);
}

/** Returns why this leader stores nothing itself now; empty: it does. */
function ownProblem(view: RestartView): string {
  if (view.state.readOnlyReason !== '') return 'is read-only';
  const ageMs = view.leadership.confirmation.ownStoredAgeMs;
  return ageMs > recentMs(view) ? `has stored nothing for ${Math.floor(ageMs)} ms` : '';
}

/** Returns why this leader may soon lose its leadership; empty: no reason is known. */
function leaderProblem(view: RestartView): string {
  const silent = view.actors.silent(recentMs(view));
  if (silent.length > 0) return `lacks its own ${silent.join(' and ')}`;
  return view.state.cannotLead === '' ? ownProblem(view) : 'cannot lead';
}

/** Returns why this member cannot be relied on to store entries now; empty: it can. */
function targetProblem(view: RestartView, { store_id }: Member, progress: Progress | undefined): string {
  if (progress === undefined || progress.silent_ms < 0) return 'has not responded yet';
  if (progress.refusal !== '' || progress.store_id !== store_id) return 'has another store';
  const silentMs = Math.floor(progress.silent_ms + view.leadership.confirmation.reportAgeMs);
  if (silentMs > recentMs(view)) return `is silent for ${silentMs} ms`;
  if (progress.read_only) return 'is read-only';
  const { install, state, stored_ms = progress.silent_ms, match_index } = progress;
  if (install !== null || state === 'install') return 'installs a snapshot';
  if (stored_ms < 0) return 'has stored nothing of this leader’s yet';
  const storedMs = Math.floor(stored_ms + view.leadership.confirmation.reportAgeMs);
  if (storedMs > recentMs(view)) return `has stored nothing for ${storedMs} ms`;
  const lag = view.state.log.lastIndex - match_index;
  return lag > catchupMargin ? `lags by ${lag} entries` : '';
}
