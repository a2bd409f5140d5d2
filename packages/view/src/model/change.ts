/** The membership change in progress: its stages, its new peers, and the majorities of its entries, vote by vote. */
import { viewLimits } from '@conclave/protocol/limits';
import type { KnownEventRecord, MessageRecord, StatusRecord } from '../records/record.js';
import { peerOf, setConfiguration, updateMembership } from './peers.js';
import type { Ballot, CatchUp, ChangeState, Majority, ViewState } from './view-state.js';

/** The rate of a new peer is that of this time. */
const rateMs = 3000;

export function foldChangeEvent(state: ViewState, record: KnownEventRecord): void {
  const { at } = record;
  switch (record.name) {
    case 'stage_changed':
      return foldStage(state, at, record.body);
    case 'catchup_progress':
      return foldProgress(state, at, record.body);
    case 'change_failed': {
      const change = current(state, record.body.old_peers, record.body.new_peers);
      if (change !== undefined)
        end(state, change, at, 'failed', `${record.body.error.code}: ${record.body.error.message}`);
      return;
    }
    case 'leader_elected':
      return adopt(state, record.body.peers, record.body.old_peers);
    case 'configuration_appended':
    case 'configuration_truncated':
      return foldAppended(state, record.body);
    case 'configuration_committed':
      return foldCommitted(state, at, record.body);
    default:
      return;
  }
}

/** Before anything else is known: the configuration of the leader. */
function adopt(state: ViewState, peers: readonly string[], oldPeers: readonly string[]): void {
  if (state.configuration === null) setConfiguration(state, 0, peers, oldPeers);
}

function current(
  { change }: ViewState,
  oldPeers: readonly string[],
  newPeers: readonly string[],
): ChangeState | undefined {
  if (change?.outcome !== 'going_on') return undefined;
  return isSameSet(change.oldPeers, oldPeers) && isSameSet(change.newPeers, newPeers) ? change : undefined;
}

function foldStage(state: ViewState, at: number, body: KnownEventRecord<'stage_changed'>['body']): void {
  let change = current(state, body.old_peers, body.new_peers);
  if (body.stage === 'none') {
    if (change !== undefined) end(state, change, at, 'done', '');
    return;
  }
  change ??= begin(state, at, body.kind, body.old_peers, body.new_peers);
  change.term = body.term;
  // A new leader reports the stage again in which it finds the change.
  if (change.stage === body.stage) return;
  closeStage(change, at);
  change.stage = body.stage;
  change.stages.push({ stage: body.stage, from: at, to: null });
  if (change.stages.length > viewLimits.changes) change.stages.shift();
  if (body.stage !== 'catching_up') {
    // Its entry is appended only once all new peers have caught up.
    for (const one of Object.values(change.catchUp))
      Object.assign(one, { percent: 100, state: 'caught_up', remainingMs: 0 });
  }
  const { configuration } = state;
  // The entry of the stage may have been reported before the stage.
  if (configuration !== null) openBallot(state, configuration.index, configuration.peers, configuration.oldPeers);
}

/** The changes that a leader remembers, for a page that has not observed them: the one in progress, and the outcome of the others. */
export function foldKnownChanges(state: ViewState, at: number, status: NonNullable<StatusRecord['status']>): void {
  if (state.change !== null || state.pastChanges.length > 0) return;
  for (const { kind, old_peers, new_peers, stage, state: outcome, error } of status.changes) {
    const change = begin(state, at, kind, old_peers, new_peers);
    change.term = status.term;
    if (outcome === 'going_on') {
      change.stage = stage;
      change.stages.push({ stage, from: at, to: null });
      const { configuration } = state;
      if (configuration !== null) openBallot(state, configuration.index, configuration.peers, configuration.oldPeers);
    } else {
      const why = error === undefined ? '' : `${error.code}: ${error.message}`;
      end(state, change, at, outcome === 'done' ? 'done' : 'failed', why);
      // Their times are unknown.
      state.pastChanges.push(change);
      state.change = null;
    }
  }
  updateMembership(state);
}

