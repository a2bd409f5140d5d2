/**
 * A leader answers a read by its lease only after a quorum has confirmed, in its sessions, a tick that permits no vote before an
 * election timeout, and only if it has sent no tick since that permits one. So no voter of that quorum replaces the leader early,
 * whatever NATS reports (DESIGN, section 5). The rule does not apply to a leader that needs no other peer, because nobody is
 * elected without it. A replicator sends each tick with the permission that its node has sent with this tick.
 */
import type { Body } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import type { NodeReply } from '../mesh/run-observer.js';
import { type Invariant, Rule } from './invariant.js';
import { summaryOf } from './record/nodes.js';
import type { Step } from './record/run-record.js';

/** A node as the leader of a term. */
interface Leading {
  readonly term: number;
  /** The last tick that permitted early votes. */
  permittingTickId: number;
  /** The last tick that a quorum has confirmed in its sessions. */
  sessionTickId: number;
}

export class LeasesAreAnnounced extends Rule implements Invariant {
  readonly name = 'leases-are-announced';
  readonly watched = ['node'] as const;
  readonly inputs = ['read', 'node.confirmed'] as const;
  private readonly leading = new WeakMap<object, Leading>();
  /** By leader, term and tick: what its node permits. In two histories of a group there may be two leaders of one term. */
  private readonly permissions = new Map<string, number | undefined>();
  /** The last read by lease that arrived, and in which step. */
  private leaseRead: { readonly requestId: number; readonly step: Step | undefined } | undefined;

  readonly sent = {
    'replicator.tick': (body: Body<'replicator.tick'>, { core, peerId }: Actor) => {
      if (!body.leading) return;
      this.permissions.set(`${peerId} ${body.term} ${body.tick_id}`, body.replaceable_after_ms);
      if (body.replaceable_after_ms === undefined) return;
      const leading = this.leadingOf(core, body.term);
      leading.permittingTickId = Math.max(leading.permittingTickId, body.tick_id);
    },
    'node.read_tick': ({ term, tick_id, replaceable_after_ms }: Body<'node.read_tick'>, { core }: Actor) => {
      if (replaceable_after_ms === undefined) return;
      const leading = this.leadingOf(core, term);
      leading.permittingTickId = Math.max(leading.permittingTickId, tick_id);
    },
    'node.append_entries': ({ term, tick_id, replaceable_after_ms, leader_id }: Body<'node.append_entries'>) => {
      const tick = `${leader_id} ${term} ${tick_id}`;
      // A tick that was on its way when the group was deleted is not known: the invariants have begun again since.
      this.check(
        !this.permissions.has(tick) || this.permissions.get(tick) === replaceable_after_ms,
        () => `${leader_id} sends tick ${tick_id} of term ${term} with another permission than its node gave`,
      );
    },
    'node.read_index_answer': (_: Body<'node.read_index_answer'>, from: Actor) => {
      const { message, actor } = this.record.step ?? {};
      if (message?.name === 'node.read_index' && message.body.by_lease && actor === from) this.judge(from);
    },
  };

  private leadingOf(core: object, term: number): Leading {
    const known = this.leading.get(core);
    if (known?.term === term) return known;
    const leading = { term, permittingTickId: 0, sessionTickId: 0 };
    this.leading.set(core, leading);
    return leading;
  }

  onStepping(actor: Actor, input: unknown): void {
    if (actor.kind !== 'node') return;
    const { type, requestId, consistency } = input as { type: string; requestId: number; consistency: string };
    const { step } = this.record;
    if (type === 'read' && consistency === 'lease') this.leaseRead = { requestId, step };
    const { message } = step ?? {};
    if (message?.name !== 'node.confirmed') return;
    const leading = this.leadingOf(actor.core, message.body.term);
    leading.sessionTickId = Math.max(leading.sessionTickId, message.body.session_tick_id);
  }

  onReplied(requestId: number, answer: NodeReply): void {
    const { step } = this.record;
    if (step === undefined || this.leaseRead?.step !== step || this.leaseRead.requestId !== requestId) return;
    if ('result' in answer) this.judge(step.actor);
  }

  private judge(actor: Actor): void {
    const { role, term } = summaryOf(actor);
    if (role !== 'leader' || this.record.leadsAlone(term)) return;
    const { permittingTickId, sessionTickId } = this.leadingOf(actor.core, term);
    this.check(
      permittingTickId === 0 || sessionTickId > permittingTickId,
      () =>
        `${actor.name} reads by its lease, and its voters may know no later tick than ${permittingTickId}, which lets them replace it`,
    );
  }
}
