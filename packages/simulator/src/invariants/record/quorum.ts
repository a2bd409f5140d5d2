/**
 * What a quorum is, counted anew: a judge that counts with what the judged count with sees nothing where that is wrong.
 */
import type { Configuration, Member } from '@conclave/protocol';

/** Whether more than half of each set of the configuration has it (Raft thesis, section 4.3). */
export function hasQuorum({ peers, old_peers }: Configuration, has: (member: Member) => boolean): boolean {
  return [peers, old_peers].every((members) => members.length === 0 || 2 * members.filter(has).length > members.length);
}
