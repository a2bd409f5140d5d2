/**
 * A linearizable read, confirmed by a quorum or by lease, at the leader or at a follower, is answered by a node that
 * has applied all that any node had applied when the read arrived. A leader that has been replaced since, also by
 * another node of the same peer, has not. For leases this holds as long as clocks keep their bound.
 */
import type { LogIndex } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import type { NodeReply } from '../mesh/run-observer.js';
import { type Invariant, Rule } from './invariant.js';
import { summaryOf } from './record/nodes.js';

interface PendingRead {
  readonly actor: Actor;
  /** The highest index that any node had applied by then. */
  readonly applied: number;
  /** How many resets there had been: a reset may lose applied entries. */
  readonly resets: number;
}

export class ReadsAreCurrent extends Rule implements Invariant {
  readonly name = 'reads-are-current';
  readonly watched = ['node'] as const;
  readonly inputs = ['read'] as const;
  private readonly pending = new Map<number, PendingRead>();
  private applied = 0;
  private resets = 0;

  onApplied(_generation: object, index: LogIndex): void {
    this.forgetLostHistory();
    this.applied = Math.max(this.applied, index);
  }

  onStepping(actor: Actor, input: unknown): void {
    const read = input as { type: string; requestId: number; addressee: string; consistency: string };
    if (read.type !== 'read' || read.consistency === 'stale') return;
    this.forgetLostHistory();
    // Peers of a lost history may still apply it.
    this.applied = Math.min(this.applied, this.record.commits.last?.index ?? 0);
    this.pending.set(read.requestId, { actor, applied: this.applied, resets: this.record.resets.size });
  }

  /** A reset may have lost applied entries, and other entries may get their indexes. */
  private forgetLostHistory(): void {
    if (this.record.resets.size > this.resets) this.applied = 0;
    this.resets = this.record.resets.size;
  }

  onReplied(requestId: number, answer: NodeReply): void {
    const read = this.pending.get(requestId);
    if (read === undefined) return;
    this.pending.delete(requestId);
    if (!('result' in answer) || read.resets < this.record.resets.size) return;
    const { applied_index } = summaryOf(read.actor);
    this.check(
      applied_index >= read.applied,
      () =>
        `${read.actor.peerId} answers a read as of entry ${applied_index}; ${read.applied} was applied before it came`,
    );
  }
}
