/**
 * Whether a peer leads another history under this group's name. Then both leaders receive each request of a client, and neither
 * may serve it: each stops serving, reads included, until the other has been silent for a while.
 * Owns: the last announcements of leaders of other histories, and when this leader last announced its own.
 * Invariants:
 * 1. Only a leader that was just elected, or that a quorum has confirmed within an election timeout, announces its history. So a
 *    leader that has lost its quorum, for example because the other members were reset, stops no other leader.
 * 2. A write is refused as not done only if the other leader has announced that it serves no requests either.
 */
import { type GroupUid, type HistoryAnnouncement, limits, noGroupUid, type Outcome } from '@conclave/protocol';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { LeaderState } from './leader-state.js';

interface ReceivedAnnouncement {
  readonly body: HistoryAnnouncement;
  readonly atMs: number;
}

export class OtherHistory {
  /** The last announcement of each other history. */
  private readonly announcements = new Map<GroupUid, ReceivedAnnouncement>();
  private publishedMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly leadership: LeaderState,
  ) {}

  /** This peer becomes the leader. */
  begin(): void {
    this.announcements.clear();
    this.publish();
  }

  onTick(): void {
    const { context } = this;
    for (const [groupUid, { atMs }] of this.announcements) {
      if (context.nowMs - atMs <= limits.otherHistoryMs) continue;
      this.announcements.delete(groupUid);
      context.log('info', 'no other history of this group has a leader any more', { group_uid: groupUid });
    }
    if (context.nowMs - this.publishedMs >= limits.historyAnnouncementMs && this.leadership.confirmation.isConfirmed())
      this.publish();
  }

  /** A leader under this group's name has published which history it leads. */
  onLed(body: HistoryAnnouncement): void {
    const { state, context, announcements } = this;
    if (state.role !== 'leader') return context.drop('led_history_to_no_leader');
    if (body.group_uid === state.groupUid || body.group_uid === noGroupUid) return;
    const isNew = !announcements.has(body.group_uid);
    if (isNew && announcements.size >= limits.otherHistories) return context.drop('led_history_beyond_bound');
    announcements.delete(body.group_uid);
    announcements.set(body.group_uid, { body, atMs: context.nowMs });
    if (isNew) {
      context.event('other_history_seen', {
        group_uid: state.groupUid,
        other_group_uid: body.group_uid,
        other_leader_id: body.peer_id,
      });
      context.log('error', 'another history of this group has a leader: requests are refused', { ...body });
    }
    // The other leader gets a reply at once, so that it stops, too. With three leaders, the replies are limited to one a tick.
    const isDue = isNew || context.nowMs - this.publishedMs >= context.options.heartbeatIntervalMs;
    const mustKnow = isNew || body.stopped_for !== state.groupUid;
    if (isDue && mustKnow && this.leadership.confirmation.isConfirmed()) this.publish();
  }

  private publish(): void {
    const { state, context } = this;
    this.publishedMs = context.nowMs;
    const body: HistoryAnnouncement = {
      group_id: context.options.groupId,
      group_uid: state.groupUid,
      peer_id: state.peerId,
      term: state.term,
      stopped_for: this.last?.group_uid ?? noGroupUid,
    };
    context.emit({ type: 'publish_led_history', body });
  }

  /** The last announcement. */
  private get last(): HistoryAnnouncement | undefined {
    return [...this.announcements.values()].at(-1)?.body;
  }

  /** For `status`. */
  get seen(): { group_uid: GroupUid; leader_id: HistoryAnnouncement['peer_id'] } | null {
    const { last } = this;
    if (last === undefined || this.state.role !== 'leader') return null;
    return { group_uid: last.group_uid, leader_id: last.peer_id };
  }

  /** Returns why no request is served; undefined: requests are. */
  get reason(): string | undefined {
    const { seen, state, context } = this;
    if (seen === null) return undefined;
    const [own, other] = [`${state.groupUid}, led by ${state.peerId}`, `${seen.group_uid}, led by ${seen.leader_id}`];
    return `two histories of the group ${context.options.groupId} have a leader, and neither serves: ${own}, and ${other}; stop the members of one, or delete their data`;
  }

  /**
   * Refuses a request on the group's subjects while another history has a leader.
   * @returns whether the request was refused
   */
  refuses(requestId: number, writes: boolean): boolean {
    const { reason } = this;
    if (reason === undefined) return false;
    this.context.refuse(requestId, 'EHISTORY', reason, writes ? this.outcome : 'not_done');
    return true;
  }

  /** The outcome of a refused write: `unknown`, because another leader may have executed it, unless all of them have stopped serving, too. */
  get outcome(): Outcome {
    const haveAllStopped = [...this.announcements.values()].every(
      ({ body }) => body.stopped_for === this.state.groupUid,
    );
    return haveAllStopped ? 'not_done' : 'unknown';
  }
}
