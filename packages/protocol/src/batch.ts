/**
 * A batch: consecutive entries of one term and one kind, encoded once by the leader. The same bytes are sent, stored and read; only
 * the peers that apply the entries decode them.
 *
 * Layout, big-endian:
 *
 *     0  u32  CRC-32 of all that follows
 *     4  u8   version: 1 at feature level 0, else 2
 *     5  u8   kind (0 commands, 1 a configuration)
 *     6  u16  the feature level that a reader of the entries must have; of version 1: 0
 *     8  u64  term
 *    16  u64  index of the first entry
 *    24  u32  entries
 *    28  for each entry: u32 length, then the payload
 *
 * The first version of Conclave accepts only version 1. So entries that need a level above 0 cannot get into its log, however late
 * their message arrives. A later version may add kinds; a peer that does not know the kind stores the batch all the same, and does
 * not apply it.
 */
import { crc32 } from 'node:zlib';
import { ConclaveError, invariant } from './errors.js';
import { limits } from './limits.js';
import { asLogIndex, asTerm, type LogIndex, type Term } from './types.js';

export const batchHeaderBytes = 28;
const versionOfLevel0 = 1;
const versionOfLevels = 2;

export const batchKinds = ['commands', 'configuration'] as const;
/** `unknown`: of a later version. */
export type BatchKind = (typeof batchKinds)[number] | 'unknown';

/** The header of a batch. `1 <= first <= last`. */
export interface BatchHeader {
  readonly kind: BatchKind;
  readonly term: Term;
  readonly first: LogIndex;
  readonly last: LogIndex;
  /** The feature level that a reader of the entries must have; undefined: 0. */
  readonly level?: number;
}

/** The size of a batch of these payloads, in bytes. */
export function batchSize(payloads: readonly Uint8Array[]): number {
  return payloads.reduce((size, payload) => size + 4 + payload.length, batchHeaderBytes);
}

/** Encodes a batch. `payloads`: one or more. `level`: of the group, from the configuration that is effective at the entries. */
export function encodeBatch(
  kind: (typeof batchKinds)[number],
  term: Term,
  first: LogIndex,
  payloads: readonly Uint8Array[],
  level = 0,
): Uint8Array {
  invariant(payloads.length > 0, 'a batch has at least one entry');
  invariant(first >= 1, 'the first entry of a log has index 1');
  const bytes = new Uint8Array(batchSize(payloads));
  const view = new DataView(bytes.buffer);
  view.setUint8(4, level === 0 ? versionOfLevel0 : versionOfLevels);
  view.setUint8(5, batchKinds.indexOf(kind));
  view.setUint16(6, level);
  setUint53(view, 8, term);
  setUint53(view, 16, first);
  view.setUint32(24, payloads.length);
  let at = batchHeaderBytes;
  for (const payload of payloads) {
    view.setUint32(at, payload.length);
    bytes.set(payload, at + 4);
    at += 4 + payload.length;
  }
  view.setUint32(0, crc32(bytes.subarray(4)));
  return bytes;
}

/**
 * Decodes the header, without the entries.
 * @throws ConclaveError EINVAL if it is not the header of a batch
 */
export function batchHeader(bytes: Uint8Array): BatchHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes.length < batchHeaderBytes ? 0 : view.getUint8(4);
  if (version !== versionOfLevel0 && version !== versionOfLevels) throw new ConclaveError('EINVAL', 'not a batch');
  const level = view.getUint16(6);
  const kind: BatchKind | undefined =
    batchKinds[view.getUint8(5)] ?? (version === versionOfLevels ? 'unknown' : undefined);
  const term = getUint53(view, 8);
  const first = getUint53(view, 16);
  const entries = view.getUint32(24);
  const plausible =
    entries > 0 && batchHeaderBytes + 4 * entries <= bytes.length && level > 0 === (version === versionOfLevels);
  if (kind === undefined || first === 0 || !plausible || (kind === 'configuration' && entries !== 1)) {
    throw new ConclaveError('EINVAL', 'not a batch');
  }
  const header: BatchHeader = {
    kind,
    term: asTerm(term),
    first: asLogIndex(first),
    last: asLogIndex(first + entries - 1),
  };
  return level === 0 ? header : { ...header, level };
}

/** Whether the checksum of the batch is right. */
export function batchIsIntact(bytes: Uint8Array): boolean {
  if (bytes.length < batchHeaderBytes) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint32(0) === crc32(bytes.subarray(4));
}

/**
 * The payloads of a batch's entries, as views.
 * @throws ConclaveError ECORRUPT if the lengths are inconsistent
 */
export function batchPayloads(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries = view.getUint32(24);
  const payloads: Uint8Array[] = [];
  let at = batchHeaderBytes;
  for (let entry = 0; entry < entries; entry++) {
    const from = at + 4;
    if (from > bytes.length) throw new ConclaveError('ECORRUPT', 'a batch is cut short');
    at = from + view.getUint32(at);
    if (at > bytes.length) throw new ConclaveError('ECORRUPT', 'a batch is cut short');
    payloads.push(bytes.subarray(from, at));
  }
  if (at !== bytes.length) throw new ConclaveError('ECORRUPT', 'a batch has bytes after its entries');
  return payloads;
}

/** The batch of the entries with an index of at most `last`. */
export function batchUpTo(bytes: Uint8Array, last: LogIndex): Uint8Array {
  const header = batchHeader(bytes);
  invariant(last >= header.first, 'the result has at least one entry');
  if (last >= header.last) return bytes;
  return withEntries(bytes, header.first, batchPayloads(bytes).slice(0, last - header.first + 1));
}

/** The batch of the entries with an index of at least `first`. */
export function batchFrom(bytes: Uint8Array, first: LogIndex): Uint8Array {
  const header = batchHeader(bytes);
  invariant(first <= header.last, 'the result has at least one entry');
  if (first <= header.first) return bytes;
  return withEntries(bytes, first, batchPayloads(bytes).slice(first - header.first));
}

/** A batch with these of its entries. Version and kind are unchanged: they may be of a later version. */
function withEntries(bytes: Uint8Array, first: LogIndex, payloads: readonly Uint8Array[]): Uint8Array {
  const cut = encodeBatch('commands', asTerm(0), first, payloads);
  // Version, kind, level and term.
  cut.set(bytes.subarray(4, 16), 4);
  new DataView(cut.buffer).setUint32(0, crc32(cut.subarray(4)));
  return cut;
}

/**
 * Checks a received batch: its header, and its size.
 * @throws ConclaveError EINVAL
 */
export function checkBatch(bytes: Uint8Array): BatchHeader {
  if (bytes.length > limits.batchBytes + limits.entryBytes) throw new ConclaveError('EINVAL', 'a batch is too large');
  return batchHeader(bytes);
}

function setUint53(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value % 2 ** 32);
}

function getUint53(view: DataView, at: number): number {
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}
