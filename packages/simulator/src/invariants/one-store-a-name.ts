/**
 * Under a peer's name one store counts: each set of a configuration contains a name once, and a store has one name.
 * The old and the new set name different stores for a peer only while a lost store is replaced (promise 6), and then
 * the old store really is lost.
 */
import type { Body, Member } from '@conclave/protocol';
import { configurationText } from './configurations.js';
import { type Invariant, Rule } from './invariant.js';
import { type Entry, entryText } from './record/log-tree.js';

export class OneStoreAName extends Rule implements Invariant {
  readonly name = 'one-store-a-name';

  readonly sent = {
    'feed.append': (body: Body<'feed.append'>) => {
      for (const entry of this.record.appended ?? []) if (entry.kind === 'configuration') this.onAppended(entry, body);
    },
  };

  private onAppended(entry: Entry, { leader_id }: Body<'feed.append'>): void {
    const configuration = entry.effective?.configuration;
    if (configuration === undefined) return;
    const { peers, old_peers } = configuration;
    this.check(
      isUnique(peers) && isUnique(old_peers) && namesOfStores([...peers, ...old_peers]),
      () => `${leader_id} appends ${configurationText(configuration)} as ${entryText(entry)}`,
    );
    for (const { peer_id, store_id } of old_peers) {
      const replacement = peers.find((member) => member.peer_id === peer_id && member.store_id !== store_id);
      if (replacement === undefined) continue;
      this.check(
        this.record.stored.ofPeer(peer_id)?.meta.store_id !== store_id,
        () => `${leader_id} replaces the store ${store_id} of ${peer_id}, which is not lost`,
      );
    }
  }
}

function isUnique(members: readonly Member[]): boolean {
  return new Set(members.map(({ peer_id }) => peer_id)).size === members.length;
}

function namesOfStores(members: readonly Member[]): boolean {
  const names = new Map<string, string>();
  return members.every(({ peer_id, store_id }) => {
    const known = names.get(store_id) ?? peer_id;
    names.set(store_id, known);
    return known === peer_id;
  });
}
