/** A state machine whose applies are timed. */
import {
  FixedHistogram,
  type HistoryStart,
  type LeaderClock,
  type StateCounts,
  type StateMachine,
  type StateMachineHistory,
  type StateMachineRestore,
  shortSecondsBounds,
} from '@conclave/actor/core';
import type { LogIndex, Term } from '@conclave/protocol';

export class TimedStateMachine implements StateMachine {
  readonly beginEpoch?: (epoch: number) => void;
  readonly beginHistory?: (history: HistoryStart) => void;
  readonly housekeeping?: (nowMs: number, term: Term, level: number) => Uint8Array | undefined;
  readonly digest?: () => string;
  readonly counts?: () => StateCounts;

  /** What the inner state machine does not have, this one does not have either. */
  constructor(
    private readonly inner: StateMachine,
    private readonly seconds: FixedHistogram,
  ) {
    if (inner.beginEpoch !== undefined) this.beginEpoch = (epoch) => inner.beginEpoch?.(epoch);
    if (inner.beginHistory !== undefined) this.beginHistory = (history) => inner.beginHistory?.(history);
    if (inner.housekeeping !== undefined) {
      this.housekeeping = (nowMs, term, level) => inner.housekeeping?.(nowMs, term, level);
    }
    const { digest, counts } = inner;
    if (digest !== undefined) this.digest = () => digest.call(inner);
    if (counts !== undefined) this.counts = () => counts.call(inner);
  }

  static newHistogram(): FixedHistogram {
    return new FixedHistogram(shortSecondsBounds);
  }

  get commandVersion(): number | undefined {
    return this.inner.commandVersion;
  }

  get history(): StateMachineHistory | undefined {
    return this.inner.history;
  }

  apply(index: LogIndex, payload: Uint8Array, command?: unknown, level?: number): unknown {
    const beganMs = performance.now();
    const result = this.inner.apply(index, payload, command, level);
    this.seconds.record((performance.now() - beganMs) / 1000);
    return result;
  }

  query(query: unknown, clock?: LeaderClock): unknown {
    return this.inner.query(query, clock);
  }

  snapshot(): Iterator<Uint8Array, void> {
    return this.inner.snapshot();
  }

  restore(): StateMachineRestore {
    return this.inner.restore();
  }
}
