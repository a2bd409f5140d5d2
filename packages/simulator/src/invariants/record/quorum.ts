/**
 * A second implementation of quorums: a check that used the code under test would not notice its mistakes.
 */
import type { Configuration, Member } from '@conclave/protocol';

/** Whether more than half of the members of each set fulfil `has` (Raft thesis, section 4.3). */
export function hasQuorum({ peers, old_peers }: Configuration, has: (member: Member) => boolean): boolean {
  return [peers, old_peers].every((members) => members.length === 0 || 2 * members.filter(has).length > members.length);
}
