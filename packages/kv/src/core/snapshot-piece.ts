/**
 * The pieces of a snapshot of the key-value store, encoded. A piece, big-endian:
 *
 *     0  u32  CRC-32 of all that follows
 *     4  u8   version (1)
 *     5  msgpack: [number of the piece, from 0; section; rows]
 *
 * Sections are in the order of `sections`; the first has one row with the numbers of rows of the others. What is tied to a lease is in
 * the keys and locks. The results of sessions follow all sessions.
 */

import {
  type ClientId,
  ConclaveError,
  decode,
  encode,
  type GroupUid,
  InvariantError,
  type LeaseId,
  type PublicLeaseId,
  snapshotChecksum,
  type Value,
} from '@conclave/protocol';
import type { KvCommandResult } from './kv-entry.js';

const version = 1;
const headerBytes = 5;

/** A holder or waiter of a lock: owner, id of its lease. */
export type ClaimRow = readonly [string, PublicLeaseId];

/** Revision, id of the last lease, then the numbers of leases, keys, locks, sessions and results that follow. */
export type HeadCounts = readonly [number, number, number, number, number, number, number];

export interface SnapshotRows {
  /** From level 1 on with the group's current history. */
  readonly head: HeadCounts | readonly [...HeadCounts, GroupUid];
  /**
   * Id, time, index of the entry that kept it last. In the order in which they were granted. From feature level 1 on, if they
   * differ from the default: the remaining time then, and whether an earlier history granted it.
   */
  readonly leases:
    | readonly [LeaseId, number, number]
    | readonly [LeaseId, number, number, number]
    | readonly [LeaseId, number, number, number, boolean];
  /** Key, value, revision, id of the lease that it is tied to or 0. In their order. */
  readonly keys: readonly [string, Value, number, PublicLeaseId | 0];
  /** Name, token, holder, waiters. In the order of their first acquisition. */
  readonly locks: readonly [string, number, ClaimRow, readonly ClaimRow[]];
  /** Id, index of the entry that used it last, low-water mark. In the order of last use, longest ago first. */
  readonly sessions: readonly [ClientId, number, number];
  /** Id of the session, number of the call, result; from level 1 on the digest of the command. */
  readonly results: readonly [ClientId, number, KvCommandResult] | readonly [ClientId, number, KvCommandResult, number];
}

export type SnapshotSection = keyof SnapshotRows;

export const sections: readonly SnapshotSection[] = ['head', 'leases', 'keys', 'locks', 'sessions', 'results'];

export interface SnapshotPiece {
  readonly number: number;
  readonly section: SnapshotSection;
  /** Not checked. */
  readonly rows: readonly unknown[];
}

export function encodePiece<Section extends SnapshotSection>(
  number: number,
  section: Section,
  rows: readonly SnapshotRows[Section][],
): Uint8Array {
  const body = encode([number, section, rows]);
  const piece = new Uint8Array(headerBytes + body.length);
  piece[4] = version;
  piece.set(body, headerBytes);
  new DataView(piece.buffer).setUint32(0, snapshotChecksum(piece.subarray(4), 0));
  return piece;
}

/** @throws InvariantError if it is not a complete, intact piece of the key-value store */
export function decodePiece(bytes: Uint8Array): SnapshotPiece {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length <= headerBytes || view.getUint32(0) !== snapshotChecksum(bytes.subarray(4), 0)) {
    throw new InvariantError('ECORRUPT: a piece of a snapshot of the key-value store is damaged');
  }
  if (view.getUint8(4) !== version) {
    throw new InvariantError(`ECORRUPT: a snapshot of the key-value store of version ${view.getUint8(4)}`);
  }
  const value = decoded(bytes.subarray(headerBytes));
  const [number, section, rows] = Array.isArray(value) && value.length === 3 ? value : [];
  if (typeof number !== 'number' || !isSection(section) || !Array.isArray(rows)) throw foreign();
  return { number, section, rows };
}

function decoded(bytes: Uint8Array): unknown {
  try {
    return decode(bytes);
  } catch (error) {
    if (error instanceof ConclaveError) throw foreign();
    throw error;
  }
}

function isSection(value: unknown): value is SnapshotSection {
  return (sections as readonly unknown[]).includes(value);
}

function foreign(): InvariantError {
  return new InvariantError('ECORRUPT: not a piece of a snapshot of the key-value store');
}
