/**
 * A tick that is confirmed was echoed, in the leader's own term, by a majority of each set of a configuration that may be
 * in force at the leader: the last committed one, or one behind it (Raft thesis, section 6.4). The leader itself counts
 * where it is a member.
 */
import type { Body, Member } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';
import { hasQuorum } from './record/quorum.js';
import { configurationText } from './words.js';

export class ReadsHaveAQuorum extends Rule implements Invariant {
  readonly name = 'reads-have-a-quorum';
  /** By store and term: the latest tick that it has echoed. */
  private readonly echoes = new Map<string, number>();

  readonly sent = {
    'feed.echo': ({ store_id, leader_term, tick_id }: Body<'feed.echo'>) => {
      const key = `${store_id} ${leader_term}`;
      this.echoes.set(key, Math.max(tick_id, this.echoes.get(key) ?? 0));
    },
    'node.confirmed': (body: Body<'node.confirmed'>) => this.onConfirmed(body),
  };

  private onConfirmed({ store_id, term, tick_id }: Body<'node.confirmed'>): void {
    const leader = this.record.leaders.get(term);
    this.check(leader?.storeId === store_id, () => `a tick of term ${term} is confirmed, and its leader is another`);
    const has = (member: Member): boolean =>
      member.store_id === store_id || (this.echoes.get(`${member.store_id} ${term}`) ?? 0) >= tick_id;
    const committed = this.record.commits.last?.index ?? 0;
    const tried: string[] = [];
    let inForce = leader.last?.inForce;
    while (inForce !== undefined) {
      if (hasQuorum(inForce.configuration, has)) return;
      tried.push(configurationText(inForce.configuration));
      if (inForce.entry.index <= committed) break;
      inForce = inForce.before;
    }
    this.check(false, () => `tick ${tick_id} of term ${term} is confirmed without a quorum of ${tried.join(' or ')}`);
  }
}
