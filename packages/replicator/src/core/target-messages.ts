/** What a replicator says to its target, put together. It knows whom it speaks to, and decides nothing. */
import type { Acknowledged, LogIndex, PeerId, StoreId } from '@conclave/protocol';
import type { Position } from './in-flight-window.js';
import type { Leadership } from './leadership.js';
import type { Snapshot } from './snapshot-source.js';

export class TargetMessages {
  constructor(
    private readonly leadership: Leadership,
    private readonly targetId: PeerId,
    /** The store that the target must have; empty: not known yet. */
    public storeId: StoreId,
  ) {}

  /** Without batches: a probe or a heartbeat. */
  sendAppendEntries(requestId: number, prev: Position, hearFeed: boolean, batches: Uint8Array[]): void {
    const { own, groupUid, peerId, term, commitIndex, tickId } = this.leadership;
    const body = {
      group_id: own.group_id,
      group_uid: groupUid,
      leader_id: peerId,
      term,
      target_store_id: this.storeId,
      request_id: requestId,
      prev_index: prev.index,
      prev_term: prev.term,
      leader_commit: commitIndex,
      tick_id: tickId,
      hear_feed: hearFeed,
      batches,
      ...this.acknowledged(batches.length === 0),
    };
    this.leadership.send(this.targetId, { name: 'node.append_entries', body });
  }

  /** What the target's store has acknowledged; of all stores, with a heartbeat. */
  private acknowledged(isHeartbeat: boolean): { acknowledged_index?: LogIndex; acknowledged?: Acknowledged } {
    const index = this.leadership.acknowledgedBy(this.storeId);
    const { acknowledged } = this.leadership;
    return {
      ...(index > 0 ? { acknowledged_index: index } : {}),
      ...(isHeartbeat && acknowledged.length > 0 ? { acknowledged } : {}),
    };
  }

  sendIdentify(requestId: number): void {
    const { own, peerId } = this.leadership;
    const body = {
      group_id: own.group_id,
      peer_id: peerId,
      asker: 'replicator' as const,
      request_id: requestId,
      founding: false,
    };
    this.leadership.send(this.targetId, { name: 'node.identify', body });
  }

  /** Without a chunk: asks how many are stored. */
  sendSnapshot(requestId: number, snapshot: Snapshot, number: number, chunk: Uint8Array): void {
    const { own, groupUid, peerId, term, tickId } = this.leadership;
    const body = {
      group_id: own.group_id,
      group_uid: groupUid,
      leader_id: peerId,
      term,
      target_store_id: this.storeId,
      request_id: requestId,
      tick_id: tickId,
      snapshot_id: snapshot.id,
      head: snapshot.head,
      number,
      chunk,
    };
    this.leadership.send(this.targetId, { name: 'node.install_snapshot', body });
  }

  sendTimeoutNow(): void {
    const { own, groupUid, peerId, term } = this.leadership;
    const target_store_id = this.storeId;
    const body = { group_id: own.group_id, group_uid: groupUid, leader_id: peerId, term, target_store_id };
    this.leadership.send(this.targetId, { name: 'node.timeout_now', body });
  }
}
