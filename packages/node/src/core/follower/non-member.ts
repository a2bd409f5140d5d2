/**
 * What a peer outside the group (a spare peer, or one that was removed) knows of it, to answer reads. No leader replicates to
 * such a peer, so it learns which peer leads only from the announcements of leaders.
 * Owns: the last announcement of a leader of this group.
 * Invariants:
 * 1. Announcements are received only while this peer is outside the group.
 */
import { type GroupUid, type HistoryAnnouncement, limits, noGroupUid, type PeerId } from '@conclave/protocol';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

export class NonMember {
  private isSubscribed = false;
  private announced: { readonly leaderId: PeerId; readonly groupUid: GroupUid; readonly atMs: number } | undefined;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
  ) {}

  /** Whether this peer is in no configuration that may be effective; false while it does not know yet. */
  get isOutside(): boolean {
    const { role } = this.state;
    return role !== 'opening' && role !== 'fenced' && role !== 'leader' && !this.state.isMember();
  }

  /** The log-store is open, or another tick has come: subscribes to announcements, or unsubscribes. */
  update(): void {
    const { isOutside } = this;
    if (isOutside === this.isSubscribed) return;
    this.isSubscribed = isOutside;
    this.announced = undefined;
    this.context.emit({ type: 'subscribe_led_histories', isWanted: isOutside });
  }

  /** A leader has announced which history it leads. @returns whether it was recorded */
  onLed({ peer_id, group_uid }: HistoryAnnouncement): boolean {
    if (!this.isSubscribed) return false;
    const { groupUid } = this.state;
    if (groupUid !== noGroupUid && group_uid !== groupUid) return false;
    this.announced = { leaderId: peer_id, groupUid: group_uid, atMs: this.context.nowMs };
    return true;
  }

  /** The leader of the group, as far as this peer knows; empty: it knows none. */
  get leaderId(): PeerId | '' {
    const { announced, state, context } = this;
    const isRecent = announced !== undefined && context.nowMs - announced.atMs <= 3 * limits.historyAnnouncementMs;
    return isRecent && this.isOutside ? announced.leaderId : state.leaderId;
  }

  /** Refuses a read that needs the current commit index. @returns whether it did: this peer is outside the group */
  refuses(requestId: number): boolean {
    if (!this.isOutside) return false;
    const { state, context, leaderId } = this;
    const leads = leaderId === '' ? 'it knows no leader' : `${leaderId} leads it`;
    const message = `${state.peerId} is not in the group ${context.options.groupId}: ${leads}; it answers only stale reads`;
    context.refuse(requestId, 'EPERM', message, 'not_done', leaderId);
    return true;
  }
}
