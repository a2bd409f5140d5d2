/**
 * What a member does if its state differs from the majority's: it answers no reads, does not campaign or lead, takes no snapshot,
 * and is repaired from the other members. It continues to replicate, vote and apply.
 * Owns: why this peer is in quarantine, and its repair: first it restores the state from its own snapshot and log; if the state
 * is wrong again, from a snapshot of the leader.
 * Invariants:
 * 1. The quarantine survives restarts of the node's core and of its process: its log-store keeps it. It ends only when a
 *    comparison agrees, or when an operator resets this peer to be alone.
 * 2. A repair is started at most `limits.stateRepairs` times in a quarantine.
 */
import { type LogIndex, limits } from '@conclave/protocol';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

export interface QuarantineListener {
  /** The quarantine begins: requests that wait for this state are refused; a leader steps down. */
  readonly onBegun: (reason: string) => void;
  /** The quarantine has begun or ended: the log-store is to keep that. */
  readonly onChanged: () => void;
  /** The state is to be restored from the peer's own snapshot and log. */
  readonly onRestart: (reason: string) => void;
}

export class Quarantine {
  /** No majority of the members agrees: which state is right is not known. */
  private isUndecided = false;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly listener: QuarantineListener,
  ) {}

  /** Returns why this peer's state is not used; empty: it is. */
  get reason(): string {
    const { divergence } = this.state;
    if (divergence !== undefined) {
      const hasFailed = divergence.repairs >= limits.stateRepairs;
      const repair = hasFailed ? `it was not repaired in ${divergence.repairs} tries` : 'it is being repaired';
      return `diverged: the state differs from the majority's at entry ${divergence.index}; ${repair}`;
    }
    return this.isUndecided ? 'diverged: the states of the members differ, and no majority agrees' : '';
  }

  /** The entry from which on a snapshot of the leader is needed. */
  get snapshotWanted(): LogIndex | undefined {
    return this.state.divergence?.snapshotFrom;
  }

  /** The log-store is open. @param divergedAt the quarantine that it has kept; 0: none */
  onOpened(divergedAt: LogIndex): void {
    const { state } = this;
    if (state.divergence !== undefined) {
      if (state.divergence.index !== divergedAt) this.listener.onChanged();
    } else if (divergedAt > 0) {
      // This start has restored the state from the peer's own snapshot and log: the first repair.
      state.divergence = { index: divergedAt, repairs: 1 };
      this.context.log('warn', 'the state differed from the majority’s: it is not read before it is compared', {
        index: divergedAt,
      });
    }
  }

  /** An operator has reset this peer to be alone: its state is the group's now. */
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
    // The leader's snapshot has been requested.
    if (before?.snapshotFrom !== undefined) return;
    if (before !== undefined && repairs >= limits.stateRepairs) return;
    state.divergence = { index: before?.index ?? index, repairs: repairs + 1 };
    if (before === undefined) {
      listener.onChanged();
      listener.onBegun(this.reason);
    }
    if (repairs === 0) return listener.onRestart(this.reason);
    // The snapshot and log on its disk give the wrong state again.
    state.divergence = { ...state.divergence, snapshotFrom: state.appliedIndex };
    context.log('warn', 'requests a snapshot of the leader: its own one gives the wrong state', { index });
  }

  /** A snapshot of the leader is installed: the state will be restored from it. */
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
