/**
 * The highest number heard of each member, say how far its log is synced.
 *
 * Owns the numbers by peer and store. Does not own which of them count: that is the configurations' matter.
 *
 * Invariants:
 * 1. A number only grows; hearing it again changes nothing.
 * 2. Two stores of one peer are two members: what a lost disk had acknowledged is not its successor's.
 * 3. At most `limits.talliedMembers` members are kept.
 */
import { type Configuration, limits, type Member, majority, type PeerId, type StoreId } from '@conclave/protocol';

export class Tally {
  private readonly values = new Map<string, number>();

  /** Takes note of a number; `full`: of one member more than is kept. */
  note(peerId: PeerId, storeId: StoreId, value: number): 'raised' | 'known' | 'full' {
    const key = keyOf(peerId, storeId);
    const known = this.values.get(key);
    if (known === undefined && this.values.size >= limits.talliedMembers) return 'full';
    if (known !== undefined && value <= known) return 'known';
    this.values.set(key, value);
    return 'raised';
  }

  /** The member's number; 0: nothing has been heard of it. */
  of(member: Member): number {
    return this.values.get(keyOf(member.peer_id, member.store_id)) ?? 0;
  }
}

/**
 * The highest number that a majority of each set of the configuration has reached (Raft thesis, sections 3.6
 * and 4.3; `quorum.JointConfig.CommittedIndex` of etcd's raft).
 */
export function quorumValue(configuration: Configuration, numberOf: (member: Member) => number): number {
  const reached = (members: readonly Member[]): number => {
    const values = members.map(numberOf).sort((a, b) => b - a);
    return values[majority(members.length) - 1] ?? 0;
  };
  const value = reached(configuration.peers);
  return configuration.old_peers.length === 0 ? value : Math.min(value, reached(configuration.old_peers));
}

function keyOf(peerId: PeerId, storeId: StoreId): string {
  return `${peerId} ${storeId}`;
}
