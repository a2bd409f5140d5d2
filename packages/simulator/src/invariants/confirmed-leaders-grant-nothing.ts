/**
 * A leader that its quorum has confirmed within an election timeout grants no vote and no pre-vote, unless it sent the
 * candidate itself: nobody else can be elected meanwhile, and a vote would only end the leader's term (Raft thesis,
 * section 4.2.3).
 *
 * A confirmation counts from when the leader sent the tick that the quorum echoed, by the clock of the leader's
 * process as the simulator keeps it. It does not ask what the leader believes.
 */
import type { Instant } from '@conclave/actor/core';
import { type Body, defaultTimes } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';
import type { Step } from './record/run-record.js';

/** A node as the leader of a term. */
interface Leading {
  readonly term: number;
  /** By tick: when it was sent. */
  readonly sentMs: Map<number, number>;
  confirmedMs: number;
}

export class ConfirmedLeadersGrantNothing extends Rule implements Invariant {
  readonly name = 'confirmed-leaders-grant-nothing';
  readonly watched = ['node'] as const;
  readonly inputs = ['node.confirmed'] as const;
  private readonly leading = new WeakMap<object, Leading>();
  /** The core that has stepped down, and in which step. */
  private stepsDown: { readonly core: object; readonly step: Step | undefined } | undefined;

  readonly sent = {
    'replicator.tick': ({ term, leading, tick_id }: Body<'replicator.tick'>, from: Actor) => {
      const { step } = this.record;
      if (leading && step?.actor === from) this.onTick(from, term, tick_id, step.at);
    },
    'node.read_tick': ({ term, tick_id }: Body<'node.read_tick'>, from: Actor) => {
      const { step } = this.record;
      if (step?.actor === from) this.onTick(from, term, tick_id, step.at);
    },
    'ballot-box.stop': (_: Body<'ballot-box.stop'>, from: Actor) => {
      this.endLeading();
      // The vote for which it steps down is granted in the same step.
      this.stepsDown = { core: from.core, step: this.record.step };
    },
    'log-store.vote': ({ voted_for }: Body<'log-store.vote'>, from: Actor) => {
      if (this.record.isNewVote && voted_for !== '' && voted_for !== from.peerId) this.onGranted(from);
    },
    'ballot-box.vote_response': ({ kind, granted }: Body<'ballot-box.vote_response'>, from: Actor) => {
      if (kind === 'pre_vote' && granted) this.onGranted(from);
    },
  };

  /** Once the step is over in which a core has stepped down, it does not lead any more. */
  private endLeading(): void {
    if (this.stepsDown === undefined || this.stepsDown.step === this.record.step) return;
    this.leading.delete(this.stepsDown.core);
    this.stepsDown = undefined;
  }

  onStepping(actor: Actor): void {
    const { step } = this.record;
    this.endLeading();
    if (actor.kind !== 'node' || step?.message?.name !== 'node.confirmed') return;
    const { term, tick_id } = step.message.body;
    const leading = this.leading.get(actor.core);
    const sentMs = leading?.sentMs.get(tick_id);
    if (leading?.term !== term || sentMs === undefined) return;
    leading.confirmedMs = Math.max(leading.confirmedMs, sentMs);
    for (const sent of leading.sentMs.keys()) if (sent <= tick_id) leading.sentMs.delete(sent);
  }

  private onTick({ core }: Actor, term: number, tickId: number, { nowMs }: Instant): void {
    this.endLeading();
    const known = this.leading.get(core);
    const isSame = known?.term === term;
    const leading = isSame ? known : { term, sentMs: new Map(), confirmedMs: Number.NEGATIVE_INFINITY };
    if (!isSame) this.leading.set(core, leading);
    // A repeat was sent before.
    if (!leading.sentMs.has(tickId)) leading.sentMs.set(tickId, nowMs);
  }

  private onGranted({ core, peerId, name }: Actor): void {
    this.endLeading();
    const { step } = this.record;
    const leading = this.leading.get(core);
    if (leading === undefined || step?.message?.name !== 'node.request_vote') return;
    const { candidate_id, transfer } = step.message.body;
    const agoMs = step.at.nowMs - leading.confirmedMs;
    this.check(
      transfer || agoMs > defaultTimes.electionTimeoutMs,
      () =>
        `${name} leads term ${leading.term} and grants ${candidate_id} a vote, ${agoMs} ms after a quorum has confirmed ${peerId}`,
    );
  }
}
