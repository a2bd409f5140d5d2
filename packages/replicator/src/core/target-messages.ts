/** Builds and sends the messages of a replicator to its target. Owns: the target's name and store. Decides nothing. */
import type { Acknowledged, LogIndex, PeerId, StoreId } from '@conclave/protocol';
import type { Position } from './in-flight-window.js';
import type { LeaderTerm } from './leader-term.js';
import type { Snapshot } from './snapshot-source.js';

export class TargetMessages {
  constructor(
    private readonly leaderTerm: LeaderTerm,
    private readonly targetId: PeerId,
    /** The store that the target must have; empty: unknown. */
    public storeId: StoreId,
  ) {}

  /** Sends an AppendEntries; without batches, it is a probe, a check or a heartbeat. */
  sendAppendEntries(requestId: number, prev: Position, hearFeed: boolean, batches: Uint8Array[]): void {
    const { identity, groupUid, peerId, term, commitIndex } = this.leaderTerm;
    const body = {
      group_id: identity.group_id,
      group_uid: groupUid,
      leader_id: peerId,
      term,
      target_store_id: this.storeId,
      request_id: requestId,
      prev_index: prev.index,
      prev_term: prev.term,
      leader_commit: commitIndex,
      ...this.tick(),
      hear_feed: hearFeed,
      batches,
      ...this.acknowledged(batches.length === 0),
    };
    this.leaderTerm.send(this.targetId, { name: 'node.append_entries', body });
  }

  /** The fields of the latest tick. */
  private tick(): { tick_id: number; replaceable_after_ms?: number } {
    const { tickId, replaceableAfterMs } = this.leaderTerm;
    return {
      tick_id: tickId,
      ...(replaceableAfterMs === undefined ? {} : { replaceable_after_ms: replaceableAfterMs }),
    };
  }

  /** The fields for the index that the target's store has acknowledged and, without entries, for those of all stores. */
  private acknowledged(isHeartbeat: boolean): { acknowledged_index?: LogIndex; acknowledged?: Acknowledged } {
    const index = this.leaderTerm.acknowledgedBy(this.storeId);
    const { acknowledged } = this.leaderTerm;
    return {
      ...(index > 0 ? { acknowledged_index: index } : {}),
      ...(isHeartbeat && acknowledged.length > 0 ? { acknowledged } : {}),
    };
  }

  sendIdentify(requestId: number): void {
    const { identity, peerId } = this.leaderTerm;
    const body = {
      group_id: identity.group_id,
      peer_id: peerId,
      asker: 'replicator' as const,
      request_id: requestId,
      founding: false,
    };
    this.leaderTerm.send(this.targetId, { name: 'node.identify', body });
  }

  /** Sends a chunk of the snapshot. An empty chunk asks how many chunks the target has stored. */
  sendSnapshot(requestId: number, snapshot: Snapshot, number: number, chunk: Uint8Array): void {
    const { identity, groupUid, peerId, term } = this.leaderTerm;
    const body = {
      group_id: identity.group_id,
      group_uid: groupUid,
      leader_id: peerId,
      term,
      target_store_id: this.storeId,
      request_id: requestId,
      ...this.tick(),
      snapshot_id: snapshot.id,
      head: snapshot.head,
      number,
      chunk,
    };
    this.leaderTerm.send(this.targetId, { name: 'node.install_snapshot', body });
  }

  sendTimeoutNow(): void {
    const { identity, groupUid, peerId, term } = this.leaderTerm;
    const target_store_id = this.storeId;
    const body = { group_id: identity.group_id, group_uid: groupUid, leader_id: peerId, term, target_store_id };
    this.leaderTerm.send(this.targetId, { name: 'node.timeout_now', body });
  }
}
