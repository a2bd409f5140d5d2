/**
 * A leader does not become a follower in a higher term because of a peer outside its configuration (DESIGN, section
 * 5): it campaigns above that term by itself.
 */
import { isIn, type Message } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';
import { summaryOf } from './record/nodes.js';

export class StrangersDeposeNobody extends Rule implements Invariant {
  readonly name = 'strangers-depose-nobody';
  readonly watched = ['node'] as const;
  readonly inputs = ['node.higher_term'] as const;
  readonly after = ['node.higher_term'] as const;
  /** The leader that receives a higher term from a peer without a vote in this step. */
  private informed: { readonly actor: Actor; readonly term: number; readonly by: string } | undefined;

  onStepping(actor: Actor, input: unknown): void {
    this.informed = undefined;
    const { message } = input as { readonly message?: Message };
    if (message?.name !== 'node.higher_term' || actor.kind !== 'node') return;
    const { role, term } = summaryOf(actor);
    if (role !== 'leader') return;
    const { peer_id, store_id } = message.body;
    const configuration = this.record.leaders.get(term)?.last?.effective?.configuration;
    if (configuration === undefined || isIn(configuration, peer_id, store_id)) return;
    this.informed = { actor, term, by: peer_id };
  }

  onStepped(actor: Actor): void {
    const { informed } = this;
    if (informed?.actor !== actor) return;
    this.informed = undefined;
    const { role, term } = summaryOf(actor);
    this.check(
      role !== 'follower' || term === informed.term,
      () =>
        `${actor.name} led term ${informed.term}, and follows in term ${term} because of ${informed.by}, which is not a member`,
    );
  }
}
