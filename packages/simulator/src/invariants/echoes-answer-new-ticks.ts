/**
 * A follower echoes each tick of its leader once, and none after a later one: only a new tick renews the follower's
 * election timer, and what renews it is echoed (DESIGN, section 5).
 */
import type { Body } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';

export class EchoesAnswerNewTicks extends Rule implements Invariant {
  readonly name = 'echoes-answer-new-ticks';
  private readonly latest = new WeakMap<object, { readonly term: number; readonly tick: number }>();

  readonly sent = {
    'feed.echo': ({ leader_term, tick_id }: Body<'feed.echo'>, from: Actor) => {
      const latest = this.latest.get(from.core) ?? { term: 0, tick: 0 };
      this.check(
        leader_term > latest.term || (leader_term === latest.term && tick_id > latest.tick),
        () =>
          `${from.name} echoes tick ${tick_id} of term ${leader_term} after tick ${latest.tick} of term ${latest.term}`,
      );
      this.latest.set(from.core, { term: leader_term, tick: tick_id });
    },
  };
}
