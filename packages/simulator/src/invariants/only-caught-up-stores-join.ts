/**
 * A store is in no configuration, and so neither votes nor counts, before it has synced the leader's latest
 * configuration and all entries before that (Raft thesis, section 4.2.1; promises 2, 6 and 9), and before it receives
 * the leader's new entries as members do (decision 0072). What a store has lost it has to catch up again, as a new
 * store.
 */
import { allMembers, type Body, isIn } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';
import { type Entry, entryText, hasEntry } from './record/log-tree.js';

export class OnlyCaughtUpStoresJoin extends Rule implements Invariant {
  readonly name = 'only-caught-up-stores-join';

  /** The stores that have reported to receive a leader's appends, by store, leader and term. */
  private readonly hearing = new Set<string>();

  readonly sent = {
    'feed.echo': ({ store_id, leader_id, leader_term, hears_feed }: Body<'feed.echo'>) => {
      if (hears_feed) this.hearing.add(`${store_id} ${leader_id} ${leader_term}`);
    },
    'feed.append': (body: Body<'feed.append'>) => {
      for (const entry of this.record.appended ?? []) if (entry.kind === 'configuration') this.onAppended(entry, body);
    },
  };

  private onAppended(entry: Entry, { leader_id, leader_term }: Body<'feed.append'>): void {
    const before = entry.prev?.effective;
    const after = entry.effective?.configuration;
    if (before === undefined || after === undefined) return;
    for (const { peer_id, store_id } of allMembers(after)) {
      if (isIn(before.configuration, peer_id, store_id)) continue;
      const stored = this.record.stored.of(store_id);
      this.check(
        stored?.peerId === peer_id && hasEntry(stored.last, before.entry),
        () =>
          `${leader_id} adds ${peer_id} (${store_id}), which has synced up to ${entryText(stored?.last)}, not ${entryText(before.entry)}`,
      );
      this.check(
        this.hearing.has(`${store_id} ${leader_id} ${leader_term}`),
        () => `${leader_id} adds ${peer_id} (${store_id}), which has not reported that it receives its appends`,
      );
    }
  }
}
