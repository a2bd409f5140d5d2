/**
 * A linearizable read is answered by a node that has heard, since the read came, of a tick that it has sent since then:
 * that its own log-store was still in its session, and, but where it needs nobody else, that a quorum has echoed it (Raft
 * thesis, section 6.4).
 */
import type { Body } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import type { Answer } from '../mesh/watcher.js';
import { type Invariant, Rule } from './invariant.js';
import { summaryOf } from './record/nodes.js';

/** The latest ticks of a node. */
interface Ticks {
  sent: number;
  confirmed: number;
  inForce: number;
}

interface Asked {
  readonly actor: Actor;
  readonly core: object;
  /** The latest tick that had been sent when the read came. */
  readonly sent: number;
}

export class ReadsWaitForALaterRound extends Rule implements Invariant {
  readonly name = 'reads-wait-for-a-later-round';
  private readonly ticks = new WeakMap<object, Ticks>();
  private readonly asked = new Map<number, Asked>();

  readonly sent = {
    'replicator.tick': ({ leading, tick_id }: Body<'replicator.tick'>, { core }: Actor) => {
      if (leading) this.ticksOf(core).sent = tick_id;
    },
  };

  private ticksOf(core: object): Ticks {
    const ticks = this.ticks.get(core) ?? { sent: 0, confirmed: 0, inForce: 0 };
    this.ticks.set(core, ticks);
    return ticks;
  }

  onStepping(actor: Actor, input: unknown): void {
    if (actor.kind !== 'node') return;
    const { core } = actor;
    const read = input as { type: string; requestId: number; door: string; consistency: string };
    if (read.type === 'read' && read.door === 'group' && read.consistency === 'linearizable') {
      this.asked.set(read.requestId, { actor, core, sent: this.ticksOf(core).sent });
    }
    const { message } = this.record.step ?? {};
    const ticks = this.ticksOf(core);
    if (message?.name === 'node.confirmed') ticks.confirmed = Math.max(ticks.confirmed, message.body.tick_id);
    if (message?.name === 'node.in_force') ticks.inForce = Math.max(ticks.inForce, message.body.tick_id);
  }

  onAnswered(requestId: number, answer: Answer | 'silence'): void {
    const asked = this.asked.get(requestId);
    if (asked === undefined) return;
    this.asked.delete(requestId);
    if (answer === 'silence' || !('result' in answer)) return;
    const { actor, core, sent } = asked;
    const { confirmed, inForce } = this.ticksOf(core);
    const needsNobody = this.needsNobody(actor);
    this.check(
      inForce > sent && (needsNobody || confirmed > sent),
      () =>
        `${actor.name} answers a read that came after tick ${sent}; ${confirmed} is confirmed, and ${inForce} was in force`,
    );
  }

  private needsNobody(actor: Actor): boolean {
    const configuration = this.record.leaders.get(summaryOf(actor).term)?.last?.inForce?.configuration;
    return configuration?.peers.length === 1 && configuration.old_peers.length === 0;
  }
}
