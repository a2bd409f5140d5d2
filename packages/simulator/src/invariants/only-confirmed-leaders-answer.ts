/**
 * A node that does not lead, or whose last confirmed tick was sent longer than an election timeout ago, by its own
 * clock, answers no write and no read on the group's subjects in the step that receives it: its error must not
 * overtake the reply of the present leader (DESIGN, section 3). The same holds of a leader whose last confirmed tick, or a later
 * one, permitted the voters to replace it by now. Exempt are a fenced node, a leader that needs nobody
 * else, and a leader that may roll a joint configuration back with its old peers alone: in the joint stage of a change
 * that it has begun, and until the rollback is committed. A leader whose change proceeds to the new peers is checked.
 */
import type { Instant } from '@conclave/actor/core';
import { type Body, type ConclaveEvent, isJoint, type PeerId, type Term } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { sameConfiguration, sameMembers } from './configurations.js';
import { type Invariant, Rule } from './invariant.js';
import type { EffectiveConfiguration } from './record/log-tree.js';
import { summaryOf } from './record/nodes.js';
import type { Step } from './record/run-record.js';

interface SentTick {
  readonly sentMs: number;
  /** From when it permitted votes for a successor; Infinity: it did not. */
  readonly replaceableMs: number;
}

interface Lease {
  /** The last confirmed tick and those after it. */
  readonly ticks: Map<number, SentTick>;
  confirmedMs: number;
}

interface HeldRequest {
  readonly actor: Actor;
  readonly requestId: number;
  readonly step: Step | undefined;
  readonly why: string;
  hasReply: boolean;
}

export class OnlyConfirmedLeadersAnswer extends Rule implements Invariant {
  readonly name = 'only-confirmed-leaders-answer';
  readonly watched = ['node'] as const;
  readonly after = ['propose', 'read', 'node.confirmed'] as const;
  private readonly leases = new WeakMap<object, Lease>();
  /** The last request that the node must not answer in the step that receives it. */
  private mustHold: HeldRequest | undefined;

  readonly sent = {
    'replicator.tick': (body: Body<'replicator.tick'>, { core }: Actor) => {
      if (body.leading) this.onTick(core, body);
    },
    'node.read_tick': (body: Body<'node.read_tick'>, { core }: Actor) => this.onTick(core, body),
  };

  private onTick(core: object, tick: Pick<Body<'node.read_tick'>, 'tick_id' | 'replaceable_after_ms'>): void {
    const sentMs = this.record.step?.at.nowMs ?? 0;
    const replaceableMs = sentMs + (tick.replaceable_after_ms ?? Number.POSITIVE_INFINITY);
    this.leaseOf(core).ticks.set(tick.tick_id, { sentMs, replaceableMs });
  }

  private leaseOf(core: object): Lease {
    let lease = this.leases.get(core);
    if (lease === undefined) {
      lease = { ticks: new Map(), confirmedMs: Number.NEGATIVE_INFINITY };
      this.leases.set(core, lease);
    }
    return lease;
  }

  onEvent(_peerId: PeerId, _term: number, { name }: ConclaveEvent): void {
    const { step } = this.record;
    if (name !== 'leader_elected' || step === undefined) return;
    const lease = this.leaseOf(step.actor.core);
    lease.confirmedMs = step.at.nowMs;
    lease.ticks.clear();
  }

  onStepping(actor: Actor, input: unknown, { nowMs }: Instant): void {
    if (actor.kind !== 'node') return;
    const { role, term } = summaryOf(actor);
    const lease = this.leaseOf(actor.core);
    const mayDoWithout = role === 'leader' && this.mayDoWithout(term);
    if (mayDoWithout) lease.confirmedMs = nowMs;
    const { type, addressee, requestId } = input as { type: string; addressee?: string; requestId: number };
    if (type !== 'propose' && !(type === 'read' && addressee === 'group')) return;
    if (role === 'fenced') return;
    const { step } = this.record;
    const silentMs = nowMs - lease.confirmedMs;
    if (role !== 'leader') {
      this.mustHold = { actor, requestId, step, why: 'does not lead', hasReply: false };
    } else if (silentMs > this.record.electionTimeoutMs(actor.peerId)) {
      this.mustHold = { actor, requestId, step, why: `was last confirmed as of ${silentMs} ms ago`, hasReply: false };
    } else if (!mayDoWithout && [...lease.ticks.values()].some(({ replaceableMs }) => replaceableMs < nowMs)) {
      this.mustHold = { actor, requestId, step, why: 'has permitted its voters to replace it', hasReply: false };
    }
  }

  /** Whether the leader of this term needs no quorum. */
  private mayDoWithout(term: Term): boolean {
    const effective = this.record.leaders.get(term)?.last?.effective;
    if (effective === undefined) return false;
    const { configuration, entry, before } = effective;
    if (isJoint(configuration)) return isOwn(effective, term);
    if (configuration.peers.length === 1) return true;
    const isUncommitted = (this.record.commits.last?.index ?? 0) < entry.index;
    if (!isUncommitted || before === undefined || !isJoint(before.configuration)) return false;
    return isOwn(before, term) && sameMembers(configuration.peers, before.configuration.old_peers);
  }

  onReplied(requestId: number): void {
    if (this.mustHold?.requestId === requestId) this.mustHold.hasReply = true;
  }

  onStepped(actor: Actor): void {
    const { mustHold } = this;
    if (mustHold !== undefined && mustHold.actor === actor && mustHold.step === this.record.step) {
      this.mustHold = undefined;
      this.check(!mustHold.hasReply, () => `${actor.name} answers request ${mustHold.requestId}, and ${mustHold.why}`);
    }
    const { message } = this.record.step ?? {};
    if (message?.name !== 'node.confirmed' || actor.kind !== 'node') return;
    const lease = this.leaseOf(actor.core);
    const tick = lease.ticks.get(message.body.tick_id);
    if (tick === undefined || message.body.term !== summaryOf(actor).term) return;
    lease.confirmedMs = Math.max(lease.confirmedMs, tick.sentMs);
    for (const id of lease.ticks.keys()) if (id < message.body.tick_id) lease.ticks.delete(id);
  }
}

/** Whether the leader of this term began the change of a joint configuration, and does not complete an earlier leader's. */
function isOwn({ configuration, entry, before }: EffectiveConfiguration, term: Term): boolean {
  const isFound = before !== undefined && sameConfiguration(configuration, before.configuration);
  return entry.term === term && !isFound;
}
