/**
 * Nothing of the history before a reset reaches the peers that it has reset: no entry, no vote and no acknowledgement
 * of the old history counts in the new one (promise 15). A store moves to the history of a reset by that reset alone,
 * and never back; and a node that was reset accepts nothing from a leader of the old history. What a node had sent to its
 * log-store before the reset, it may send again: the link delivers it before the reset.
 */
import type { Body, PeerId } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';

type Reset = Body<'log-store.reset'>;

export class ResetsAreFinal extends Rule implements Invariant {
  readonly name = 'resets-are-final';
  /** By store: the histories that it has left, and with which reset. */
  private readonly left = new Map<string, Map<string, Reset>>();

  readonly sent = {
    'log-store.reset': (body: Body<'log-store.reset'>) => {
      const left = this.left.get(body.store_id) ?? new Map<string, Reset>();
      this.left.set(body.store_id, left.set(body.old_group_uid, body));
    },
    'log-store.append': (body: Body<'log-store.append'>, from: Actor) => {
      if (!this.precedesReset(body)) this.notLeft(body, from, 'takes entries');
    },
    'log-store.snapshot_end': (body: Body<'log-store.snapshot_end'>, from: Actor) => {
      if (!this.precedesReset(body)) this.notLeft(body, from, 'takes a snapshot');
    },
    'feed.stored': (body: Body<'feed.stored'>, from: Actor) => this.onStored(body, from),
    'ballot-box.lead': (body: Body<'ballot-box.lead'>, from: Actor) => this.notLeft(body, from, 'leads'),
  };

  onWritten(peerId: PeerId): void {
    const { change } = this.record;
    if (change === undefined) return;
    const [before, after] = [change.before.meta, change.store.meta];
    if (before.store_id !== after.store_id || before.group_uid === after.group_uid) return;
    this.check(
      this.left.get(after.store_id)?.has(after.group_uid) !== true,
      () => `${peerId} goes back to ${after.group_uid}, which it has left`,
    );
  }

  /** Whether the message was sent before the reset of its history, on the same link. */
  private precedesReset(body: Body<'log-store.append' | 'log-store.snapshot_end'>): boolean {
    const reset = this.left.get(body.store_id)?.get(body.group_uid);
    return reset?.session === body.session && reset.link === body.link && body.seq < reset.seq;
  }

  private notLeft({ store_id, group_uid }: { store_id: string; group_uid: string }, from: Actor, what: string): void {
    this.check(
      this.left.get(store_id)?.has(group_uid) !== true,
      () => `${from.name} ${what} in the history ${group_uid}, which it has left`,
    );
  }

  /** A reset peer may still send what it was about to send, but only of entries that were durable before. */
  private onStored({ store_id, group_uid }: Body<'feed.stored'>, from: Actor): void {
    const synced = this.record.stored.of(store_id)?.meta.group_uid;
    this.check(
      this.left.get(store_id)?.has(group_uid) !== true || synced === group_uid,
      () => `${from.name} acknowledges in the history ${group_uid}, which it has left`,
    );
  }
}
