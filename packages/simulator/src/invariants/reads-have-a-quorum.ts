/**
 * A tick that is confirmed was echoed, in the leader's own term, by a majority of each set of a configuration that may
 * be effective at the leader: the last committed one, or a later one (Raft thesis, section 6.4). The leader itself
 * counts where it is a member. The same holds for a session tick, on which a lease is based: a majority has reported
 * it or a later one (decision 0041).
 */
import type { Body, Member } from '@conclave/protocol';
import { configurationText, hasQuorum } from './configurations.js';
import { type Invariant, Rule } from './invariant.js';
import type { LeaderOfTerm } from './record/run-record.js';

export class ReadsHaveAQuorum extends Rule implements Invariant {
  readonly name = 'reads-have-a-quorum';
  /** By store and term: the latest tick that it has echoed. */
  private readonly echoes = new Map<string, number>();
  /** By store and term: the latest session tick that it has reported. */
  private readonly sessions = new Map<string, number>();
  /** By leader's store and term: the latest tick, and the latest session tick, that was confirmed. */
  private readonly confirmedTicks = new Map<string, number>();
  private readonly confirmedSessions = new Map<string, number>();

  readonly sent = {
    'feed.echo': ({ store_id, leader_term, tick_id, session_tick_id }: Body<'feed.echo'>) => {
      const key = `${store_id} ${leader_term}`;
      this.echoes.set(key, Math.max(tick_id, this.echoes.get(key) ?? 0));
      this.sessions.set(key, Math.max(session_tick_id, this.sessions.get(key) ?? 0));
    },
    'node.confirmed': (body: Body<'node.confirmed'>) => this.onConfirmed(body),
  };

  private onConfirmed({ store_id, term, tick_id, session_tick_id }: Body<'node.confirmed'>): void {
    // A message of a deleted group can arrive at the ballot-box of the group that was created again: nobody uses its result.
    if (this.record.stored.of(store_id) === undefined) return;
    const leader = this.record.leaders.get(term);
    this.check(leader?.storeId === store_id, () => `a tick of term ${term} is confirmed, and its leader is another`);
    // An earlier confirmation of the same tick may have used another configuration.
    const key = `${store_id} ${term}`;
    if (isLater(this.confirmedTicks, key, tick_id)) this.checkQuorum(leader, `tick ${tick_id}`, this.echoes, tick_id);
    if (isLater(this.confirmedSessions, key, session_tick_id))
      this.checkQuorum(leader, `session tick ${session_tick_id}`, this.sessions, session_tick_id);
  }

  private checkQuorum(leader: LeaderOfTerm, what: string, reported: ReadonlyMap<string, number>, tick: number): void {
    const { term, storeId } = leader;
    const has = (member: Member): boolean =>
      member.store_id === storeId || (reported.get(`${member.store_id} ${term}`) ?? 0) >= tick;
    const committed = this.record.commits.last?.index ?? 0;
    const tried: string[] = [];
    let effective = leader.last?.effective;
    while (effective !== undefined) {
      if (hasQuorum(effective.configuration, has)) return;
      tried.push(configurationText(effective.configuration));
      if (effective.entry.index <= committed) break;
      effective = effective.before;
    }
    this.check(false, () => `${what} of term ${term} is confirmed without a quorum of ${tried.join(' or ')}`);
  }
}

/** Whether this tick is later than all before; records it. */
function isLater(latest: Map<string, number>, key: string, tick: number): boolean {
  if (tick <= (latest.get(key) ?? 0)) return false;
  latest.set(key, tick);
  return true;
}
