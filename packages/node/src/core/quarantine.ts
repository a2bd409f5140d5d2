/**
 * What a member does whose state differs from the majority's: it answers no reads, does not campaign, leads no more, takes no
 * snapshot, and is repaired from the others. It goes on to replicate, vote and apply.
 *
 * Owns why this peer is in quarantine, and its repair: first it restores the state from its own snapshot and log; where that gives the
 * same wrong state, from a snapshot of the leader's.
 *
 * Invariants:
 * 1. The quarantine outlives restarts of the node's core and of its process: its log-store keeps it. It ends only when a comparison
 *    agrees, or when an operator has this peer go on alone.
 * 2. A repair is begun at most `limits.stateRepairs` times in a quarantine.
 */
import { type LogIndex, limits } from '@conclave/protocol';
import type { NodeContext } from './context.js';
import type { NodeState } from './state.js';

/** Why a member is in quarantine, and what has been done about it. */
export interface Divergence {
  /** The entry behind which the state was first found to differ. */
  readonly index: LogIndex;
  /** Repairs that were begun. */
  readonly repairs: number;
  /** The repair needs a snapshot of the leader's, of this entry or a later one. */
  readonly snapshotFrom?: LogIndex | undefined;
}

export interface QuarantineListener {
  /** It begins: whatever waits for this state is refused; a leader steps down. */
  readonly onBegun: (reason: string) => void;
  /** It has begun, or is over: the log-store is to keep that. */
  readonly onChanged: () => void;
  /** The state is to be made anew from the peer's own snapshot and log. */
  readonly onRestart: (reason: string) => void;
}

export class Quarantine {
  /** No majority of the members agrees: which of them is right is not known. */
  private isUndecided = false;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly listener: QuarantineListener,
  ) {}

  /** What stands against this peer's state, or empty. */
  get reason(): string {
    const { divergence } = this.state;
    if (divergence !== undefined) {
      const isOver = divergence.repairs >= limits.stateRepairs;
      const repair = isOver ? `it was not repaired in ${divergence.repairs} tries` : 'it is being repaired';
      return `diverged: the state differs from the majority's at entry ${divergence.index}; ${repair}`;
    }
    return this.isUndecided ? 'diverged: the states of the members differ, and no majority agrees' : '';
  }

  /** Since when on a snapshot of the leader's is needed. */
  get snapshotWanted(): LogIndex | undefined {
    return this.state.divergence?.snapshotFrom;
  }

  /**
   * The log-store is open. @param divergedAt what it has kept of a quarantine; 0: nothing
   */
  onOpened(divergedAt: LogIndex): void {
    const { state } = this;
    if (state.divergence !== undefined) {
      if (state.divergence.index !== divergedAt) this.listener.onChanged();
    } else if (divergedAt > 0) {
      // This start has made the state anew from the peer's own snapshot and log: the first repair.
      state.divergence = { index: divergedAt, repairs: 1 };
      this.context.log('warn', 'the state differed from the majority’s: nothing is read of it before it is compared', {
        index: divergedAt,
      });
    }
  }

  /** An operator has this peer go on without those whose state was another: its own is the group's now. */
  onReset(): void {
    const { divergence } = this.state;
    if (divergence === undefined) return;
    this.state.divergence = undefined;
    this.context.log('warn', 'the state that differed from the majority’s is the group’s now', {
      index: divergence.index,
    });
    this.listener.onChanged();
  }

  /** The states were compared. `agrees` undefined: no majority agrees. */
  onCompared(index: LogIndex, agrees: boolean | undefined, digest: string): void {
    const { state, context } = this;
    const wasUndecided = this.isUndecided;
    this.isUndecided = agrees === undefined;
    if (agrees === undefined) {
      if (!wasUndecided) this.report(index, digest);
      return;
    }
    if (!agrees) return this.onDiffers(index, digest);
    if (state.divergence === undefined) return;
    const { repairs } = state.divergence;
    state.divergence = undefined;
    this.listener.onChanged();
    context.event('state_repaired', { index, repairs });
    context.log('info', 'the state is the majority’s again', { index, repairs });
  }

  private onDiffers(index: LogIndex, digest: string): void {
    const { state, context, listener } = this;
    const before = state.divergence;
    if (before === undefined) this.report(index, digest);
    const repairs = before?.repairs ?? 0;
    // The leader's snapshot is on its way.
    if (before?.snapshotFrom !== undefined) return;
    if (before !== undefined && repairs >= limits.stateRepairs) return;
    state.divergence = { index: before?.index ?? index, repairs: repairs + 1 };
    if (before === undefined) {
      listener.onChanged();
      listener.onBegun(this.reason);
    }
    if (repairs === 0) return listener.onRestart(this.reason);
    // What it has on its disk gives the wrong state again.
    state.divergence = { ...state.divergence, snapshotFrom: state.appliedIndex };
    context.log('warn', 'asks for a snapshot of the leader’s, as the own one gives the wrong state', { index });
  }

  /** A snapshot of the leader's is installed: the state comes from there now. */
  onInstalled(): void {
    const { state } = this;
    if (state.divergence !== undefined) state.divergence = { ...state.divergence, snapshotFrom: undefined };
  }

  private report(index: LogIndex, majorityDigest: string): void {
    const { context } = this;
    context.event('state_diverged', { index, majority_digest: majorityDigest });
    context.log('error', 'the state differs from other members’', { index, majority_digest: majorityDigest });
  }
}
