/** The output of `conclave status`: the group as its leader knows it, then a row for each peer as it knows itself. */
import {
  allMembers,
  type Change,
  catchupMargin,
  defaultTimes,
  isJoint,
  type PeerId,
  type Progress,
  peerIds,
  type Restart,
  type StatusReply,
  snapshotPercent,
} from '@conclave/protocol';
import { missingVotesText } from './change-view.js';
import { changeText, kindText, readOnlyText } from './event-line.js';
import { bytesText, configurationText, count, duration, levelsText, longDuration, stageNames } from './format.js';
import { type NewestConfiguration, newestFacts, type ReportedLeader } from './newest-configuration.js';
import type { PeerReply } from './peer-reply.js';
import { facts, table } from './tables.js';

export interface GroupStatus {
  /** The leader's reply; undefined: there is no leader. */
  readonly group: StatusReply | undefined;
  /** Without a leader: the newest configuration that any peer knows. */
  readonly newest?: NewestConfiguration | undefined;
  readonly peers: ReadonlyMap<PeerId, PeerReply>;
}

/**
 * Returns the peers to ask: the members of the configuration, the targets of the replicators, and other peers that were found.
 */
export function peersOf(group: StatusReply | undefined, found: readonly PeerId[]): PeerId[] {
  const members = group?.configuration ? peerIds(allMembers(group.configuration)) : [];
  const targets = group?.progress.map(({ peer_id: peerId }) => peerId) ?? [];
  return [...new Set([...members, ...targets, ...found])].toSorted();
}

export function statusText(groupId: string, { group, newest, peers }: GroupStatus): string {
  return [
    ...(group === undefined ? [leaderlessText(groupId, newest, peers)] : [groupText(group)]),
    peerTable(group, peers),
    ...lastKnownText(group, peers),
    ...restartReasons(group?.restart ?? []),
    ...changesText(group?.changes ?? []),
  ].join('\n\n');
}

function leaderlessText(groupId: string, newest: NewestConfiguration | undefined, peers: GroupStatus['peers']): string {
  const headline = `group ${groupId}: ${leadershipText(peers, newest?.reported_leaders ?? [])}`;
  return newest === undefined ? headline : [headline, facts(newestFacts(newest))].join('\n\n');
}

/**
 * No leader has replied for the group. A leader that no quorum confirms does not, until it steps down; but its node reports its own
 * status. Nor does one that this command cannot reach, though others can.
 */
function leadershipText(peers: GroupStatus['peers'], reported: readonly ReportedLeader[]): string {
  const leaders = [...peers].filter(([, answer]) => 'status' in answer && answer.status.role === 'leader');
  if (leaders.length === 0 && reported.length > 0) return reported.map(reportedText).join('; ');
  if (leaders.length === 0) return 'nobody leads';
  const names = leaders.map(([peerId]) => peerId).join(' and ');
  return `${names} still ${leaders.length === 1 ? 'leads' : 'lead'}, and no quorum confirms that: nobody answers for the group`;
}

function reportedText({ peer_id, reported_by }: ReportedLeader): string {
  const follow = `${reported_by.join(' and ')} ${reported_by.length === 1 ? 'follows' : 'follow'}`;
  return `${follow} ${peer_id}, which does not answer here`;
}

/**
 * One peer's own view, for `--peer`.
 * @param restart the leader's advice on its restart; undefined: there is no leader, or the peer is no member
 */
export function peerText(status: StatusReply, restart?: Restart): string {
  const dropped = Object.entries(status.dropped).filter(([, times]) => times > 0);
  return [
    facts([
      ['peer', `${status.peer_id} (store ${status.store_id}, session ${status.session})`],
      ['role', status.role],
      ['health', status.health.healthy ? 'healthy' : `unhealthy: ${status.health.reason}`],
      ['read-only', ownReadOnlyText(status)],
      ['may be restarted', restart === undefined ? 'not known' : restart.may ? 'yes' : `no: ${restart.reason}`],
      ...groupFacts(status),
      ...(dropped.length === 0
        ? []
        : [['dropped', dropped.map(([reason, times]) => `${reason} ${count(times)}`).join(', ')] as const]),
    ]),
    ...changesText(status.changes),
  ].join('\n\n');
}

function ownReadOnlyText({ read_only, disk_free_bytes }: StatusReply): string {
  const free = disk_free_bytes === null ? '' : ` (${bytesText(disk_free_bytes)} free)`;
  return (read_only === '' ? 'no' : `yes: ${readOnlyText(read_only)}`) + free;
}

/** Promise 23: which peers must not be restarted now, and why. */
function restartReasons(restarts: readonly Restart[]): string[] {
  const not = restarts.filter(({ may }) => !may);
  if (not.length === 0) return [];
  return [not.map(({ peer_id: peerId, reason }) => `${peerId} must not be restarted now: ${reason}`).join('\n')];
}

