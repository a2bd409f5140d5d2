/**
 * State Machine Safety (Raft thesis, figure 3.2): every state machine applies the committed commands, all of them, in
 * order, each once.
 */
import { decodeSnapshotChunk, type LogIndex } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';
import { entryText } from './record/log-tree.js';

export class StateMachineSafety extends Rule implements Invariant {
  readonly name = 'state-machine-safety';
  private readonly last = new WeakMap<object, number>();

  /** A restored state covers all up to the snapshot's entry: see `snapshots-are-the-state`. */
  onRestored(generation: object): void {
    const message = this.record.step?.message;
    if (message?.name !== 'node.snapshot_chunk') return;
    const { index } = decodeSnapshotChunk(message.body.chunk);
    this.check(!this.last.has(generation), () => `a snapshot of entry ${index} is restored over a state`);
    this.last.set(generation, index);
  }

  onApplied(generation: object, index: LogIndex, payload: Uint8Array): void {
    const before = this.last.get(generation) ?? 0;
    this.check(index > before, () => `entry ${index} is applied after entry ${before}`);
    const { commits } = this.record;
    for (let skipped = before + 1; skipped < index; skipped++) {
      const entry = commits.at(skipped);
      this.check(
        entry?.kind === 'configuration',
        () => `entry ${skipped} is skipped before entry ${index}, and it is ${entryText(entry)}`,
      );
    }
    const entry = commits.at(index);
    this.check(entry !== undefined, () => `entry ${index} is applied and not committed`);
    this.check(
      entry.kind === 'commands' && Buffer.compare(entry.payload, payload) === 0,
      () => `another command than ${entryText(entry)} is applied, which is committed there`,
    );
    this.last.set(generation, index);
  }
}
