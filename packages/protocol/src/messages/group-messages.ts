/** Messages between peers about membership, comparison of states, leadership transfer and the identity of stores. */
import { z } from 'zod';
import { Configuration } from '../configuration.js';
import { ErrorBody } from '../errors.js';
import { limits } from '../limits.js';
import { Count, GroupUid, LogIndex, PeerId, StateDigest, StoreId, Term } from '../types.js';
import { build, define, group } from './fields.js';

export const groupMessages = {
  'node.change_announced': define(
    'node of the leader',
    'a change is catching up, or has ended so: the log has no entry of it. On every tick of it, so that the next leader can report its outcome',
    z.object({
      ...group,
      group_uid: GroupUid,
      leader_id: PeerId,
      term: Term,
      old_peers: z.array(PeerId).max(limits.configurationPeers),
      new_peers: z.array(PeerId).max(limits.configurationPeers),
      /** Why it has ended without an entry; null: it is in progress. */
      over: ErrorBody.nullable(),
    }),
  ),
  'node.compare_state': define(
    'node of the leader',
    'asks a member for the digest of its state exactly after this entry, which no member has applied yet (level 1 and above)',
    z.object({
      ...group,
      group_uid: GroupUid,
      leader_id: PeerId,
      term: Term,
      target_store_id: StoreId,
      index: LogIndex,
    }),
  ),
  'node.state_digest': define(
    'node of a member',
    'the reply to `compare_state`',
    z.object({
      ...group,
      group_uid: GroupUid,
      peer_id: PeerId,
      store_id: StoreId,
      term: Term,
      index: LogIndex,
      /** Empty: it has applied more already, or has none. */
      digest: StateDigest,
      /** Its state is wrong, and a restore from its disk gives the same: it needs a snapshot of this entry or a later one. */
      wants_snapshot_from: LogIndex.optional(),
    }),
  ),
  'node.state_compared': define(
    'node of the leader',
    'the result of comparing the digests of all members: this one has the majority’s (null: no majority agrees)',
    z.object({
      ...group,
      group_uid: GroupUid,
      leader_id: PeerId,
      term: Term,
      target_store_id: StoreId,
      index: LogIndex,
      agrees: z.boolean().nullable(),
      /** The majority's; empty: there is none. */
      digest: StateDigest,
    }),
  ),
  'node.timeout_now': define(
    'replicator of the leader; its node, if its state is wrong',
    'campaign at once: the leader transfers the leadership',
    z.object({
      ...group,
      group_uid: GroupUid,
      leader_id: PeerId,
      term: Term,
      target_store_id: StoreId,
    }),
  ),
  'node.identify': define(
    'replicator of the leader, node of a founder',
    'asks a peer for its store and its history',
    z.object({
      ...group,
      peer_id: PeerId,
      asker: z.enum(['node', 'replicator']),
      request_id: Count,
      /** From a founder: promise not to create this group yourself meanwhile. */
      founding: z.boolean(),
    }),
  ),
  'replicator.identity': define(
    'node',
    'the reply to `identify`',
    z.object({
      ...group,
      peer_id: PeerId,
      request_id: Count,
      store_id: StoreId,
      group_uid: GroupUid,
      last_index: LogIndex,
      ...build,
    }),
  ),
  'node.identity': define(
    'node',
    'reply to `identify`; `founding`: it is creating this group itself',
    z.object({
      ...group,
      peer_id: PeerId,
      request_id: Count,
      store_id: StoreId,
      group_uid: GroupUid,
      last_index: LogIndex,
      leader_id: z.union([PeerId, z.literal('')]),
      founding: z.boolean(),
      configuration: Configuration.nullable(),
      ...build,
    }),
  ),
} as const;
