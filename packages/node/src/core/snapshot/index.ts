/**
 * Snapshots: taken here, received from a leader, restored from the own disk, and backed up.
 * This file lists what other folders may import.
 */
export { Backup } from './backup.js';
export { SnapshotReceiver } from './snapshot-receiver.js';
export { SnapshotRestore } from './snapshot-restore.js';
export { SnapshotTaker } from './snapshot-taker.js';
