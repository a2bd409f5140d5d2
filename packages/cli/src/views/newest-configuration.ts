/**
 * What the peers that reply know of a group whose leader does not reply: its newest configuration, which members are missing for a
 * quorum, and which leader followers know.
 */
import {
  allMembers,
  type Configuration,
  type GroupUid,
  hasMember,
  type Member,
  majority,
  type PeerId,
  peerIds,
  type StatusReply,
} from '@conclave/protocol';
import { configurationText, count } from './format.js';
import type { PeerReply } from './peer-reply.js';

export interface MissingMembers {
  /** The set of the configuration. */
  readonly set: 'peers' | 'old_peers';
  /** The number of members that reply, whose log-stores reply, and that have the store and the history of the configuration. */
  readonly available: number;
  readonly needed: number;
  readonly missing: readonly PeerId[];
}

/** A leader that does not reply as such, but has followers. */
export interface ReportedLeader {
  readonly peer_id: PeerId;
  readonly reported_by: readonly PeerId[];
}

export interface NewestConfiguration {
  readonly configuration: Configuration;
  readonly index: number;
  /** The peers that know it. */
  readonly known_to: readonly PeerId[];
  readonly quorum: readonly MissingMembers[];
  /** Members whose data are of another history: they do not vote in this one. */
  readonly other_history: readonly PeerId[];
  readonly reported_leaders: readonly ReportedLeader[];
}

/** The section of the documentation to read next. */
export const leaderlessSection = 'docs/operations.md, section "The group has no leader"';

/** Returns the newest configuration that any of these peers has; undefined: none of them has one. */
export function newestConfiguration(replies: ReadonlyMap<PeerId, PeerReply>): NewestConfiguration | undefined {
  const known = [...replies.values()].flatMap((answer) =>
    'status' in answer && answer.status.configuration !== null
      ? [{ ...answer.status, configuration: answer.status.configuration }]
      : [],
  );
  const age = (a: (typeof known)[number], b: (typeof known)[number]): number =>
    (b.configuration.epoch ?? 0) - (a.configuration.epoch ?? 0) ||
    b.configuration_index - a.configuration_index ||
    b.term - a.term;
  const [newest] = known.toSorted(age);
  if (newest === undefined) return undefined;
  const { configuration, configuration_index: index } = newest;
  const same = known.filter((each) => each.group_uid === newest.group_uid && each.configuration_index === index);
  const sets = (['peers', 'old_peers'] as const).filter((set) => configuration[set].length > 0);
  const members = new Set(peerIds(allMembers(configuration)));
  const isOther = (peerId: PeerId): boolean => {
    const history = statusOf(replies, peerId)?.group_uid ?? '';
    return history !== '' && history !== newest.group_uid;
  };
  return {
    configuration,
    index,
    known_to: same.map(({ peer_id }) => peer_id).toSorted(),
    quorum: sets.map((set) => missingOf(set, configuration[set], newest.group_uid, replies)),
    other_history: [...members].filter(isOther).toSorted(),
    reported_leaders: reportedLeaders(newest.group_uid, replies),
  };
}

function statusOf(replies: ReadonlyMap<PeerId, PeerReply>, peerId: PeerId): StatusReply | undefined {
  const reply = replies.get(peerId);
  return reply !== undefined && 'status' in reply ? reply.status : undefined;
}

/** Followers may know a leader that does not reply here: it may be behind a lost route of a NATS cluster, or have just ended. */
function reportedLeaders(groupUid: GroupUid, replies: ReadonlyMap<PeerId, PeerReply>): ReportedLeader[] {
  const reportedBy = new Map<PeerId, PeerId[]>();
  for (const reply of replies.values()) {
    if ('error' in reply) continue;
    const { peer_id, role, leader_id, group_uid } = reply.status;
    if (role !== 'follower' || leader_id === '' || group_uid !== groupUid) continue;
    // A leader that replies reports its own role.
    if (statusOf(replies, leader_id) !== undefined) continue;
    reportedBy.set(leader_id, [...(reportedBy.get(leader_id) ?? []), peer_id]);
  }
  return [...reportedBy].map(([peer_id, peers]) => ({ peer_id, reported_by: peers.toSorted() }));
}

function missingOf(
  set: MissingMembers['set'],
  members: readonly Member[],
  groupUid: GroupUid,
  replies: ReadonlyMap<PeerId, PeerReply>,
): MissingMembers {
  const isAvailable = ({ peer_id }: Member): boolean => {
    const status = statusOf(replies, peer_id);
    if (status === undefined || status.group_uid !== groupUid) return false;
    const { role, store_id, health } = status;
    if (/^silent: .*log-store/.test(health.reason)) return false;
    return role !== 'opening' && role !== 'fenced' && hasMember(members, peer_id, store_id);
  };
  const missing = members.filter((member) => !isAvailable(member));
  const needed = majority(members.length);
  return { set, available: members.length - missing.length, needed, missing: peerIds(missing).toSorted() };
}

/** Returns what is known, a line each, as name and value. */
export function newestFacts(newest: NewestConfiguration): (readonly [string, string])[] {
  const { configuration, index, known_to, quorum, other_history, reported_leaders } = newest;
  // A leader needs a majority of each set.
  const isElectionExpected =
    reported_leaders.length === 0 && quorum.every(({ available, needed }) => available >= needed);
  return [
    [
      'configuration',
      `${configurationText(configuration)} at index ${count(index)}, the newest found, in the log of ${known_to.join(', ')}`,
    ],
    ...quorum.map(
      (set) => [set.set === 'peers' ? 'quorum' : 'quorum of the old set', quorumText(set, isElectionExpected)] as const,
    ),
    ...(other_history.length === 0 ? [] : [['another history', otherHistoryText(other_history)] as const]),
    ['read next', leaderlessSection],
  ];
}

function quorumText({ available, needed, missing }: MissingMembers, isElectionExpected: boolean): string {
  const who = missing.length === 0 ? '' : `; missing: ${missing.join(', ')}`;
  const size = available + missing.length;
  const there = `${available} of ${size} are available, and ${needed} are needed`;
  if (available >= needed) return `${there}${isElectionExpected ? ': one of them should be elected soon' : ''}${who}`;
  const missingCount = needed - available;
  return `${there}: ${missingCount} more must come back${who}`;
}

function otherHistoryText(peers: readonly PeerId[]): string {
  return `${peers.join(', ')}: not available for this one; see docs/operations.md, section "The quorum is gone for good"`;
}
