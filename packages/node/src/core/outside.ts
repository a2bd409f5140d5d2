/**
 * What a peer that is not in the group answers reads with: a spare, or a peer that was removed. No leader replicates to it, so it
 * neither learns what is committed nor who leads, unless it hears the leaders' announcements.
 *
 * Owns: which leader of this group was announced last. Invariant: announcements are heard only while this peer is outside.
 */
import { type GroupUid, type HistoryAnnouncement, limits, noGroupUid, type PeerId } from '@conclave/protocol';
import type { NodeContext } from './context.js';
import type { NodeState } from './state.js';

export class Outside {
  private isHearing = false;
  private announced: { readonly leaderId: PeerId; readonly groupUid: GroupUid; readonly atMs: number } | undefined;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
  ) {}

  /** Whether this peer is in no configuration that may be in force; false while it does not know yet. */
  get isOutside(): boolean {
    const { role } = this.state;
    return role !== 'opening' && role !== 'fenced' && role !== 'leader' && !this.state.isMember();
  }

  /** The log-store is open, or another tick has come: hears announcements, or no longer. */
  update(): void {
    const { isOutside } = this;
    if (isOutside === this.isHearing) return;
    this.isHearing = isOutside;
    this.announced = undefined;
    this.context.emit({ type: 'hear_leaders', hear: isOutside });
  }

  /** A leader has announced which history it leads. @returns whether that is of use here */
  onLed({ peer_id, group_uid }: HistoryAnnouncement): boolean {
    if (!this.isHearing) return false;
    const { groupUid } = this.state;
    if (groupUid !== noGroupUid && group_uid !== groupUid) return false;
    this.announced = { leaderId: peer_id, groupUid: group_uid, atMs: this.context.nowMs };
    return true;
  }

  /** Who leads the group, as far as this peer knows; empty: it does not. */
  get leaderId(): PeerId | '' {
    const { announced, state, context } = this;
    const isRecent = announced !== undefined && context.nowMs - announced.atMs <= 3 * limits.historyAnnouncementMs;
    return isRecent && this.isOutside ? announced.leaderId : state.leaderId;
  }

  /** Refuses a read that needs to know what is committed now. @returns whether it did: this peer is outside the group */
  refuses(requestId: number): boolean {
    if (!this.isOutside) return false;
    const { state, context, leaderId } = this;
    const leads = leaderId === '' ? 'it knows of no leader' : `${leaderId} leads it`;
    const message = `${state.peerId} is not in the group ${context.options.groupId}: ${leads}; it answers stale reads alone`;
    context.refuse(requestId, 'EPERM', message, 'not_done', leaderId);
    return true;
  }
}
