/**
 * A member of a configuration with a feature level has announced that it supports that level: before the level is
 * raised, and before the member is added (promise 31). And a level is never lowered.
 */
import { allMembers, type Body, isIn, type Levels, levelOf } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';
import type { Entry } from './record/log-tree.js';

interface Said {
  readonly store_id: string;
  readonly levels?: Levels | null | undefined;
}

export class LevelsAreSpoken extends Rule implements Invariant {
  readonly name = 'levels-are-spoken';
  /** Of each store: the highest level that its peer has ever said. */
  private readonly said = new Map<string, number>();

  readonly sent = {
    'feed.echo': (body: Body<'feed.echo'>) => this.onSaid(body),
    'replicator.identity': (body: Body<'replicator.identity'>) => this.onSaid(body),
    'feed.append': (body: Body<'feed.append'>) => {
      for (const entry of this.record.appended ?? []) if (entry.kind === 'configuration') this.onAppended(entry, body);
    },
  };

  private onSaid({ store_id, levels }: Said): void {
    const highest = levels?.highest ?? 0;
    if (highest > (this.said.get(store_id) ?? 0)) this.said.set(store_id, highest);
  }

  private onAppended(entry: Entry, { leader_id }: Body<'feed.append'>): void {
    const before = entry.prev?.inForce?.configuration;
    const after = entry.inForce?.configuration;
    if (before === undefined || after === undefined) return;
    const [from, to] = [levelOf(before), levelOf(after)];
    this.check(to >= from, () => `${leader_id} lowers the level from ${from} to ${to}`);
    for (const { peer_id, store_id } of allMembers(after)) {
      if (peer_id === leader_id || (to === from && isIn(before, peer_id, store_id))) continue;
      this.check(
        (this.said.get(store_id) ?? 0) >= to,
        () => `${leader_id} appends level ${to} with ${peer_id} (${store_id}), which has never said that it speaks it`,
      );
    }
  }
}
