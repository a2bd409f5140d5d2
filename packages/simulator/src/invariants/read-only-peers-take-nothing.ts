/**
 * A follower that is read-only, by an operator's order or because its disk is full, accepts no entries. And a leader
 * acknowledges no write that arrived while it knew that too many peers were read-only to leave a majority of each set.
 */
import type { NodeCore } from '@conclave/node';
import type { Body } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import type { NodeReply } from '../mesh/run-observer.js';
import { hasQuorum } from './configurations.js';
import { type Invariant, Rule } from './invariant.js';
import { summaryOf } from './record/nodes.js';

export class ReadOnlyPeersTakeNothing extends Rule implements Invariant {
  readonly name = 'read-only-peers-take-nothing';
  readonly watched = ['node'] as const;
  /** Writes that arrived while no quorum accepted entries. */
  private readonly hopeless = new Map<number, Actor>();

  readonly sent = {
    'log-store.append': (body: Body<'log-store.append'>, from: Actor) => this.onAppend(body, from),
  };

  private onAppend({ leader_id }: Body<'log-store.append'>, from: Actor): void {
    if (leader_id === from.peerId || (this.record.appended?.length ?? 0) === 0) return;
    const { readOnlyReason } = from.core as unknown as NodeCore;
    this.check(
      readOnlyReason === '',
      () => `${from.name} is read-only (${readOnlyReason}), and accepts entries of ${leader_id}`,
    );
  }

  onStepping(actor: Actor, input: unknown): void {
    const { type, requestId } = input as { type: string; requestId: number };
    if (this.hopeless.size > 0) this.forgetHeld(actor);
    if (type === 'propose' && !isWritable(actor)) this.hopeless.set(requestId, actor);
  }

  /** An unconfirmed leader may hold such writes: once a quorum accepts entries again it may carry them out. */
  private forgetHeld(actor: Actor): void {
    const held = [...this.hopeless].filter(([, leader]) => leader === actor);
    if (held.length === 0 || !isWritable(actor)) return;
    for (const [requestId] of held) this.hopeless.delete(requestId);
  }

  onReplied(requestId: number, answer: NodeReply): void {
    const actor = this.hopeless.get(requestId);
    if (actor === undefined) return;
    this.hopeless.delete(requestId);
    this.check(
      !('result' in answer),
      () => `${actor.name} acknowledges write ${requestId}, which came when a majority was read-only`,
    );
  }
}

/** Whether the node does not lead, or a quorum accepts entries as far as it knows. */
function isWritable(actor: Actor): boolean {
  const { configuration, progress, readOnlyReason } = actor.core as unknown as NodeCore;
  if (summaryOf(actor).role !== 'leader' || configuration === undefined) return true;
  const isReadOnly = (peerId: string): boolean =>
    peerId === actor.peerId ? readOnlyReason !== '' : progress.some((one) => one.peer_id === peerId && one.read_only);
  return hasQuorum(configuration, (member) => !isReadOnly(member.peer_id));
}
