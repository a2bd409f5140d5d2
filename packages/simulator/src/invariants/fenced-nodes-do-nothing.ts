/**
 * A node that was notified that its session has ended sends nothing any more and opens no new session (DESIGN, section 5).
 */
import type { Message } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';
import { summaryOf } from './record/nodes.js';

export class FencedNodesDoNothing extends Rule implements Invariant {
  readonly name = 'fenced-nodes-do-nothing';
  readonly watched = ['node'] as const;
  readonly inputs = ['node.fenced'] as const;
  private readonly fenced = new WeakSet<Actor>();

  readonly sent = {
    'log-store.open': (_: unknown, from: Actor) => this.onSends(from, 'opens its log-store again'),
    'log-store.append': (_: unknown, from: Actor) => this.onSends(from, 'appends'),
    'log-store.vote': (_: unknown, from: Actor) => this.onSends(from, 'votes'),
    'feed.append': (_: unknown, from: Actor) => this.onSends(from, 'appends'),
    'replicator.tick': (_: unknown, from: Actor) => this.onSends(from, 'ticks'),
    'node.read_tick': (_: unknown, from: Actor) => this.onSends(from, 'ticks'),
    'node.request_vote': (_: unknown, from: Actor) => this.onSends(from, 'asks for votes'),
    'ballot-box.vote_response': (_: unknown, from: Actor) => this.onSends(from, 'answers a candidate'),
    'feed.echo': (_: unknown, from: Actor) => this.onSends(from, 'echoes a leader'),
  };

  onStepping(actor: Actor, input: unknown): void {
    const { message } = input as { readonly message?: Message };
    if (message?.name !== 'node.fenced' || actor.kind !== 'node') return;
    const { role, session } = summaryOf(actor);
    const { store_id, refused_session, session: effective } = message.body;
    // A late message of a lost store may name the same session.
    if (this.record.openedStores.get(actor.core) !== store_id) return;
    if (role !== 'opening' && session === refused_session && effective > session) this.fenced.add(actor);
  }

  private onSends(from: Actor, what: string): void {
    this.check(!this.fenced.has(from), () => `${from.name} ${what}, and was notified that its session has ended`);
  }
}
