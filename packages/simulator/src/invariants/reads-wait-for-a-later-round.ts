/**
 * A linearizable read is answered only after a tick that the node sent since the read arrived: its own log-store has
 * confirmed its session at that tick and, unless the leader needs nobody else, a quorum has echoed it (Raft thesis,
 * section 6.4). A read index that a follower asks for is such a read. And a follower answers a read only after the
 * reply to a request for a read index that it first sent after the read arrived.
 */
import type { Body } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import type { NodeReply } from '../mesh/run-observer.js';
import { type Invariant, Rule } from './invariant.js';
import { summaryOf } from './record/nodes.js';

/** The latest ticks of a node, and its latest requests for a read index. */
interface Ticks {
  sent: number;
  confirmed: number;
  effective: number;
  lastIndexRequest: number;
  lastIndexReply: number;
}

interface PendingRead {
  readonly actor: Actor;
  readonly core: object;
  /** The latest tick that had been sent when the read arrived, */
  readonly sent: number;
  /** and the latest request for a read index that had been sent. */
  readonly lastIndexRequest: number;
}

export class ReadsWaitForALaterRound extends Rule implements Invariant {
  readonly name = 'reads-wait-for-a-later-round';
  readonly watched = ['node'] as const;
  readonly inputs = ['read', 'node.confirmed', 'node.in_force', 'node.read_index', 'node.read_index_answer'] as const;
  private readonly ticks = new WeakMap<object, Ticks>();
  private readonly reads = new Map<number, PendingRead>();
  /** By leader and request for a read index: the latest tick that had been sent when the request first arrived. */
  private readonly indexRequests = new WeakMap<object, Map<string, number>>();

  readonly sent = {
    'replicator.tick': ({ leading, tick_id }: Body<'replicator.tick'>, { core }: Actor) => {
      if (leading) this.ticksOf(core).sent = tick_id;
    },
    'node.read_tick': ({ tick_id }: Body<'node.read_tick'>, { core }: Actor) => {
      this.ticksOf(core).sent = tick_id;
    },
    'node.read_index': ({ request_id }: Body<'node.read_index'>, { core }: Actor) => {
      const ticks = this.ticksOf(core);
      ticks.lastIndexRequest = Math.max(ticks.lastIndexRequest, request_id);
    },
    'node.read_index_answer': (body: Body<'node.read_index_answer'>, from: Actor, to: string) =>
      this.onIndexReturned(body, from, to),
  };

  private ticksOf(core: object): Ticks {
    let ticks = this.ticks.get(core);
    if (ticks === undefined) {
      ticks = { sent: 0, confirmed: 0, effective: 0, lastIndexRequest: 0, lastIndexReply: 0 };
      this.ticks.set(core, ticks);
    }
    return ticks;
  }

  onStepping(actor: Actor, input: unknown): void {
    if (actor.kind !== 'node') return;
    const { core } = actor;
    const ticks = this.ticksOf(core);
    const read = input as { type: string; requestId: number; consistency: string };
    if (read.type === 'read' && read.consistency === 'linearizable') {
      this.reads.set(read.requestId, { actor, core, sent: ticks.sent, lastIndexRequest: ticks.lastIndexRequest });
    }
    const { message } = this.record.step ?? {};
    switch (message?.name) {
      case 'node.confirmed':
        ticks.confirmed = Math.max(ticks.confirmed, message.body.tick_id);
        return;
      case 'node.in_force':
        ticks.effective = Math.max(ticks.effective, message.body.tick_id);
        return;
      case 'node.read_index_answer':
        ticks.lastIndexReply = Math.max(ticks.lastIndexReply, message.body.request_id);
        return;
      case 'node.read_index':
        return this.onIndexRequested(message.body, core, ticks);
    }
  }

  private onIndexRequested(body: Body<'node.read_index'>, core: object, { sent }: Ticks): void {
    // A read by lease may be answered at once: `leases-are-exclusive` checks it.
    if (body.by_lease) return;
    const questions = this.indexRequests.get(core) ?? new Map<string, number>();
    this.indexRequests.set(core, questions);
    const key = `${body.peer_id} ${body.session} ${body.request_id}`;
    if (!questions.has(key)) questions.set(key, sent);
  }

  private onIndexReturned(body: Body<'node.read_index_answer'>, from: Actor, to: string): void {
    const sent = this.indexRequests.get(from.core)?.get(`${to} ${body.session} ${body.request_id}`);
    if (sent === undefined) return;
    this.check(
      this.hasConfirmedSince(from, sent),
      () => `${from.name} sends ${to} a read index, requested after tick ${sent}; ${this.textOf(from.core)}`,
    );
  }

  onReplied(requestId: number, answer: NodeReply): void {
    const read = this.reads.get(requestId);
    if (read === undefined) return;
    this.reads.delete(requestId);
    if (!('result' in answer)) return;
    const { actor, core, sent, lastIndexRequest } = read;
    this.check(
      this.ticksOf(core).lastIndexReply > lastIndexRequest || this.hasConfirmedSince(actor, sent, core),
      () => `${actor.name} answers a read that came after tick ${sent}; ${this.textOf(core)}`,
    );
  }

  private hasConfirmedSince(actor: Actor, sent: number, core: object = actor.core): boolean {
    const { confirmed, effective } = this.ticksOf(core);
    return effective > sent && (confirmed > sent || this.record.leadsAlone(summaryOf(actor).term));
  }

  private textOf(core: object): string {
    const { confirmed, effective } = this.ticksOf(core);
    return `${confirmed} is confirmed, and ${effective} was effective`;
  }
}
