/** What is said of peers that catch up: events as they get on, and who did not make it. It decides nothing. */
import type { PeerId, Progress } from '@conclave/protocol';
import { catchupState, catchupText, installPercent, reachedPercent } from './catchup-words.js';
import type { NodeContext } from './context.js';
import { EntryRate } from './entry-rate.js';
import type { Leadership } from './leadership.js';
import type { NodeState } from './state.js';

export class CatchUpReport {
  private readonly lastProgress = new Map<PeerId, string>();
  private hasMoved = false;
  private readonly rates = new Map<PeerId, EntryRate>();
  private groupRate = new EntryRate();

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly leadership: Leadership,
  ) {}

  /** Another change begins. */
  clear(): void {
    this.lastProgress.clear();
    this.hasMoved = false;
    this.rates.clear();
    this.groupRate = new EntryRate();
  }

  /** Says what is new. */
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
    const said = `${state} ${match_index} ${installPercent(progress)}`;
    if (this.lastProgress.get(peer_id) === said) return;
    this.lastProgress.set(peer_id, said);
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

  /** Whether anybody has got on since this was asked last. */
  hasMovedSinceAsked(): boolean {
    const { hasMoved } = this;
    this.hasMoved = false;
    return hasMoved;
  }

  /** Who of these has not caught up, how far each is, and how fast it and the group are (promise 12). */
  laggards(adding: readonly PeerId[]): string {
    return adding
      .map((peerId) => ({ peerId, progress: this.leadership.progress(peerId) }))
      .filter(({ progress }) => progress?.caught_up !== true)
      .map(({ peerId, progress }) => {
        const rates = { peer: this.rateOf(peerId).perSecond, group: this.groupRate.perSecond };
        return `${peerId} (${catchupText(progress, this.state.log.lastIndex, rates)})`;
      })
      .join(', ');
  }
}
