/** The progress of the peers that catch up: publishes it, and names those that did not catch up in time. It decides nothing. */
import type { PeerId, Progress } from '@conclave/protocol';
import type { LeaderState } from '../leader/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import { catchupState, catchupText, installPercent, reachedPercent } from './catch-up-format.js';
import { EntryRate } from './entry-rate.js';

export class CatchUpProgress {
  private readonly lastProgress = new Map<PeerId, string>();
  private hasMoved = false;
  private readonly rates = new Map<PeerId, EntryRate>();
  private groupRate = new EntryRate();

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly leadership: LeaderState,
  ) {}

  /** Another change begins. */
  clear(): void {
    this.lastProgress.clear();
    this.hasMoved = false;
    this.rates.clear();
    this.groupRate = new EntryRate();
  }

  /** Publishes what has changed. */
  publish(all: readonly (Progress | undefined)[]): void {
    const { nowMs } = this.context;
    this.groupRate.onIndex(this.state.log.lastIndex, nowMs);
    for (const progress of all) {
      if (progress === undefined) continue;
      this.rateOf(progress.peer_id).onIndex(progress.match_index, nowMs);
      this.publishOne(progress);
    }
  }

  private rateOf(peerId: PeerId): EntryRate {
    const known = this.rates.get(peerId) ?? new EntryRate();
    this.rates.set(peerId, known);
    return known;
  }

  private publishOne(progress: Progress): void {
    const { peer_id, match_index } = progress;
    const { lastIndex } = this.state.log;
    const state = catchupState(progress);
    const report = `${state} ${match_index} ${installPercent(progress)}`;
    if (this.lastProgress.get(peer_id) === report) return;
    this.lastProgress.set(peer_id, report);
    this.hasMoved = true;
    this.context.event('catchup_progress', {
      new_peer: peer_id,
      state,
      match_index,
      last_index: lastIndex,
      lag: Math.max(lastIndex - match_index, 0),
      percent: reachedPercent(progress, lastIndex),
    });
  }

  /** Whether any peer has made progress since the last call. */
  hasProgressedSinceLastCall(): boolean {
    const { hasMoved } = this;
    this.hasMoved = false;
    return hasMoved;
  }

  /** Returns which of these peers have not caught up, how far each is, and how fast it and the group are (promise 12). */
  laggards(adding: readonly PeerId[]): string {
    const { electionTimeoutMs } = this.context.options;
    return adding
      .map((peerId) => ({ peerId, progress: this.leadership.progress(peerId) }))
      .filter(({ progress }) => progress?.caught_up !== true)
      .map(({ peerId, progress }) => {
        const rates = { peer: this.rateOf(peerId).perSecond, group: this.groupRate.perSecond };
        return `${peerId} ${catchupText(progress, this.state.log.lastIndex, rates, electionTimeoutMs)}`;
      })
      .join(', ');
  }
}
