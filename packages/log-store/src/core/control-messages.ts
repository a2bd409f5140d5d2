/**
 * Applies the rare messages of a node's link to the log: snapshots, a new history, and whether the peer is read-only. The core
 * itself handles entries, term and vote. It owns nothing; session and sequence number have been checked before.
 */
import type { LogStoreMessage } from '@conclave/protocol';
import { checkBatch } from './append-check.js';
import type { LogStoreOptions } from './inputs-and-effects.js';
import { chunkIsIntact, flawOf, placeOfChunk } from './log-snapshots.js';
import type { WritePipeline } from './write-pipeline.js';

export type ControlMessage = Extract<
  LogStoreMessage,
  {
    readonly name: 'log-store.snapshot_chunk' | 'log-store.snapshot_end' | 'log-store.reset' | 'log-store.read_only';
  }
>;

type BodyOf<N extends ControlMessage['name']> = Extract<ControlMessage, { readonly name: N }>['body'];

/** Receives its counted drops and its reports. */
export interface ControlOutput {
  count(reason: string, times: number): void;
  report(text: string, fields: Readonly<Record<string, unknown>>): void;
}

export class ControlMessages {
  constructor(
    private readonly options: LogStoreOptions,
    private readonly log: WritePipeline,
    private readonly output: ControlOutput,
  ) {}

  /** @returns why the message, and with it all that follow, is refused; empty: it is accepted */
  accept(message: ControlMessage): string {
    switch (message.name) {
      case 'log-store.snapshot_chunk':
        return this.onSnapshotChunk(message.body);
      case 'log-store.snapshot_end':
        return this.onSnapshotEnd(message.body);
      case 'log-store.reset':
        return this.onReset(message.body);
      case 'log-store.read_only':
        this.log.setReadOnly(message.body.read_only, message.body.diverged_at);
        return '';
    }
  }

  private onSnapshotChunk(body: BodyOf<'log-store.snapshot_chunk'>): string {
    const place = placeOfChunk(this.log.accepted, body);
    if (place !== 'begin' && place !== 'next') {
      this.output.count(place, 1);
      return '';
    }
    if (!chunkIsIntact(body)) return 'damaged_chunk';
    this.log.chunk(this.options.groupId, body);
    return '';
  }

  private onSnapshotEnd(body: BodyOf<'log-store.snapshot_end'>): string {
    const { groupUid } = this.log.accepted;
    if (body.group_uid === '' || (groupUid !== '' && body.group_uid !== groupUid)) return 'other_group_uid';
    const flaw = flawOf(this.log.accepted, body);
    if (flaw === '') {
      this.output.count('acknowledgements_truncated', this.log.snapshot(body));
      return '';
    }
    this.output.count(flaw, 1);
    if (flaw === 'snapshot_counts_already') return '';
    this.log.dropIncoming();
    const { snapshot_id, source, head } = body;
    this.output.report('a snapshot is given up', { snapshot_id, source, index: head.index, reason: flaw });
    return '';
  }

  private onReset(body: BodyOf<'log-store.reset'>): string {
    const { groupUid, term, lastIndex } = this.log.accepted;
    const batch = checkBatch(body.batch);
    const fits =
      body.old_group_uid === groupUid &&
      batch?.configuration !== undefined &&
      batch.header.term > term &&
      batch.header.term < body.term &&
      batch.header.first === lastIndex + 1;
    if (!fits) return 'reset_of_other_log';
    this.output.count('acknowledgements_truncated', this.log.reset(body, batch));
    return '';
  }
}
