/**
 * Election Safety (Raft thesis, figure 3.2): at most one leader is elected in a term, over the whole run. Not even the
 * same peer may be elected twice in a term: it may have lost its memory in between.
 */
import type { PeerId } from '@conclave/protocol';
import type { RunObserver } from '../mesh/run-observer.js';
import { type Invariant, Rule } from './invariant.js';

type EventArguments = Parameters<NonNullable<RunObserver['onEvent']>>;

export class ElectionSafety extends Rule implements Invariant {
  readonly name = 'election-safety';
  private readonly elected = new Map<number, PeerId>();

  onEvent(...[peerId, term, event]: EventArguments): void {
    if (event.name !== 'leader_elected') return;
    const other = this.elected.get(term);
    // Not even the same peer again: it may have lost its memory.
    this.check(other === undefined, () => `term ${term} has two leaders, ${other} and ${peerId}`);
    this.elected.set(term, peerId);
  }
}
