/** The head of a backup: the group, and which snapshot it is. */
import { z } from 'zod';
import { SnapshotHead, SnapshotId } from './snapshot.js';
import { GroupId, GroupUid, PeerId } from './types.js';

export const BackupHead = z.object({
  group_id: GroupId,
  group_uid: GroupUid,
  /** The peer that took it. */
  peer_id: PeerId,
  /** Wall-clock time, ISO 8601. */
  time: z.string(),
  snapshot_id: SnapshotId,
  head: SnapshotHead,
});
export type BackupHead = z.infer<typeof BackupHead>;
