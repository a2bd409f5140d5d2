/**
 * Who is out of the group, as is committed, begins no election that comes to a vote: so it never raises the group's term
 * (promise 10). Who has begun to ask for pre-votes before it was out may still stand.
 */
import { type Body, isIn } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';
import type { Entry } from './record/log-tree.js';

export class RemovedPeersRaiseNoTerm extends Rule implements Invariant {
  readonly name = 'removed-peers-raise-no-term';
  /** Those nodes, by core, whose latest pre-vote began when they were out. */
  private readonly beganOut = new WeakMap<object, number>();

  readonly sent = {
    'ballot-box.elect': (body: Body<'ballot-box.elect'>, from: Actor) => this.onElect(body, from),
  };

  private onElect(body: Body<'ballot-box.elect'>, { core }: Actor): void {
    if (body.kind === 'pre_vote') {
      const isOut = this.isOut(body);
      if (isOut) this.beganOut.set(core, body.term);
      else this.beganOut.delete(core);
      return;
    }
    this.check(
      this.beganOut.get(core) !== body.term,
      () => `${body.peer_id} stands for term ${body.term}, and was out of the group before it asked for pre-votes`,
    );
  }

  private isOut(body: Body<'ballot-box.elect'>): boolean {
    const { peer_id, store_id } = body;
    const committed = this.record.commits.last;
    if (committed === undefined) return false;
    // A configuration that it has and that may yet be committed may take it in again.
    let inForce = this.record.accepted.of(body)?.last?.inForce;
    while (inForce !== undefined && inForce.entry.index > committed.index) {
      if (isIn(inForce.configuration, peer_id, store_id)) return false;
      inForce = inForce.before;
    }
    return wasRemoved(committed, body);
  }
}

function wasRemoved(committed: Entry, { peer_id, store_id }: Body<'ballot-box.elect'>): boolean {
  const latest = committed.inForce;
  return latest !== undefined && !isIn(latest.configuration, peer_id, store_id);
}
