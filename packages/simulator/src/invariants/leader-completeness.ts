/**
 * Leader Completeness (Raft thesis, figure 3.2): a leader's log contains every entry committed in an earlier term.
 * That includes entries whose commit, by a leader of an earlier term, is noticed only after the later election.
 */
import type { Body } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';
import { entryText, hasEntry } from './record/log-tree.js';

export class LeaderCompleteness extends Rule implements Invariant {
  readonly name = 'leader-completeness';
  private readonly checked = new Set<number>();
  private lastCommitted = 0;

  readonly sent = {
    'ballot-box.lead': (body: Body<'ballot-box.lead'>) => this.onLead(body),
    'feed.committed': (body: Body<'feed.committed'>) => this.onCommitted(body),
  };

  private onLead({ term, peer_id }: Body<'ballot-box.lead'>): void {
    if (this.checked.has(term)) return;
    this.checked.add(term);
    const committed = this.record.commits.before(term);
    const leader = this.record.leaders.get(term);
    this.check(
      committed === undefined || hasEntry(leader?.elected, committed),
      () =>
        `${peer_id} leads term ${term} with a log up to ${entryText(leader?.elected)}, without ${entryText(committed)}, which is committed`,
    );
  }

  private onCommitted({ term }: Body<'feed.committed'>): void {
    const { last } = this.record.commits;
    if (last === undefined || last.index === this.lastCommitted) return;
    this.lastCommitted = last.index;
    for (const leader of this.record.leaders.values()) {
      if (leader.term <= term) continue;
      this.check(
        hasEntry(leader.elected, last),
        () =>
          `${entryText(last)} is committed in term ${term}, and ${leader.peerId}, which leads term ${leader.term}, lacks it`,
      );
    }
  }
}
