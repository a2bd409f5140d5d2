/** What is known of each peer. */
import { viewLimits } from '@conclave/protocol/limits';
import type { FaultRecord, KnownEventRecord, StatusRecord } from '../records/record.js';
import { newPeer, type PeerState, type ViewState } from './view-state.js';

/** Returns a peer, which is added unless there are too many; undefined: there are, or it has no name. */
export function peerOf(state: ViewState, name: string): PeerState | undefined {
  // The second name would replace the prototype of the table.
  if (name === '' || name === '__proto__') return undefined;
  if (!Object.hasOwn(state.peers, name)) {
    if (Object.keys(state.peers).length >= viewLimits.peers) return undefined;
    state.peers[name] = newPeer(name);
    updateMembership(state);
  }
  return state.peers[name];
}

/** Computes each peer's membership from the configuration and the change in progress. */
export function updateMembership(state: ViewState): void {
  const { configuration, change } = state;
  const isChanging = change?.outcome === 'going_on';
  const now = configuration?.peers ?? [];
  const old = configuration !== null && configuration.oldPeers.length > 0 ? configuration.oldPeers : undefined;
  const from = old ?? (isChanging ? change.oldPeers : now);
  const to = old !== undefined ? now : isChanging ? change.newPeers : now;
  for (const peer of Object.values(state.peers)) {
    const [was, becomes] = [from.includes(peer.name), to.includes(peer.name)];
    peer.membership = was && becomes ? 'member' : was ? 'leaving' : becomes ? 'joining' : 'outside';
  }
}

export function setConfiguration(
  state: ViewState,
  index: number,
  peers: readonly string[],
  oldPeers: readonly string[],
): void {
  state.configuration = { index, peers: [...peers], oldPeers: [...oldPeers] };
  for (const name of [...peers, ...oldPeers]) peerOf(state, name);
  updateMembership(state);
}

/** Events in which a peer reports something about itself or another peer. */
export function foldPeerEvent(state: ViewState, { name, body }: KnownEventRecord): void {
  const peer = peerOf(state, body.peer_id);
  if (peer === undefined) return;
  peer.term = Math.max(peer.term, body.term);
  switch (name) {
    case 'leader_elected':
      return becomeLeader(state, peer, body.term);
    case 'leader_stepped_down':
      if (peer.role === 'leader') peer.role = 'follower';
      if (state.leader === peer.name) state.leader = '';
      return;
    case 'peer_unreachable': {
      const other = peerOf(state, body.unreachable_peer);
      if (other !== undefined) other.silentMs = body.silent_ms;
      return;
    }
    case 'peer_removed':
      peer.role = 'removed';
      return;
    case 'read_only_changed':
      peer.readOnly = body.reason;
      return;
    case 'peer_fenced':
      peer.role = 'fenced';
      peer.healthy = false;
      peer.reason = 'another node has opened its log-store';
      return;
    case 'actor_silent': {
      const actor = peer.actors[body.actor];
      if (actor !== undefined && actor.condition === 'up') actor.condition = 'down';
      return;
    }
    default:
      return;
  }
}

function becomeLeader(state: ViewState, peer: PeerState, term: number): void {
  if (term < state.term) return;
  const before = state.peers[state.leader];
  if (before !== undefined && before !== peer && before.role === 'leader') before.role = 'follower';
  state.leader = peer.name;
  state.term = term;
  peer.role = 'leader';
  peer.lag = 0;
  if (state.election?.candidate === peer.name) state.election.won = true;
}

