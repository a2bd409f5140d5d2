/**
 * A member of a configuration with a feature level has announced that it supports that level: before the level is
 * raised, and before the member is added (promise 31). And a level is never lowered.
 */
import { allMembers, type Body, isIn, type Levels, levelOf } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';
import type { Entry } from './record/log-tree.js';

interface Announced {
  readonly store_id: string;
  readonly levels?: Levels | null | undefined;
}

export class LevelsAreSupported extends Rule implements Invariant {
  readonly name = 'levels-are-supported';
  /** By store: the highest level that its peer has announced. */
  private readonly announced = new Map<string, number>();

  readonly sent = {
    'feed.echo': (body: Body<'feed.echo'>) => this.onAnnounced(body),
    'replicator.identity': (body: Body<'replicator.identity'>) => this.onAnnounced(body),
    'feed.append': (body: Body<'feed.append'>) => {
      for (const entry of this.record.appended ?? []) if (entry.kind === 'configuration') this.onAppended(entry, body);
    },
  };

  private onAnnounced({ store_id, levels }: Announced): void {
    const highest = levels?.highest ?? 0;
    if (highest > (this.announced.get(store_id) ?? 0)) this.announced.set(store_id, highest);
  }

  private onAppended(entry: Entry, { leader_id }: Body<'feed.append'>): void {
    const before = entry.prev?.effective?.configuration;
    const after = entry.effective?.configuration;
    if (before === undefined || after === undefined) return;
    const [from, to] = [levelOf(before), levelOf(after)];
    this.check(to >= from, () => `${leader_id} lowers the level from ${from} to ${to}`);
    for (const { peer_id, store_id } of allMembers(after)) {
      if (peer_id === leader_id || (to === from && isIn(before, peer_id, store_id))) continue;
      this.check(
        (this.announced.get(store_id) ?? 0) >= to,
        () =>
          `${leader_id} appends level ${to} with ${peer_id} (${store_id}), which has never reported that it supports it`,
      );
    }
  }
}
