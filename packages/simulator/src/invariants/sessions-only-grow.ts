/**
 * The session number of a store only increases, each opening has its own, and a log-store names only the session that
 * is valid on its disk.
 */
import type { Body, PeerId } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';

interface Opening {
  readonly session: number;
  readonly nonce: string;
}

export class SessionsOnlyGrow extends Rule implements Invariant {
  readonly name = 'sessions-only-grow';
  private readonly openings = new Map<string, Opening>();

  readonly sent = {
    'node.opened': (body: Body<'node.opened'>) => this.onOpened(body),
    'feed.stored': ({ store_id, session }: Body<'feed.stored'>) => this.onSpoken(store_id, session),
    'node.ack': ({ actor, store_id, session }: Body<'node.ack'>) => {
      if (actor === 'log-store') this.onSpoken(store_id, session);
    },
  };

  onWritten(peerId: PeerId): void {
    const { change } = this.record;
    if (change === undefined) return;
    const [before, after] = [change.before.meta.session, change.store.meta.session];
    this.check(after >= before, () => `the session of ${peerId} fell from ${before} to ${after}`);
  }

  private onOpened({ store_id, session, nonce }: Body<'node.opened'>): void {
    const before = this.openings.get(store_id);
    this.openings.set(store_id, { session, nonce });
    this.onSpoken(store_id, session);
    if (before === undefined) return;
    const isRepeated = session === before.session && nonce === before.nonce;
    this.check(
      isRepeated || session > before.session,
      () =>
        `session ${session} of ${store_id} is opened for ${nonce}, after session ${before.session} for ${before.nonce}`,
    );
  }

  private onSpoken(storeId: string, session: number): void {
    const effective = this.record.stored.of(storeId)?.meta.session;
    this.check(
      session === effective,
      () => `${storeId} sends a message of session ${session}, and session ${effective} is valid on its disk`,
    );
  }
}
