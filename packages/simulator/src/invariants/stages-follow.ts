/**
 * Each configuration follows from the previous one in its log by one stage of a change (Raft thesis, section 4.3;
 * DESIGN, section 4): a leader's first configuration equals the previous one; after a stable one comes a joint one
 * that has it as its old set, or one with exactly one member more or less, or the same one with a higher feature
 * level; after a joint one comes its new set or its old set.
 */
import { type Body, type Configuration, isJoint, levelOf } from '@conclave/protocol';
import { configurationText, keysOf, sameConfiguration, sameMembers } from './configurations.js';
import { type Invariant, Rule } from './invariant.js';
import { type Entry, entryText } from './record/log-tree.js';

export class StagesFollow extends Rule implements Invariant {
  readonly name = 'stages-follow';

  readonly sent = {
    'feed.append': (body: Body<'feed.append'>) => {
      for (const entry of this.record.appended ?? []) if (entry.kind === 'configuration') this.onAppended(entry, body);
    },
  };

  private onAppended(entry: Entry, { leader_id, leader_term }: Body<'feed.append'>): void {
    const before = entry.prev?.effective?.configuration;
    const after = entry.effective?.configuration;
    this.check(after !== undefined && before !== undefined, () => `${entryText(entry)} is the first configuration`);
    const isFirst = this.record.leaders.get(leader_term)?.firstIndex === entry.index;
    this.check(
      isFirst ? sameConfiguration(before, after) : mayFollow(before, after),
      () =>
        `${leader_id} appends ${configurationText(after)} as ${entryText(entry)}${isFirst ? ', its first,' : ''} after ${configurationText(before)}`,
    );
  }
}

function mayFollow(before: Configuration, after: Configuration): boolean {
  if (isJoint(before)) {
    const isOneOfBoth = sameMembers(after.peers, before.peers) || sameMembers(after.peers, before.old_peers);
    return !isJoint(after) && isOneOfBoth;
  }
  // Nothing but the level is higher.
  if (levelOf(after) > levelOf(before)) return sameConfiguration(before, after);
  if (isJoint(after)) return sameMembers(after.old_peers, before.peers);
  const [was, is] = [new Set(keysOf(before.peers)), new Set(keysOf(after.peers))];
  const changed = [...was].filter((key) => !is.has(key)).length + [...is].filter((key) => !was.has(key)).length;
  return changed === 1;
}
