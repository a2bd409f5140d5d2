/**
 * A peer whose removal from the group is committed, and which has not learned of it, starts no election that reaches a
 * vote, so it never raises the group's term (Raft thesis, section 4.2.3; promise 10). A peer that had begun to ask for
 * pre-votes before its removal may still campaign.
 */
import { type Body, isIn } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';

export class RemovedPeersRaiseNoTerm extends Rule implements Invariant {
  readonly name = 'removed-peers-raise-no-term';
  /** By core: the term of the latest pre-vote, for nodes that were removed when it began. */
  private readonly beganOut = new WeakMap<object, number>();

  readonly sent = {
    'ballot-box.elect': (body: Body<'ballot-box.elect'>, from: Actor) => this.onElect(body, from),
  };

  private onElect(body: Body<'ballot-box.elect'>, { core }: Actor): void {
    if (!this.record.isNewElection) return;
    if (body.kind === 'pre_vote') {
      const isOut = this.isOut(body);
      if (isOut) this.beganOut.set(core, body.term);
      else this.beganOut.delete(core);
      return;
    }
    this.check(
      this.beganOut.get(core) !== body.term || !this.isOut(body),
      () =>
        `${body.peer_id} campaigns in term ${body.term}, and had been removed from the group before it asked for pre-votes`,
    );
  }

  /**
   * Whether it was removed and does not even have the configuration that removes it. A peer that has that configuration, and
   * does not know it to be committed, may campaign and be elected by the members. A reset removes nobody from the history that it ends.
   */
  private isOut(body: Body<'ballot-box.elect'>): boolean {
    const { last } = this.record.commits;
    const latest = last?.groupUid === body.group_uid ? last.effective : undefined;
    if (latest === undefined || isIn(latest.configuration, body.peer_id, body.store_id)) return false;
    const own = this.record.accepted.of(body)?.last?.effective;
    return own === undefined || own.entry.index < latest.entry.index;
  }
}