function begin(
  state: ViewState,
  at: number,
  kind: string,
  oldPeers: readonly string[],
  newPeers: readonly string[],
): ChangeState {
  if (state.change !== null) {
    if (state.change.outcome === 'going_on') end(state, state.change, at, 'failed', 'another change began');
    state.pastChanges.push(state.change);
    if (state.pastChanges.length > viewLimits.changes) state.pastChanges.shift();
  }
  const change: ChangeState = {
    id: state.nextId,
    kind,
    term: 0,
    oldPeers: [...oldPeers],
    newPeers: [...newPeers],
    adding: newPeers.filter((peer) => !oldPeers.includes(peer)),
    removing: oldPeers.filter((peer) => !newPeers.includes(peer)),
    stage: 'none',
    stages: [],
    startedAt: at,
    endedAt: null,
    outcome: 'going_on',
    error: '',
    catchUp: {},
    ballots: [],
  };
  state.nextId += 1;
  for (const peer of change.adding) change.catchUp[peer] = newCatchUp();
  state.change = change;
  for (const peer of [...oldPeers, ...newPeers]) peerOf(state, peer);
  updateMembership(state);
  return change;
}

function end(state: ViewState, change: ChangeState, at: number, outcome: 'done' | 'failed', error: string): void {
  closeStage(change, at);
  change.stage = 'none';
  change.outcome = outcome;
  change.error = error;
  change.endedAt = at;
  updateMembership(state);
}

function closeStage(change: ChangeState, at: number): void {
  const last = change.stages.at(-1);
  if (last !== undefined) last.to ??= at;
}

function newCatchUp(): CatchUp {
  return { percent: 0, state: 'never_heard_of', match: 0, last: 0, lag: 0, rate: null, remainingMs: null, samples: [] };
}

function foldProgress(state: ViewState, at: number, body: KnownEventRecord<'catchup_progress'>['body']): void {
  const progress = state.change?.outcome === 'going_on' ? state.change.catchUp[body.new_peer] : undefined;
  if (progress === undefined) return;
  const entries = body.last_index === 0 ? 0 : Math.floor((100 * body.match_index) / body.last_index);
  // The entries after a snapshot are few compared with it; 100 is for peers that have caught up.
  const ratio = body.state === 'installing' ? body.percent : entries;
  const reached = body.state === 'caught_up' ? 100 : Math.min(ratio, 99);
  progress.percent = Math.max(progress.percent, reached);
  progress.state = body.state;
  progress.match = body.match_index;
  progress.last = body.last_index;
  progress.lag = body.lag;
  progress.samples.push({ at, match: body.match_index, last: body.last_index });
  while (progress.samples.length > 2 && (progress.samples[0]?.at ?? at) < at - rateMs) progress.samples.shift();
  if (progress.samples.length > viewLimits.changes) progress.samples.splice(1, 1);
  const first = progress.samples[0];
  if (first === undefined || first.at === at) return;
  const seconds = (at - first.at) / 1000;
  progress.rate = Math.max(0, (body.match_index - first.match) / seconds);
  const gain = progress.rate - (body.last_index - first.last) / seconds;
  progress.remainingMs = body.state === 'caught_up' ? 0 : gain > 0 ? Math.round((body.lag / gain) * 1000) : null;
}

/** Each peer reports each configuration that takes effect at it; the newest one counts here. */
function foldAppended(state: ViewState, body: KnownEventRecord<'configuration_appended'>['body']): void {
  const isLeader = body.peer_id === state.leader;
  const known = state.configuration?.index ?? 0;
  // A truncated entry leaves an older configuration in effect.
  if (body.index < known && !isLeader) return;
  if (body.index !== known || state.configuration === null)
    setConfiguration(state, body.index, body.peers, body.old_peers);
  openBallot(state, body.index, body.peers, body.old_peers);
}

