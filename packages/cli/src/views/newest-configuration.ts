/**
 * What the peers that reply know of a group without a leader: its newest configuration, and which members are missing for a
 * quorum.
 */
import { type Configuration, hasMember, type Member, majority, type PeerId, peerIds } from '@conclave/protocol';
import { bothSets, count } from './format.js';
import type { PeerReply } from './peer-reply.js';

export interface MissingMembers {
  /** The set of the configuration. */
  readonly set: 'peers' | 'old_peers';
  /** The number of members that reply, whose log-stores reply, and that have the store in the configuration. */
  readonly available: number;
  readonly needed: number;
  readonly missing: readonly PeerId[];
}

export interface NewestConfiguration {
  readonly configuration: Configuration;
  readonly index: number;
  /** The peers that know it. */
  readonly known_to: readonly PeerId[];
  readonly quorum: readonly MissingMembers[];
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
  return {
    configuration,
    index,
    known_to: same.map(({ peer_id }) => peer_id).toSorted(),
    quorum: sets.map((set) => missingOf(set, configuration[set], replies)),
  };
}

function missingOf(
  set: MissingMembers['set'],
  members: readonly Member[],
  replies: ReadonlyMap<PeerId, PeerReply>,
): MissingMembers {
  const isAvailable = ({ peer_id }: Member): boolean => {
    const answer = replies.get(peer_id);
    if (answer === undefined || 'error' in answer) return false;
    const { role, store_id, health } = answer.status;
    if (/^silent: .*log-store/.test(health.reason)) return false;
    return role !== 'opening' && role !== 'fenced' && hasMember(members, peer_id, store_id);
  };
  const missing = members.filter((member) => !isAvailable(member));
  const needed = majority(members.length);
  return { set, available: members.length - missing.length, needed, missing: peerIds(missing).toSorted() };
}

/** Returns what is known, a line each, as name and value. */
export function newestFacts(newest: NewestConfiguration): (readonly [string, string])[] {
  const { configuration, index, known_to, quorum } = newest;
  const sets = bothSets(peerIds(configuration.peers), peerIds(configuration.old_peers));
  return [
    ['configuration', `${sets} at index ${count(index)}, the newest found, in the log of ${known_to.join(', ')}`],
    ...quorum.map((set) => [set.set === 'peers' ? 'quorum' : 'quorum of the old set', quorumText(set)] as const),
    ['read next', leaderlessSection],
  ];
}

function quorumText({ available, needed, missing }: MissingMembers): string {
  const who = missing.length === 0 ? '' : `; missing: ${missing.join(', ')}`;
  const size = available + missing.length;
  const there = `${available} of ${size} are available, and ${needed} are needed`;
  if (available >= needed) return `${there}: one of them should be elected soon${who}`;
  const missingCount = needed - available;
  return `${there}: ${missingCount} more must come back${who}`;
}
