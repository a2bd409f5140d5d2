/**
 * A leader appends no configuration other than its first, which repeats the effective one, until that first one is
 * committed; and none after an uncommitted one, except to roll back a joint one that it has appended itself in this
 * term (Raft thesis, section 4.1).
 */
import { type Body, isJoint } from '@conclave/protocol';
import { configurationText, sameMembers } from './configurations.js';
import { type Invariant, Rule } from './invariant.js';
import { type EffectiveConfiguration, type Entry, entryText } from './record/log-tree.js';

export class OneChangeAtATime extends Rule implements Invariant {
  readonly name = 'one-change-at-a-time';

  readonly sent = {
    'feed.append': (body: Body<'feed.append'>) => {
      for (const entry of this.record.appended ?? []) if (entry.kind === 'configuration') this.onAppended(entry, body);
    },
  };

  private onAppended(entry: Entry, { leader_id, leader_term, commit_index }: Body<'feed.append'>): void {
    const leader = this.record.leaders.get(leader_term);
    const before = entry.prev?.effective;
    this.check(leader !== undefined, () => `${leader_id} appends ${entryText(entry)}, and does not lead`);
    if (before === undefined || entry.index === leader.firstIndex) return;
    const own = { first: leader.firstIndex, commit: commit_index };
    if (this.isRolledBack(entry, before)) {
      this.check(
        before.entry.term === leader_term && before.entry.index !== own.first,
        () => `${leader_id} rolls back ${entryText(before.entry)}, a joint configuration that is not its own`,
      );
      return;
    }
    this.check(
      own.first <= own.commit,
      () =>
        `${leader_id} appends a configuration as ${entryText(entry)} before its first entry, ${own.first}, is committed`,
    );
    this.check(
      before.entry.index <= own.commit,
      () =>
        `${leader_id} appends ${entryText(entry)} after ${configurationText(before.configuration)}, ${entryText(
          before.entry,
        )}, which is not committed`,
    );
  }

  private isRolledBack(entry: Entry, before: EffectiveConfiguration): boolean {
    const after = entry.effective?.configuration;
    const { configuration } = before;
    return after !== undefined && isJoint(configuration) && sameMembers(after.peers, configuration.old_peers);
  }
}
