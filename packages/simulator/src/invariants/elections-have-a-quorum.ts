/**
 * A leader has the votes of a majority of each set of the effective configuration of its own log, given by the stores
 * that the configuration names, and each of these votes is synced (Raft thesis, sections 3.4 and 4.3).
 */
import type { Body } from '@conclave/protocol';
import { configurationText, hasQuorum, sameConfiguration } from './configurations.js';
import { type Invariant, Rule } from './invariant.js';
import { entryText } from './record/log-tree.js';

export class ElectionsHaveAQuorum extends Rule implements Invariant {
  readonly name = 'elections-have-a-quorum';
  private readonly checked = new Set<number>();

  readonly sent = {
    'ballot-box.elect': (body: Body<'ballot-box.elect'>) => this.onElect(body),
    'ballot-box.lead': (body: Body<'ballot-box.lead'>) => this.onLead(body),
  };

  /** Votes must be counted with the last configuration that the candidate has accepted. */
  private onElect(body: Body<'ballot-box.elect'>): void {
    // This is checked also if a ballot-box has restarted and the election is opened again: it counts the candidate's own vote at once.
    this.check(
      body.kind !== 'vote' || this.record.hasVoted(body.store_id, body.term, body.peer_id),
      () => `${body.peer_id} counts its own vote of term ${body.term}, which is not synced`,
    );
    if (!this.record.isNewElection) return;
    const last = this.record.accepted.of(body)?.last;
    const configuration = last?.effective?.configuration;
    this.check(
      configuration !== undefined && sameConfiguration(configuration, body.configuration),
      () =>
        `${body.peer_id} counts with ${configurationText(body.configuration)} and has a log up to ${entryText(last)} with ${
          configuration === undefined ? 'none' : configurationText(configuration)
        }`,
    );
  }

  private onLead({ term, peer_id }: Body<'ballot-box.lead'>): void {
    if (this.checked.has(term)) return;
    this.checked.add(term);
    const configuration = this.record.leaders.get(term)?.elected?.effective?.configuration;
    this.check(configuration !== undefined, () => `${peer_id} leads term ${term} without a configuration`);
    this.check(
      hasQuorum(configuration, (member) => this.record.hasVoted(member.store_id, term, peer_id)),
      () => `${peer_id} leads term ${term}, and ${configurationText(configuration)} has no quorum that voted for it`,
    );
  }
}
