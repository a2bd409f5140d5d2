/**
 * What a person sees of a membership change in progress: computed from the group's events and its leader's status, without I/O.
 * It draws nothing: `lines` are for plain output, `bars` for a terminal.
 * Invariants:
 * 1. Each stage is printed once, when it is reached; the stages of an older change (before `begin`) are not printed.
 * 2. The percentage of a new peer never decreases, although the log grows.
 */

import type { ObservedEvent } from '@conclave/observer';
import type { PeerId, Stage, StatusReply } from '@conclave/protocol';
import { catchupText, changeText, eventText } from './event-line.js';
import { duration, peerSet, stageNames } from './format.js';

/** A new peer that is catching up. */
export interface Bar {
  readonly peerId: PeerId;
  /** 0 to 100. */
  readonly percent: number;
  readonly text: string;
}

/** How long a stage took, in milliseconds. */
export interface StageTime {
  readonly stage: Stage;
  readonly ms: number;
}

export class ChangeView {
  private stageName: Stage = 'none';
  private stageSinceMs: number;
  private readonly times: StageTime[] = [];
  private readonly peers = new Map<PeerId, Bar>();
  private printedPercent = new Map<PeerId, number>();
  private votes = '';
  /** The configuration that the change leads to. */
  private wanted = '';
  private committed = false;

  /**
   * @param beganAtMs on the same clock as the times of the other methods
   * @param printEachPercent the progress of a new peer, in percent, that is needed for another line
   */
  constructor(
    private readonly beganAtMs: number,
    private readonly printEachPercent = 10,
  ) {
    this.stageSinceMs = beganAtMs;
  }

  get stage(): Stage {
    return this.stageName;
  }

  get bars(): readonly Bar[] {
    return [...this.peers.values()];
  }

  /** The missing votes, or an empty text. */
  get missingVotes(): string {
    return this.votes;
  }

  /** The stages that have ended. */
  get stageTimes(): readonly StageTime[] {
    return this.times;
  }

  /**
   * Handles an event.
   * @returns the lines to print, often none
   */
  onEvent(event: ObservedEvent, atMs: number): string[] {
    switch (event.name) {
      case 'stage_changed':
        return this.onStage(event, atMs);
      case 'catchup_progress':
        return this.onProgress(event);
      case 'configuration_appended':
        // Each peer publishes this about itself; for the stage, only the leader's event counts.
        return [];
      case 'configuration_committed':
        return this.onCommitted(event);
      case 'admin_command':
        // The user of this command has sent the request.
        return [];
      default:
        return [`${event.body.peer_id} ${eventText(event)}`];
    }
  }

  /**
   * Handles the leader's status.
   * @returns the lines to print, often none
   */
  onStatus(status: Pick<StatusReply, 'stage' | 'lacking'>): string[] {
    const before = this.votes;
    this.votes = missingVotesText(status.stage, status.lacking);
    return this.votes !== '' && this.votes !== before ? [this.votes] : [];
  }

  /** The reply to the request has arrived. */
  end(atMs: number): void {
    this.leaveStage(atMs);
    this.stageName = 'none';
    this.votes = '';
  }

  /** Returns the line above the bars. */
  headline(atMs: number): string {
    const without = this.times.length === 0 ? 'asked' : 'over';
    const stage = this.stageName === 'none' ? without : `stage ${stageNames[this.stageName]}`;
    return `${stage}, ${duration(atMs - this.beganAtMs)}${this.votes === '' ? '' : `; ${this.votes}`}`;
  }

  private onStage({ body }: ObservedEvent<'stage_changed'>, atMs: number): string[] {
    // A store replacement that runs meanwhile is not part of this change.
    if (body.kind !== 'change') return [`${body.kind} ${stageNames[body.stage]}: ${changeText(body)}`];
    if (body.stage === this.stageName) return [];
    this.leaveStage(atMs);
    this.stageName = body.stage;
    this.wanted = peerSet(body.new_peers);
    this.stageSinceMs = atMs;
    if (body.stage === 'none') return [];
    if (body.stage !== 'catching_up') this.catchAllUp();
    return [`stage ${stageNames[body.stage]}: ${changeText(body)}`];
  }

  private leaveStage(atMs: number): void {
    if (this.stageName === 'none') return;
    this.times.push({ stage: this.stageName, ms: atMs - this.stageSinceMs });
  }

  /**
   * Printed once, and only for the last configuration of the change: a new peer also publishes all earlier configurations, as it
   * receives them.
   */
  private onCommitted(event: ObservedEvent<'configuration_committed'>): string[] {
    const { peers, old_peers: oldPeers } = event.body;
    if (this.committed || oldPeers.length > 0 || peerSet(peers) !== this.wanted) return [];
    this.committed = true;
    return [`${event.body.peer_id}: ${eventText(event)}`];
  }

  private onProgress({ body }: ObservedEvent<'catchup_progress'>): string[] {
    const before = this.peers.get(body.new_peer);
    const entries = body.last_index === 0 ? 0 : Math.floor((100 * body.match_index) / body.last_index);
    // The entries after a snapshot are few compared with it.
    const ratio = body.state === 'installing' ? body.percent : entries;
    const reached = body.state === 'caught_up' ? 100 : Math.min(ratio, 99);
    const bar = {
      peerId: body.new_peer,
      percent: Math.max(before?.percent ?? 0, reached),
      text: catchupText(body),
    };
    this.peers.set(bar.peerId, bar);
    const printed = this.printedPercent.get(bar.peerId);
    const worthSaying =
      printed === undefined ||
      bar.percent >= printed + this.printEachPercent ||
      (bar.percent === 100 && printed < 100) ||
      body.state === 'refused';
    if (!worthSaying) return [];
    this.printedPercent.set(bar.peerId, bar.percent);
    return [`${bar.peerId}: ${bar.text} (${bar.percent} %)`];
  }

  /** The joint entry is appended only when every new peer has caught up; the last events about their progress may be lost. */
  private catchAllUp(): void {
    for (const bar of this.peers.values()) {
      this.peers.set(bar.peerId, { ...bar, percent: 100, text: 'caught up' });
    }
  }
}

/** The votes that a stage needs, or an empty text. */
export function missingVotesText(stage: Stage, lacking: StatusReply['lacking']): string {
  if (stage !== 'joint' && stage !== 'stable') return '';
  const sets = [
    ...(lacking.peers.length > 0 ? [`${lacking.peers.join(', ')} of the new set`] : []),
    ...(lacking.old_peers.length > 0 ? [`${lacking.old_peers.join(', ')} of the old set`] : []),
  ];
  return sets.length === 0 ? '' : `missing votes: ${sets.join('; ')}`;
}
