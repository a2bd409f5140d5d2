/**
 * When a ballot-box reports entries as committed, the last of them is of the leader's own term, and a majority of each
 * set of the effective configuration at it has it synced; if that entry is itself a configuration, it is the effective
 * one (Raft thesis, sections 3.6.2 and 4.3). Only the stores that this configuration names count.
 */
import type { Body, StoreId } from '@conclave/protocol';
import { configurationText, hasQuorum } from './configurations.js';
import { type Invariant, Rule } from './invariant.js';
import { type Entry, entryText, hasEntry } from './record/log-tree.js';

export class CommitsHaveAQuorum extends Rule implements Invariant {
  readonly name = 'commits-have-a-quorum';
  private readonly checked = new Map<number, number>();

  readonly sent = {
    'feed.committed': (body: Body<'feed.committed'>) => this.onCommitted(body),
  };

  private onCommitted({ term, index, store_id }: Body<'feed.committed'>): void {
    if (index <= (this.checked.get(term) ?? 0)) return;
    this.checked.set(term, index);
    const groupUid = this.record.stored.of(store_id)?.meta.group_uid ?? '';
    const entry = this.record.tree.find(groupUid, index, term);
    this.check(
      entry !== undefined,
      () => `entry ${index} is committed in term ${term}, and there is none of that term`,
    );
    const configuration = entry.effective?.configuration;
    this.check(configuration !== undefined, () => `${entryText(entry)} is committed without a configuration`);
    this.check(
      hasQuorum(configuration, (member) => this.isStored(member.store_id, entry)),
      () =>
        `${entryText(entry)} is committed, and ${configurationText(configuration)} has no quorum that has synced it`,
    );
  }

  private isStored(storeId: StoreId, entry: Entry): boolean {
    return hasEntry(this.record.stored.of(storeId)?.last, entry);
  }
}
