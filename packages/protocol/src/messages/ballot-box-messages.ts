/** Messages between a node and its ballot-box. */
import { z } from 'zod';
import { Configuration } from '../configuration.js';
import { limits } from '../limits.js';
import { Count, GroupUid, LogIndex, PeerId, Term } from '../types.js';
import { ConfigurationEntries, define, frame, own, traced, VoteKind } from './fields.js';

export const ballotBoxMessages = {
  'ballot-box.elect': define(
    'node',
    'count the votes of this election; the candidate’s own is included, if the configuration includes it',
    z.object({
      ...own,
      ...frame,
      peer_id: PeerId,
      group_uid: GroupUid,
      term: Term,
      kind: VoteKind,
      election_id: Count,
      configuration: Configuration,
    }),
  ),
  'ballot-box.lead': define(
    'node',
    'this peer leads `term`: register the entries of that term, each with the configuration that is effective there, and count',
    z.object({
      ...own,
      ...frame,
      peer_id: PeerId,
      group_uid: GroupUid,
      term: Term,
      /** The first entry of the term, and the last appended so far (`first_index - 1`: none yet). */
      first_index: LogIndex,
      last_index: LogIndex,
      /** The leader's election timeout; undefined: an older version. */
      election_timeout_ms: Count.optional(),
      /** In order of index; the first is effective at `first_index`. */
      configurations: ConfigurationEntries,
    }),
  ),
  'ballot-box.register': define(
    'node',
    'a leader’s new entries, without their content: each run in order; one of a configuration is alone in its run',
    z.object({
      ...own,
      ...frame,
      term: Term,
      runs: z
        .array(z.object({ first_index: LogIndex, last_index: LogIndex, configuration: Configuration.nullable() }))
        .max(limits.appendBatches),
      ...traced,
    }),
  ),
  'ballot-box.stop': define('node', 'the peer neither campaigns nor leads', z.object({ ...own, ...frame, term: Term })),
  'node.elected': define(
    'ballot-box',
    'this election is won; repeated on ticks until something else is opened',
    z.object({ ...own, term: Term, kind: VoteKind, election_id: Count }),
  ),
  'feed.committed': define(
    'ballot-box',
    'all entries up to `index` are committed; sent to the leader’s node, which passes the index to its replicators with the next append or tick',
    z.object({ ...own, term: Term, index: LogIndex }),
  ),
  'node.confirmed': define(
    'ballot-box',
    'a quorum has echoed this tick: the peer led when it was sent',
    z.object({
      ...own,
      term: Term,
      tick_id: Count,
      /** The latest tick that a quorum has reported in `session_tick_id`: the leader’s lease counts from when it was sent. */
      session_tick_id: Count,
    }),
  ),
  'node.ballots': define(
    'ballot-box',
    'the lowest ballot that is not granted, and the votes that it lacks; on every tick of a leader',
    z.object({
      ...own,
      term: Term,
      commit_index: LogIndex,
      registered_index: LogIndex,
      lacking: z.object({ peers: z.array(PeerId), old_peers: z.array(PeerId) }),
    }),
  ),
} as const;
