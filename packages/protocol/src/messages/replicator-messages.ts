/** Messages between a node and its replicators. */
import { z } from 'zod';
import { Count, GroupUid, LogIndex, PeerId, Term } from '../types.js';
import { Acknowledged, define, frame, own, Progress, Target } from './fields.js';

export const replicatorMessages = {
  'replicator.lead': define(
    'node',
    'this peer leads `term`: replicate to these targets',
    z.object({
      ...own,
      ...frame,
      peer_id: PeerId,
      group_uid: GroupUid,
      term: Term,
      last_index: LogIndex,
      last_term: Term,
      commit_index: LogIndex,
      /** The latest configuration entry: a peer that has caught up has it. */
      configuration_index: LogIndex,
      targets: z.array(Target),
      /** What this peer knows of earlier terms. */
      acknowledged: Acknowledged.optional(),
    }),
  ),
  'replicator.targets': define(
    'node',
    'the targets have changed; those that are not listed are dropped',
    z.object({ ...own, ...frame, term: Term, configuration_index: LogIndex, targets: z.array(Target) }),
  ),
  'replicator.transfer': define(
    'node',
    'transfer the leadership: send `timeout_now` to this target once it has `last_index`; an empty name withdraws that',
    z.object({ ...own, ...frame, term: Term, peer_id: z.union([PeerId, z.literal('')]), last_index: LogIndex }),
  ),
  'replicator.stop': define('node', 'the peer no longer leads', z.object({ ...own, ...frame, term: Term })),
  'node.progress': define(
    'replicator',
    'the progress of each target; on every tick, and at once when one has caught up or is refused',
    z.object({
      ...own,
      term: Term,
      targets: z.array(Progress),
      /** The last tick that the replicators had received: the report is not newer than that. Undefined: an older version. */
      tick_id: Count.optional(),
      /** Whether a target is caught up and does not receive the leader’s feed: appends are to be sent with their content. */
      wants_content: z.boolean(),
    }),
  ),
} as const;
