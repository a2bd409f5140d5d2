/**
 * The highest value received from each member: the index up to which its log is synced, or the last tick that it echoed.
 *
 * Owns: the values by peer and store. Does not own which of them count: the configurations decide that.
 *
 * Invariants:
 * 1. A value never decreases; receiving it again changes nothing.
 * 2. Two stores of one peer are two members: what a lost store has acknowledged does not count for the new one.
 * 3. At most `limits.acknowledgedStores` members are kept.
 */
import { type Configuration, limits, type Member, majority, type PeerId, type StoreId } from '@conclave/protocol';

export class MemberValues {
  private readonly values = new Map<string, number>();

  /**
   * Records a value.
   * @returns `raised`: it is higher than before; `known`: it is not; `full`: it was dropped, because the values of too many members
   * are kept
   */
  record(peerId: PeerId, storeId: StoreId, value: number): 'raised' | 'known' | 'full' {
    const key = keyOf(peerId, storeId);
    const known = this.values.get(key);
    if (known === undefined && this.values.size >= limits.acknowledgedStores) return 'full';
    if (known !== undefined && value <= known) return 'known';
    this.values.set(key, value);
    return 'raised';
  }

  /** The member's value; 0: none was received. */
  of(member: Member): number {
    return this.values.get(keyOf(member.peer_id, member.store_id)) ?? 0;
  }
}

/**
 * @returns the highest value that a majority of each set of the configuration has reached (Raft thesis, sections 3.6
 * and 4.3; `quorum.JointConfig.CommittedIndex` of etcd's raft)
 */
export function quorumValue(configuration: Configuration, memberValue: (member: Member) => number): number {
  const reached = (members: readonly Member[]): number => {
    const values = members.map(memberValue).sort((a, b) => b - a);
    return values[majority(members.length) - 1] ?? 0;
  };
  const value = reached(configuration.peers);
  return configuration.old_peers.length === 0 ? value : Math.min(value, reached(configuration.old_peers));
}

function keyOf(peerId: PeerId, storeId: StoreId): string {
  return `${peerId} ${storeId}`;
}