function groupText(group: StatusReply): string {
  return facts(groupFacts(group));
}

function groupFacts(status: StatusReply): (readonly [string, string])[] {
  const lacking = missingVotesText(status.stage, status.lacking);
  return [
    [
      'group',
      status.group_uid === '' ? `${status.group_id} (not founded)` : `${status.group_id} (${status.group_uid})`,
    ],
    ['leader', status.leader_id === '' ? 'unknown' : status.leader_id],
    ['term', count(status.term)],
    ['feature level', levelText(status)],
    ['configuration', `${configurationText(status.configuration)} at index ${count(status.configuration_index)}`],
    ['stage', stageText(status) + (lacking === '' ? '' : `; ${lacking}`)],
    ['log', `${count(status.first_index)} to ${count(status.last_index)}${lastTermText(status)}`],
    ['commit', `${count(status.commit_index)}, applied ${count(status.applied_index)}`],
    ...snapshotFacts(status),
  ];
}

/** Only the leader knows whether a change is in progress, except in the joint stage. */
function stageText({ role, stage, configuration }: StatusReply): string {
  if (role === 'leader') return stageNames[stage];
  return configuration !== null && isJoint(configuration) ? stageNames.joint : 'known to the leader only';
}

function lastTermText({ last_term: term }: StatusReply): string {
  return term === undefined ? '' : `, the last of term ${count(term)}`;
}

/** The group's level, and the version of the peer that replies. */
function levelText({ level = 0, version, levels }: StatusReply): string {
  const supported = levels === null ? 'not known yet' : levels === undefined ? '0' : levelsText(levels);
  return `${level} (this peer: ${version ?? 'the first version'}, supports ${supported})`;
}

/** Of the peer that replies: its current snapshot, and a snapshot that it takes, restores or receives. */
function snapshotFacts({ snapshot, taking, restoring, installing }: StatusReply): (readonly [string, string])[] {
  const parts = [
    ...(snapshot === null ? [] : [`index ${count(snapshot.index)}, ${bytesText(snapshot.bytes)}`]),
    ...(taking === null ? [] : [`taking one at index ${count(taking.index)}, ${bytesText(taking.bytes)} so far`]),
    ...(restoring === null ? [] : [`restoring at ${restoring.percent} %`]),
    ...(installing === null ? [] : [`installing one of index ${count(installing.index)} at ${installing.percent} %`]),
  ];
  return parts.length === 0 ? [] : [['snapshot', parts.join('; ')]];
}

function peerTable(group: StatusReply | undefined, peers: GroupStatus['peers']): string {
  const rows = [...peers].map(([peerId, answer]) => peerRow(peerId, answer, group));
  return table(['peer', 'role', 'term', 'match', 'lag', 'state', 'silent', 'build', 'restart', 'health'], rows, [
    'term',
    'match',
    'lag',
    'silent',
  ]);
}

function peerRow(peerId: PeerId, answer: PeerReply, group: StatusReply | undefined): string[] {
  const progress = progressOf(peerId, group);
  const isLeader = group?.peer_id === peerId;
  const match = isLeader ? group.last_index : progress?.match_index;
  const lag = group === undefined || match === undefined ? undefined : Math.max(0, group.last_index - match);
  const mark = isLastKnown(answer, progress, group) ? '*' : '';
  return [
    peerId,
    'error' in answer ? '-' : answer.status.role,
    'error' in answer ? '-' : count(answer.status.term),
    match === undefined ? '-' : count(match) + mark,
    lag === undefined ? '-' : count(lag) + mark,
    stateText(peerId, answer, group, progress, lag),
    progress === undefined ? '-' : progress.silent_ms < 0 ? 'never answered' : duration(progress.silent_ms),
    buildText(answer, progress),
    restartText(peerId, group),
    healthText(answer),
  ];
}

function progressOf(peerId: PeerId, group: StatusReply | undefined): Progress | undefined {
  return group?.progress.find(({ peer_id: target }) => target === peerId);
}

/** Whether the peer does not respond now, so that the leader's information about it may be outdated. */
function isLastKnown(answer: PeerReply, progress: Progress | undefined, group: StatusReply | undefined): boolean {
  if (progress === undefined || progress.silent_ms < 0) return false;
  return silenceOf(progress, group) !== '' || isDown(answer);
}

function lastKnownText(group: StatusReply | undefined, peers: GroupStatus['peers']): string[] {
  const hasMark = [...peers].some(([peerId, answer]) => isLastKnown(answer, progressOf(peerId, group), group));
  return hasMark ? ['* last known: the peer is silent, down or stores nothing now'] : [];
}

/** Nobody subscribes to the subject of its node. */
function isDown(answer: PeerReply): boolean {
  return 'error' in answer && answer.error.code === 'EUNREACHABLE';
}

