/** What stands in front of a backup: whose state it is, and which snapshot of it. */
import { z } from 'zod';
import { SnapshotHead, SnapshotId } from './snapshot.js';
import { GroupId, GroupUid, PeerId } from './types.js';

export const BackupHead = z.object({
  group_id: GroupId,
  group_uid: GroupUid,
  /** Who took it. */
  peer_id: PeerId,
  /** Wall-clock time, ISO 8601. */
  time: z.string(),
  snapshot_id: SnapshotId,
  head: SnapshotHead,
});
export type BackupHead = z.infer<typeof BackupHead>;
