/**
 * While a node answers a read by its lease, nobody has been elected in a later term, by votes or in the view of a
 * ballot-box (Raft thesis, section 6.4.1). This holds as long as clocks keep their bound.
 */
import type { Body } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import type { NodeReply } from '../mesh/run-observer.js';
import { type Invariant, Rule } from './invariant.js';
import { summaryOf } from './record/nodes.js';
import type { Step } from './record/run-record.js';

export class LeasesAreExclusive extends Rule implements Invariant {
  readonly name = 'leases-are-exclusive';
  readonly watched = ['node'] as const;
  readonly inputs = ['read'] as const;
  private latestTerm = 0;
  /** The last read by lease that arrived, and in which step. A reply in a later step is confirmed by a round. */
  private leaseRead: { readonly requestId: number; readonly step: Step | undefined } | undefined;

  readonly sent = {
    // A new leader sends this at once.
    'ballot-box.lead': ({ term }: Body<'ballot-box.lead'>) => {
      this.latestTerm = Math.max(this.latestTerm, term);
    },
    'node.read_index_answer': (_: Body<'node.read_index_answer'>, from: Actor) => {
      const { message, actor } = this.record.step ?? {};
      if (message?.name === 'node.read_index' && message.body.by_lease && actor === from) this.judge(from);
    },
  };

  onStepping(actor: Actor, input: unknown): void {
    if (actor.kind !== 'node') return;
    const { type, requestId, consistency } = input as { type: string; requestId: number; consistency: string };
    if (type === 'read' && consistency === 'lease') this.leaseRead = { requestId, step: this.record.step };
  }

  onReplied(requestId: number, answer: NodeReply): void {
    const { step } = this.record;
    if (step === undefined || this.leaseRead?.step !== step || this.leaseRead.requestId !== requestId) return;
    if ('result' in answer) this.judge(step.actor);
  }

  private judge(actor: Actor): void {
    const { term } = summaryOf(actor);
    this.check(
      this.latestTerm <= term,
      () => `${actor.name} reads by its lease of term ${term}, and term ${this.latestTerm} is led by another`,
    );
  }
}
