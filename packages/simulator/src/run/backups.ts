/**
 * Backups of an operator: reads a peer's snapshot, chunk by chunk (`read_snapshot`), and creates a new group under the
 * same name from it, after the group was deleted at all peers (`conclave backup`, `conclave restore`; promise 26).
 *
 * Owns: the backup that was read last. A backup that could not be read completely is dropped.
 */
import type { NodeInput } from '@conclave/node';
import { type AdminReply, type PeerId, SnapshotAssembler, type SnapshotHead } from '@conclave/protocol';
import type { Entry } from '../invariants/record/log-tree.js';
import { restoredState } from '../invariants/record/model-states.js';
import type { NodeReply } from '../mesh/run-observer.js';
import type { RunContext } from './run-context.js';

export interface Backup {
  readonly head: SnapshotHead;
  readonly chunks: readonly Uint8Array[];
  /** The last entry that it covers. */
  readonly last: Entry;
}

/** The timeout of a bootstrap: it asks all peers for three election timeouts. */
const foundingMs = 6000;
/** The pause before a retry. */
const retryMs = 400;
const maxAttempts = 60;

export class Backups {
  private kept: Backup | undefined;
  private restores = 0;

  constructor(private readonly context: RunContext) {}

  get last(): Backup | undefined {
    return this.kept;
  }

  /** Returns an id for the next restore, so that chunks of two restores are never mixed. */
  nextId(): string {
    this.restores += 1;
    return `restore-${this.restores}`;
  }

  // ---- backup ------------------------------------------------------------------------------------

  /** Reads the snapshot of a peer. */
  read(peerId: PeerId): void {
    if (this.context.mesh.isUp(peerId, 'node')) this.readChunk(peerId, '', []);
  }

  private readChunk(peerId: PeerId, snapshotId: string, chunks: readonly Uint8Array[]): void {
    this.ask(peerId, 'read_snapshot', { snapshot_id: snapshotId, number: chunks.length }, (answer) => {
      if (!('result' in answer)) return;
      const { snapshot_id, head, chunk } = answer.result as AdminReply<'read_snapshot'>;
      const read = [...chunks, chunk];
      if (read.length < head.chunks) this.readChunk(peerId, snapshot_id, read);
      else this.keep(head, read);
    });
  }

  private keep(head: SnapshotHead, chunks: readonly Uint8Array[]): void {
    const { mesh, invariants } = this.context;
    const last = invariants.record.commits.at(head.index);
    // The snapshot may belong to a history that was abandoned meanwhile.
    if (last === undefined || last.term !== head.term) return;
    const assembler = new SnapshotAssembler(head.index);
    // A fault of the run may have corrupted the state of that peer.
    if (restoredState(chunks.flatMap((chunk) => assembler.add(chunk))) === 'corrupted') return;
    mesh.coverage.count('backup read');
    this.kept = { head, chunks, last };
  }

  // ---- restore -----------------------------------------------------------------------------------

  /** Creates the group of these peers, which are all empty, from a backup. */
  restore(restoreId: string, backup: Backup, founders: readonly PeerId[]): void {
    const { invariants } = this.context;
    const isGroupDeleted = (): boolean => this.context.invariants !== invariants;
    this.sendChunk({ restoreId, backup, founders, isGroupDeleted, attempts: 0 }, 0);
  }

  private sendChunk(restore: Restore, number: number): void {
    const { restoreId, backup, founders } = restore;
    const [at] = founders;
    const chunk = backup.chunks[number];
    if (at === undefined) return;
    if (chunk === undefined) return this.found(restore);
    this.ask(at, 'restore_chunk', { restore_id: restoreId, number, chunk }, (answer) => {
      if ('result' in answer) return this.sendChunk(restore, number + 1);
      // A node that has restarted has lost the chunks that it received.
      const hasLostChunks = answer.error.code === 'EINVAL';
      this.retry(restore, () => this.sendChunk(restore, hasLostChunks ? 0 : number));
    });
  }

  /** Bootstraps the founder with the received chunks. It restarts with the backup as its state; then a second bootstrap adds the other peers. */
  private found(restore: Restore): void {
    const { restoreId, backup, founders } = restore;
    const { mesh, clients } = this.context;
    const [at] = founders;
    if (at === undefined) return;
    const body = {
      peers: founders,
      restore: { restore_id: restoreId, head: backup.head },
      timeout_ms: foundingMs,
      new: true,
    };
    this.ask(at, 'bootstrap', body, (answer) => {
      const hasLostChunks = 'error' in answer && answer.error.code === 'EINVAL';
      if (hasLostChunks) return this.retry(restore, () => this.sendChunk(restore, 0));
      mesh.after(retryMs, () => {
        if (!restore.isGroupDeleted())
          clients.operate({ type: 'bootstrap', at, peers: founders, timeout: 2 * foundingMs });
      });
    });
  }

  private retry(restore: Restore, run: () => void): void {
    restore.attempts += 1;
    if (restore.attempts > maxAttempts) return;
    this.context.mesh.after(retryMs, () => {
      if (!restore.isGroupDeleted()) run();
    });
  }

  private ask(
    at: PeerId,
    command: 'read_snapshot' | 'restore_chunk' | 'bootstrap',
    body: object,
    onReply: (answer: NodeReply) => void,
  ): void {
    const { mesh } = this.context;
    const actor = mesh.nodeActor(at);
    if (!actor.isUp) return onReply({ error: { code: 'EUNREACHABLE', message: `${at} is down`, outcome: 'not_done' } });
    mesh.request(
      actor,
      (requestId) => ({ type: 'admin', requestId, addressee: 'peer', command, body }) as NodeInput,
      // The reply is passed on only after the step that produced it.
      (answer) => mesh.after(0, () => onReply(answer)),
    );
  }
}

interface Restore {
  readonly restoreId: string;
  readonly backup: Backup;
  readonly founders: readonly PeerId[];
  /** Whether the group was deleted again: then the restore ends. */
  readonly isGroupDeleted: () => boolean;
  attempts: number;
}
