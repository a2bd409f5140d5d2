/**
 * What a person sees of a change of the configuration while it goes on: a pure fold over the group's events and
 * its leader's status. It draws nothing: `lines` are for plain output, `bars` for a terminal.
 *
 * Invariants:
 * 1. A stage is said once, when it is reached; the stages of an older change (before `begin`) are not said.
 * 2. A new peer's percentage never shrinks, as a growing log would make it do.
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
  private saidPercent = new Map<PeerId, number>();
  private votes = '';
  /** The configuration that the change leads to. */
  private wanted = '';
  private committed = false;

  /**
   * @param beganAtMs on the clock whose times the other methods get
   * @param sayEachPercent how far a new peer must have come for another line
   */
  constructor(
    private readonly beganAtMs: number,
    private readonly sayEachPercent = 10,
  ) {
    this.stageSinceMs = beganAtMs;
  }

  get stage(): Stage {
    return this.stageName;
  }

  get bars(): readonly Bar[] {
    return [...this.peers.values()];
  }

  /** Whose votes are lacking, or an empty text. */
  get lacking(): string {
    return this.votes;
  }

  /** The stages that are over. */
  get stageTimes(): readonly StageTime[] {
    return this.times;
  }

  /** Takes an event. @returns what to say of it, often nothing */
  onEvent(event: ObservedEvent, atMs: number): string[] {
    switch (event.name) {
      case 'stage_changed':
        return this.onStage(event, atMs);
      case 'catchup_progress':
        return this.onProgress(event);
      case 'configuration_appended':
        // Each peer says so of itself; the leader's word is the stage's.
        return [];
      case 'configuration_committed':
        return this.onCommitted(event);
      case 'admin_command':
        // Whoever looks has sent it.
        return [];
      default:
        return [`${event.body.peer_id} ${eventText(event)}`];
    }
  }

  /** Takes the leader's status. @returns what to say of it, often nothing */
  onStatus(status: Pick<StatusReply, 'stage' | 'lacking'>): string[] {
    const before = this.votes;
    this.votes = lackingText(status.stage, status.lacking);
    return this.votes !== '' && this.votes !== before ? [this.votes] : [];
  }

  /** The change has been answered. */
  end(atMs: number): void {
    this.leaveStage(atMs);
    this.stageName = 'none';
    this.votes = '';
  }

  /** The line above the bars. */
  headline(atMs: number): string {
    const without = this.times.length === 0 ? 'asked' : 'over';
    const stage = this.stageName === 'none' ? without : `stage ${stageNames[this.stageName]}`;
    return `${stage}, ${duration(atMs - this.beganAtMs)}${this.votes === '' ? '' : `; ${this.votes}`}`;
  }

  private onStage({ body }: ObservedEvent<'stage_changed'>, atMs: number): string[] {
    // That a member is healed meanwhile is another matter.
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

  /** Told once, and of the change's end alone: a new peer also tells of all configurations of the past, as it learns them. */
  private onCommitted(event: ObservedEvent<'configuration_committed'>): string[] {
    const { peers, old_peers: oldPeers } = event.body;
    if (this.committed || oldPeers.length > 0 || peerSet(peers) !== this.wanted) return [];
    this.committed = true;
    return [`${event.body.peer_id}: ${eventText(event)}`];
  }

  private onProgress({ body }: ObservedEvent<'catchup_progress'>): string[] {
    const before = this.peers.get(body.new_peer);
    const entries = body.last_index === 0 ? 0 : Math.floor((100 * body.match_index) / body.last_index);
    // What follows a snapshot is little beside it.
    const ratio = body.state === 'installing' ? body.percent : entries;
    const reached = body.state === 'caught_up' ? 100 : Math.min(ratio, 99);
    const bar = {
      peerId: body.new_peer,
      percent: Math.max(before?.percent ?? 0, reached),
      text: catchupText(body),
    };
    this.peers.set(bar.peerId, bar);
    const said = this.saidPercent.get(bar.peerId);
    const worthSaying =
      said === undefined ||
      bar.percent >= said + this.sayEachPercent ||
      (bar.percent === 100 && said < 100) ||
      body.state === 'refused';
    if (!worthSaying) return [];
    this.saidPercent.set(bar.peerId, bar.percent);
    return [`${bar.peerId}: ${bar.text} (${bar.percent} %)`];
  }

  /** The joint entry is appended only when every new peer has caught up; their last progress may be lost. */
  private catchAllUp(): void {
    for (const bar of this.peers.values()) {
      this.peers.set(bar.peerId, { ...bar, percent: 100, text: 'caught up' });
    }
  }
}

/** Whose votes a stage waits for, or an empty text. */
export function lackingText(stage: Stage, lacking: StatusReply['lacking']): string {
  if (stage !== 'joint' && stage !== 'stable') return '';
  const sets = [
    ...(lacking.peers.length > 0 ? [`${lacking.peers.join(', ')} of the new set`] : []),
    ...(lacking.old_peers.length > 0 ? [`${lacking.old_peers.join(', ')} of the old set`] : []),
  ];
  return sets.length === 0 ? '' : `votes lacking: ${sets.join('; ')}`;
}
