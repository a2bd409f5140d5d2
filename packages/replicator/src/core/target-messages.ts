/** What a replicator says to its target, put together. It keeps no state, and decides nothing. */
import type { PeerId, StoreId } from '@conclave/protocol';
import type { Position } from './in-flight-window.js';
import type { Leadership } from './leadership.js';

export class TargetMessages {
  constructor(
    private readonly leadership: Leadership,
    private readonly targetId: PeerId,
  ) {}

  /** Without batches: a probe or a heartbeat. */
  sendAppendEntries(
    storeId: StoreId,
    requestId: number,
    prev: Position,
    hearFeed: boolean,
    batches: Uint8Array[],
  ): void {
    const { own, groupUid, peerId, term, commitIndex, tickId } = this.leadership;
    const body = {
      group_id: own.group_id,
      group_uid: groupUid,
      leader_id: peerId,
      term,
      target_store_id: storeId,
      request_id: requestId,
      prev_index: prev.index,
      prev_term: prev.term,
      leader_commit: commitIndex,
      tick_id: tickId,
      hear_feed: hearFeed,
      batches,
    };
    this.leadership.send(this.targetId, { name: 'node.append_entries', body });
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

  sendTimeoutNow(storeId: StoreId): void {
    const { own, groupUid, peerId, term } = this.leadership;
    const body = { group_id: own.group_id, group_uid: groupUid, leader_id: peerId, term, target_store_id: storeId };
    this.leadership.send(this.targetId, { name: 'node.timeout_now', body });
  }
}
