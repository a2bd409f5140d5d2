/** Configurations as invariants compare, count and print them. */
import type { Configuration, Member } from '@conclave/protocol';

export function keysOf(members: readonly Member[]): string[] {
  return members.map(({ peer_id, store_id }) => `${peer_id}:${store_id}`).sort();
}

export function sameMembers(a: readonly Member[], b: readonly Member[]): boolean {
  return keysOf(a).join() === keysOf(b).join();
}

export function sameConfiguration(a: Configuration, b: Configuration): boolean {
  return sameMembers(a.peers, b.peers) && sameMembers(a.old_peers, b.old_peers);
}

/** `{n1:id3,n2:id7 | n1:id3}`: after the bar the old peers of a joint configuration. */
export function configurationText({ peers, old_peers }: Configuration): string {
  return `{${keysOf(peers)}${old_peers.length > 0 ? ` | ${keysOf(old_peers)}` : ''}}`;
}

/**
 * Whether more than half of the members of each set fulfil `has` (Raft thesis, section 4.3). It is a second implementation of
 * quorums: a check that used the code under test would not notice its mistakes.
 */
export function hasQuorum({ peers, old_peers }: Configuration, has: (member: Member) => boolean): boolean {
  return [peers, old_peers].every((members) => members.length === 0 || 2 * members.filter(has).length > members.length);
}
