/**
 * A snapshot that is being received survives the restart of the process that stores it, chunk by chunk, and the node
 * learns which chunks are there: the transfer resumes after its last chunk (promise 19). A snapshot that a node was
 * taking itself is lost with the restart.
 */
import type { Body, PeerId } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';

export class TransfersGoOn extends Rule implements Invariant {
  readonly name = 'transfers-go-on';

  readonly sent = {
    'node.opened': (body: Body<'node.opened'>) => this.onOpened(body),
  };

  onWritten(peerId: PeerId): void {
    const { change } = this.record;
    if (change === undefined || change.before.meta.session === change.store.meta.session) return;
    const [was, is] = [change.before.meta.incoming, change.store.meta.incoming];
    if (was?.source !== 'installed' || this.record.isNewSnapshot) return;
    this.check(
      is?.snapshot_id === was.snapshot_id && is.stored >= was.stored,
      () => `${peerId} opens a new session, and ${was.stored} chunks of ${was.snapshot_id} are ${is?.stored ?? 'gone'}`,
    );
  }

  private onOpened({ store_id, session, installing }: Body<'node.opened'>): void {
    const store = this.record.stored.of(store_id);
    if (store === undefined || store.meta.session !== session) return;
    const { peerId, meta } = store;
    const incoming = meta.incoming?.source === 'installed' ? meta.incoming : undefined;
    this.check(
      installing?.snapshot_id === incoming?.snapshot_id && (installing?.stored ?? 0) <= (incoming?.stored ?? 0),
      () =>
        `${peerId} reports to its node ${installing?.stored ?? 'no'} chunks of ${installing?.snapshot_id}, and holds ${incoming?.stored ?? 'none'} of ${incoming?.snapshot_id}`,
    );
    if (incoming === undefined) return;
    const chunks = this.record.snapshots.chunks(peerId, incoming.slot);
    const hasAll = Array.from({ length: incoming.stored }, (_, number) => chunks[number]).every(
      (chunk) => chunk !== undefined,
    );
    this.check(hasAll, () => `${peerId} lacks a chunk of the ${incoming.stored} of ${incoming.snapshot_id}`);
  }
}
