/** Messages about snapshots: between a node and its log-store, between replicators and the log-store, and between peers. */
import { z } from 'zod';
import { SnapshotHead, SnapshotId } from '../snapshot.js';
import { Bytes, Count, GroupUid, LogIndex, PeerId, StoreId, Term } from '../types.js';
import { define, frame, group, own, ReplaceableAfterMs, snapshotChunk } from './fields.js';

export const snapshotMessages = {
  'log-store.snapshot_chunk': define(
    'node',
    'the next chunk of a snapshot that the node takes, or that its leader installs; number 0 begins a snapshot, and drops an incomplete one',
    z.object({
      ...own,
      ...frame,
      snapshot_id: SnapshotId,
      source: z.enum(['taken', 'installed']),
      number: Count,
      chunk: Bytes,
    }),
  ),
  'log-store.snapshot_end': define(
    'node',
    'all chunks have been sent: the snapshot is current from now on, and the log before it is compacted. An installed one replaces a log that does not hold its last entry',
    z.object({
      ...own,
      ...frame,
      snapshot_id: SnapshotId,
      source: z.enum(['taken', 'installed']),
      group_uid: GroupUid,
      term: Term,
      head: SnapshotHead,
      /** Entries up to here are no longer needed; at most the snapshot’s index. Of an installed one: that. */
      compact_to: LogIndex,
    }),
  ),
  'log-store.read_snapshot': define(
    'node, replicator',
    'asks for a chunk of the current snapshot. An empty id: of whichever that is',
    z.object({
      ...own,
      request_id: Count,
      reader: z.enum(['node', 'replicator']),
      /** As in `read`. */
      leader_term: Term,
      snapshot_id: z.union([SnapshotId, z.literal('')]),
      number: Count,
    }),
  ),
  'node.snapshot_chunk': define('log-store', 'the reply to `read_snapshot`', z.object(snapshotChunk)),
  'replicator.snapshot_chunk': define('log-store', 'the reply to `read_snapshot`', z.object(snapshotChunk)),
  'node.install_snapshot': define(
    'replicator of the leader',
    'Raft’s InstallSnapshot: one chunk, or none, which asks how many are stored',
    z.object({
      ...group,
      group_uid: GroupUid,
      leader_id: PeerId,
      term: Term,
      target_store_id: StoreId,
      request_id: Count,
      tick_id: Count,
      replaceable_after_ms: ReplaceableAfterMs.optional(),
      snapshot_id: SnapshotId,
      head: SnapshotHead,
      number: Count,
      chunk: Bytes,
    }),
  ),
  'replicator.snapshot_stored': define(
    'node of a follower',
    'reply to `install_snapshot` once that is synced: how many of its chunks are stored, in order',
    z.object({
      ...group,
      group_uid: GroupUid,
      peer_id: PeerId,
      store_id: StoreId,
      term: Term,
      request_id: Count,
      snapshot_id: SnapshotId,
      stored: Count,
      /** The snapshot is complete and current: the follower’s log begins after it. */
      installed: z.boolean(),
    }),
  ),
} as const;