/** The entry of the current change's stage: its majorities are empty first. */
function openBallot(state: ViewState, index: number, peers: readonly string[], oldPeers: readonly string[]): void {
  const { change } = state;
  if (change?.outcome !== 'going_on' || index === 0) return;
  if (change.ballots.some((ballot) => ballot.index === index)) return;
  const stage = oldPeers.length > 0 ? 'joint' : 'stable';
  // The configuration before the change is not an entry of it.
  if (stage === 'stable' && (!isSameSet(peers, change.newPeers) || isSameSet(change.oldPeers, change.newPeers))) return;
  const majorities = stage === 'joint' ? [majority('old', oldPeers), majority('new', peers)] : [majority('all', peers)];
  const ballot: Ballot = { stage, index, majorities, committedAt: null };
  change.ballots.push(ballot);
  if (change.ballots.length > viewLimits.changes) change.ballots.shift();
}

function majority(set: Majority['set'], peers: readonly string[]): Majority {
  return { set, peers: [...peers], stored: [], needed: Math.floor(peers.length / 2) + 1 };
}

/**
 * A log-store's acknowledgement is a vote for each entry up to its index. It counts also if the change is done: the acknowledgements of its
 * last entry may arrive after the event that reports its end.
 */
export function foldStored({ change }: ViewState, { at, name, fields, from, to }: MessageRecord): void {
  if (change === null || change.outcome === 'failed') return;
  // The simulator knows each receiver of a feed: votes are counted by the ballot-box alone.
  if (to.actor !== 'feed' && to.actor !== 'ballot-box' && name === 'feed.stored') return;
  // The next leader may lack the entry: then another one has its index.
  const term = fields.leader_term ?? fields.term;
  if (typeof term === 'number' && term !== change.term) return;
  if (name === 'feed.stored' && typeof fields.match_index === 'number') {
    for (const ballot of change.ballots) {
      if (fields.match_index >= ballot.index) vote(ballot, from.peer);
    }
  }
  if (name === 'feed.committed' && typeof fields.index === 'number') {
    for (const ballot of change.ballots) if (fields.index >= ballot.index) ballot.committedAt ??= at;
  }
}

function vote(ballot: Ballot, peer: string): void {
  for (const { peers, stored } of ballot.majorities) {
    if (peers.includes(peer) && !stored.includes(peer)) stored.push(peer);
  }
}

function foldCommitted(state: ViewState, at: number, body: KnownEventRecord<'configuration_committed'>['body']): void {
  state.commit = Math.max(state.commit, body.index);
  const stage = body.old_peers.length > 0 ? 'joint' : 'stable';
  const ballot = state.change?.ballots.find((one) => one.index === body.index && one.stage === stage);
  if (ballot === undefined || (stage === 'stable' && !isSameSet(body.peers, state.change?.newPeers ?? []))) return;
  ballot.committedAt ??= at;
  // The peer that reports it has stored it, or installed a snapshot of it.
  vote(ballot, body.peer_id);
}

/** A new leader that has no change in progress: the one of its predecessor is done, or was undone without an event. */
export function foldOutcome(state: ViewState, { at, status }: StatusRecord): void {
  const { change } = state;
  if (change?.outcome !== 'going_on' || status?.role !== 'leader') return;
  if (status.stage !== 'none' || status.term <= change.term) return;
  const { peers = [], old_peers: oldPeers = [] } = status.configuration ?? {};
  const isDone = oldPeers.length === 0 && isSameSet(names(peers), change.newPeers);
  const known = status.changes.findLast((one) => isSameSet(one.new_peers, change.newPeers));
  const reason = known?.error === undefined ? 'its leader was lost' : `${known.error.code}: ${known.error.message}`;
  end(state, change, at, isDone ? 'done' : 'failed', isDone ? '' : reason);
}

function names(members: readonly { readonly peer_id: string }[]): string[] {
  return members.map(({ peer_id }) => peer_id);
}

function isSameSet(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((peer) => other.includes(peer));
}
