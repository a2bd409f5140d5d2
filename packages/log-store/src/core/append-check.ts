/**
 * Checks whether this log may accept an append. A correct node never sends another one over an ordered link, so a refused append is
 * a fault of the node or of the transport. It is not accepted, and neither is any message after it: if it was damaged on its
 * way, the node resends it; if not, the node notices that its log-store acknowledges nothing any more.
 */
import {
  type BatchHeader,
  type Body,
  batchHeader,
  batchIsIntact,
  batchPayloads,
  ConclaveError,
  type Configuration,
  readConfiguration,
} from '@conclave/protocol';
import { type LogState, lastTerm, withoutEntriesFrom } from './log-state.js';

/** Why an append is refused. */
export type AppendRefusal =
  | 'other_group_uid'
  | 'lower_term'
  | 'truncates_committed'
  | 'damaged_batch'
  | 'gap_in_log'
  | 'term_out_of_order'
  | 'verified_beyond_end';

/** A batch with its decoded header. */
export interface CheckedBatch {
  readonly header: BatchHeader;
  readonly bytes: Uint8Array;
  /** Undefined also if a newer build has written it and this one cannot read it: it is stored anyway. */
  readonly configuration: Configuration | undefined;
}

/** @returns the batches of an append that may be accepted, or why it is refused */
export function checkAppend(state: LogState, body: Body<'log-store.append'>): readonly CheckedBatch[] | AppendRefusal {
  const { group_uid, leader_term, truncate_from, verified_index } = body;
  if (group_uid === '' || (state.groupUid !== '' && state.groupUid !== group_uid)) return 'other_group_uid';
  if (leader_term < state.term) return 'lower_term';
  if (truncate_from > 0 && truncate_from <= state.commitIndex) return 'truncates_committed';
  const before = truncates(state, truncate_from) ? withoutEntriesFrom(state, truncate_from) : state;
  let last: number = before.lastIndex;
  let term: number = lastTerm(before);
  const batches: CheckedBatch[] = [];
  for (const bytes of body.batches) {
    const batch = checkBatch(bytes);
    if (batch === undefined) return 'damaged_batch';
    const { header } = batch;
    if (header.first !== last + 1) return 'gap_in_log';
    if (header.term < term || header.term > leader_term) return 'term_out_of_order';
    last = header.last;
    term = header.term;
    batches.push(batch);
  }
  return verified_index > last ? 'verified_beyond_end' : batches;
}

/** Whether the truncation deletes any entry. */
export function truncates(state: LogState, from: number): boolean {
  return from > 0 && from <= state.lastIndex;
}

/** @returns the batch with its header; undefined: it is damaged */
export function checkBatch(bytes: Uint8Array): CheckedBatch | undefined {
  if (!batchIsIntact(bytes)) return undefined;
  try {
    const header = batchHeader(bytes);
    const payload = header.kind === 'configuration' ? batchPayloads(bytes)[0] : undefined;
    return { header, bytes, configuration: payload === undefined ? undefined : readConfiguration(payload) };
  } catch (error) {
    if (error instanceof ConclaveError) return undefined;
    throw error;
  }
}