/** What a peer replies to `status`; from the leader also about the others. */
export function foldStatus(state: ViewState, { at, peer: name, status, error }: StatusRecord): void {
  const peer = peerOf(state, name);
  if (peer === undefined) return;
  if (status === null) {
    peer.healthy = false;
    peer.reason = error === undefined ? 'does not reply' : `${error.code}: ${error.message}`;
    if (error?.code === 'EUNREACHABLE') peer.condition = 'down';
    // It does not run, and is nobody's concern.
    if (peer.condition === 'down' && peer.membership === 'outside') delete state.peers[name];
    if (state.leader === name && peer.condition === 'down') state.leader = '';
    if (peer.role === 'leader') peer.role = '';
    return;
  }
  peer.statusAt = at;
  // Whoever replies runs; a simulated peer that is cut off or slow still has a status.
  if (peer.condition === 'down' || peer.condition === 'paused') peer.condition = 'up';
  peer.role = status.role;
  peer.term = status.term;
  peer.commit = status.commit_index;
  peer.applied = status.applied_index;
  peer.last = status.last_index;
  peer.healthy = status.health.healthy;
  peer.reason = status.health.reason;
  peer.readOnly = status.read_only;
  peer.version = status.version ?? '';
  peer.installing = status.installing?.percent ?? -1;
  state.commit = Math.max(state.commit, status.commit_index);
  state.term = Math.max(state.term, status.term);
  if (status.configuration !== null && status.configuration_index >= (state.configuration?.index ?? 0)) {
    const names = (members: readonly { peer_id: string }[]) => members.map((member) => member.peer_id);
    const { peers, old_peers } = status.configuration;
    setConfiguration(state, status.configuration_index, names(peers), names(old_peers));
  }
  if (status.role === 'leader') foldLeaderStatus(state, peer, status);
  else if (state.leader === name && status.term >= state.term) state.leader = '';
}

function foldLeaderStatus(state: ViewState, leader: PeerState, status: NonNullable<StatusRecord['status']>): void {
  becomeLeader(state, leader, status.term);
  if (state.leader !== leader.name) return;
  state.last = status.last_index;
  state.applied = status.applied_index;
  state.level = status.level ?? 0;
  leader.match = status.last_index;
  leader.silentMs = 0;
  for (const progress of status.progress) {
    const peer = peerOf(state, progress.peer_id);
    if (peer === undefined || peer === leader) continue;
    // It has not replied to this leader: nothing is known of its log.
    const isKnown = progress.silent_ms >= 0;
    peer.match = isKnown ? progress.match_index : -1;
    peer.lag = isKnown ? Math.max(0, status.last_index - progress.match_index) : -1;
    peer.silentMs = progress.silent_ms;
  }
  for (const peer of Object.values(state.peers)) peer.mayRestart = null;
  for (const { peer_id, may, reason } of status.restart) {
    const peer = peerOf(state, peer_id);
    if (peer === undefined) continue;
    peer.mayRestart = may;
    peer.restartReason = reason;
  }
  foldLacking(state, status);
}

/**
 * The votes that the current ballot lacks: a peer of a majority that is not listed has stored the entry; one that is listed is
 * not counted, although the acknowledgement may be on its way.
 */
function foldLacking(
  { change }: ViewState,
  { stage, lacking, commit_index }: NonNullable<StatusRecord['status']>,
): void {
  const ballot = change?.ballots.at(-1);
  if (change?.outcome !== 'going_on' || ballot === undefined || ballot.stage !== stage) return;
  // The lowest ballot that is not granted is of this entry only if all before it are committed.
  if (ballot.committedAt !== null || commit_index !== ballot.index - 1) return;
  // A ballot that is not granted lacks something: the ballot-box has not reported it yet.
  if (lacking.peers.length === 0 && lacking.old_peers.length === 0) return;
  for (const majority of ballot.majorities) {
    const missing: readonly string[] = majority.set === 'old' ? lacking.old_peers : lacking.peers;
    majority.stored = majority.stored.filter((name) => !missing.includes(name));
    for (const name of majority.peers) {
      if (!missing.includes(name) && !majority.stored.includes(name)) majority.stored.push(name);
    }
  }
}

export function foldCondition(state: ViewState, { peer: name, actor, condition }: FaultRecord): void {
  const peer = peerOf(state, name);
  if (peer === undefined || condition === undefined) return;
  if (actor === undefined) {
    peer.condition = condition;
    for (const one of Object.values(peer.actors)) one.condition = condition;
    if (condition === 'down') {
      peer.role = '';
      if (state.leader === name) state.leader = '';
    }
  } else if (peer.actors[actor] !== undefined) peer.actors[actor].condition = condition;
}
