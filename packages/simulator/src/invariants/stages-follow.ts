/**
 * Each configuration follows from the one before it in its log by the stages of a change (DESIGN, section 4): a leader's
 * first is the same; from a stable one to a joint one with it as the old set, or with exactly one member more or less;
 * from a joint one to its new set, or back to its old one. A stable one is followed by the same with a higher feature level, too.
 */
import { type Body, type Configuration, isJoint, levelOf } from '@conclave/protocol';
import { configurationText, entryText, keysOf, sameConfiguration, sameMembers } from './format.js';
import { type Invariant, Rule } from './invariant.js';
import type { Entry } from './record/log-tree.js';

export class StagesFollow extends Rule implements Invariant {
  readonly name = 'stages-follow';

  readonly sent = {
    'feed.append': (body: Body<'feed.append'>) => {
      for (const entry of this.record.appended ?? []) if (entry.kind === 'configuration') this.onAppended(entry, body);
    },
  };

  private onAppended(entry: Entry, { leader_id, leader_term }: Body<'feed.append'>): void {
    const before = entry.prev?.inForce?.configuration;
    const after = entry.inForce?.configuration;
    this.check(after !== undefined && before !== undefined, () => `${entryText(entry)} is the first configuration`);
    const isFirst = this.record.leaders.get(leader_term)?.firstIndex === entry.index;
    this.check(
      isFirst ? sameConfiguration(before, after) : mayFollow(before, after),
      () =>
        `${leader_id} appends ${configurationText(after)} as ${entryText(entry)}${isFirst ? ', its first,' : ''} behind ${configurationText(before)}`,
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
