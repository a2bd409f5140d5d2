import type { Body, GroupUid, PeerId, Term } from '@conclave/protocol';

/**
 * Compares what a follower sends to a leader's feed with the term that this peer leads.
 * @returns why the message does not belong to that term; undefined: it does
 */
export function leaderMismatch(
  body: Pick<Body<'feed.stored'>, 'group_uid' | 'leader_id' | 'leader_term'>,
  groupUid: GroupUid,
  leaderId: PeerId,
  term: Term,
): 'foreign_group' | 'other_leader' | 'other_term' | undefined {
  if (body.group_uid !== groupUid) return 'foreign_group';
  if (body.leader_id !== leaderId) return 'other_leader';
  return body.leader_term === term ? undefined : 'other_term';
}