/** How long the peer, or only its log-store, has been silent, if that is longer than a heartbeat explains; otherwise empty. */
function silenceOf(progress: Progress, group: StatusReply | undefined): string {
  const { silent_ms, stored_ms = 0, read_only, install, refusal } = progress;
  const longestMs = group?.election_timeout_ms ?? defaultTimes.electionTimeoutMs;
  if (silent_ms > longestMs) return `silent for ${longDuration(silent_ms)}`;
  if (read_only || install !== null || refusal !== '' || stored_ms < 0) return '';
  return stored_ms > longestMs ? `stores nothing for ${longDuration(stored_ms)}` : '';
}

/** Version and levels: as the peer itself reports them, otherwise as the leader knows them. */
function buildText(answer: PeerReply, progress: Progress | undefined): string {
  const { version, levels } = 'status' in answer ? answer.status : (progress ?? {});
  if (version === undefined && levels === undefined) return 'status' in answer ? 'level 0' : '-';
  return `${version ?? ''} level ${levels === null || levels === undefined ? '?' : levelsText(levels)}`.trim();
}

function restartText(peerId: PeerId, group: StatusReply | undefined): string {
  const restart = group?.restart.find(({ peer_id: of }) => of === peerId);
  return restart === undefined ? '-' : restart.may ? 'may' : 'must not';
}

/**
 * What the peer does now. Promise 12: a peer that never responded, one that lags, one that installs a snapshot, and one that has
 * caught up are distinguished. Promise 27: a silent peer has not caught up.
 */
function stateText(
  peerId: PeerId,
  answer: PeerReply,
  group: StatusReply | undefined,
  progress: Progress | undefined,
  lag: number | undefined,
): string {
  if (group === undefined) return 'status' in answer ? readOnlyState(answer) : isDown(answer) ? 'down' : 'silent';
  if (group.peer_id === peerId) return ['leader', readOnlyState(answer)].filter((text) => text !== '-').join(', ');
  if (progress === undefined || !isOrBecomesMember(peerId, group)) return 'not in the group';
  if (isDown(answer)) return progress.silent_ms < 0 ? 'down, never answered' : 'down';
  if (progress.refusal !== '') return `rejected: ${progress.refusal}`;
  const silence = silenceOf(progress, group);
  if (silence !== '') return silence;
  if (progress.silent_ms < 0) return 'never answered';
  if (progress.install !== null) {
    return `installing a snapshot at ${snapshotPercent(progress.install.stored, progress.install.chunks)} %`;
  }
  if (progress.read_only)
    return 'status' in answer && answer.status.read_only !== '' ? readOnlyState(answer) : 'read-only';
  // Under load the last entries are always in flight, so a peer with a small lag counts as up to date.
  if (progress.caught_up || (lag !== undefined && lag <= catchupMargin)) return 'up to date';
  return `lagging by ${count(lag ?? 0)}`;
}

/** Why the peer stores no new entries, and the free space of its disk; `-`: it stores them. */
function readOnlyState(answer: PeerReply): string {
  if ('error' in answer || answer.status.read_only === '') return '-';
  const { read_only, disk_free_bytes } = answer.status;
  const why = read_only === 'told' ? 'by an operator' : 'disk full';
  return `read-only: ${why}${disk_free_bytes === null ? '' : `, ${bytesText(disk_free_bytes)} free`}`;
}

/** The leader still replicates to a removed peer for a while, so that it learns of its removal. */
function isOrBecomesMember(peerId: PeerId, { configuration, changes }: StatusReply): boolean {
  const members = configuration === null ? [] : peerIds(allMembers(configuration));
  const wanted = changes.filter(({ state }) => state === 'going_on').flatMap((change) => change.new_peers);
  return members.includes(peerId) || wanted.includes(peerId);
}

/** What the column `health` shows instead of the code of an error. */
const unansweredTexts: Readonly<Record<string, string>> = {
  EUNREACHABLE: 'does not answer',
  ETIMEDOUT: 'no reply in time',
};

function healthText(answer: PeerReply): string {
  if ('error' in answer) {
    if (answer.reason !== undefined) return answer.reason;
    return unansweredTexts[answer.error.code] ?? answer.error.code;
  }
  const { healthy, reason } = answer.status.health;
  return healthy ? 'healthy' : reason;
}

function changesText(changes: readonly Change[]): string[] {
  if (changes.length === 0) return [];
  return [table(['last changes', 'state', 'term', 'index', 'why'], changes.map(changeRow), ['term', 'index'])];
}

function changeRow(change: Change): string[] {
  const state = change.state === 'going_on' ? `in progress (${stageNames[change.stage]})` : change.state;
  return [
    `${kindText(change.kind)}${changeText(change)}`,
    state,
    // A snapshot does not contain the terms of earlier changes.
    change.term === 0 ? '-' : count(change.term),
    change.index === 0 ? '-' : count(change.index),
    change.error === undefined ? '' : `${change.error.code}: ${change.error.message}`,
  ];
}
