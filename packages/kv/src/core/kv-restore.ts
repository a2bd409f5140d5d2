/**
 * A restore of the key-value store in progress.
 *
 * Owns: its position. Fills tables that are empty at the start; its creator does not use them before the end.
 *
 * Anything invalid stops the node: there is no partial state.
 */
import type { StateMachineRestore } from '@conclave/actor/core';
import { asLogIndex, CommandResult, GroupUid, InvariantError, invariant, limits, noGroupUid } from '@conclave/protocol';
import type { ClientSessions } from './client-sessions.js';
import { isClientId, isCount, isKey, isLeaseId, isOwner, isPublicLeaseId, isValue } from './fast-validation.js';
import type { KeySpace } from './key-space.js';
import type { KvCommandResult } from './kv-entry.js';
import { type ClaimRow, decodePiece, type SnapshotRows, type SnapshotSection, sections } from './snapshot-piece.js';

export class KvRestore implements StateMachineRestore {
  private pieces = 0;
  private section: SnapshotSection = 'head';
  /** How many rows of each section are still missing. */
  private readonly left: Record<SnapshotSection, number> = {
    head: 1,
    leases: 0,
    keys: 0,
    locks: 0,
    sessions: 0,
    results: 0,
  };

  constructor(
    private readonly keys: KeySpace,
    private readonly sessions: ClientSessions,
  ) {}

  take(bytes: Uint8Array): void {
    const { number, section, rows } = decodePiece(bytes);
    invariant(number === this.pieces, `ECORRUPT: piece ${number} of a snapshot instead of piece ${this.pieces}`);
    invariant(sections.indexOf(section) >= sections.indexOf(this.section), 'ECORRUPT: the sections are out of order');
    this.pieces += 1;
    this.section = section;
    for (const row of rows) {
      this.left[section] -= 1;
      if (!Array.isArray(row) || !this.takeRow(section, row)) {
        throw new InvariantError(`ECORRUPT: a row of ${section} in a snapshot is invalid`);
      }
    }
    invariant(this.left[section] >= 0, `ECORRUPT: a snapshot has more ${section} than its head names`);
  }

  end(): void {
    for (const section of sections) {
      invariant(this.left[section] === 0, `ECORRUPT: a snapshot lacks ${this.left[section]} of its ${section}`);
    }
  }

  private takeRow(section: SnapshotSection, row: readonly unknown[]): boolean {
    switch (section) {
      case 'head':
        return this.takeHead(row);
      case 'leases':
        return this.takeLease(row);
      case 'keys':
        return this.takeKey(row);
      case 'locks':
        return this.takeLock(row);
      case 'sessions':
        return this.takeSession(row);
      case 'results':
        return this.takeResult(row);
    }
  }

  private takeHead(row: readonly unknown[]): boolean {
    const counts = row.slice(0, 7);
    const historyUid = row[7] ?? noGroupUid;
    if (!counts.every(isCount) || !GroupUid.safeParse(historyUid).success) return false;
    const [revision, lastLeaseId, leases, keys, locks, sessions, results] = counts as readonly number[];
    if (revision === undefined || lastLeaseId === undefined || leases === undefined || keys === undefined) return false;
    if (locks === undefined || sessions === undefined || results === undefined) return false;
    if (leases > limits.leases || locks > limits.locks || sessions > limits.clientSessions) return false;
    this.keys.restoreRevision(revision);
    this.keys.historyUid = historyUid as GroupUid;
    this.keys.leases.restoreLastId(lastLeaseId);
    Object.assign(this.left, { leases, keys, locks, sessions, results });
    return true;
  }

  private takeLease(row: readonly unknown[]): boolean {
    const [leaseId, ttlMs, keptIndex, remainingMs = 0, isOfEarlierHistory = false] = row;
    if (!isLeaseId(leaseId) || !isCount(ttlMs) || !isCount(keptIndex) || keptIndex === 0) return false;
    if (!isCount(remainingMs) || typeof isOfEarlierHistory !== 'boolean') return false;
    return this.keys.leases.restore(row as SnapshotRows['leases']);
  }

  private takeKey([key, value, revision, leaseId]: readonly unknown[]): boolean {
    if (!isKey(key) || !isValue(value) || !isCount(revision)) return false;
    if (leaseId !== 0 && !isPublicLeaseId(leaseId)) return false;
    return this.keys.restore(key, value, revision, leaseId);
  }

  private takeLock([name, token, holder, waiting]: readonly unknown[]): boolean {
    if (!isKey(name) || !isCount(token) || !isClaim(holder) || !Array.isArray(waiting)) return false;
    return (
      token <= this.keys.revision && waiting.every(isClaim) && this.keys.locks.restore(name, token, holder, waiting)
    );
  }

  private takeSession([clientId, lastIndex, lowWater]: readonly unknown[]): boolean {
    if (!isClientId(clientId) || !isCount(lastIndex) || lastIndex === 0 || !isCount(lowWater)) return false;
    return this.sessions.restore(clientId, asLogIndex(lastIndex), lowWater);
  }

  private takeResult([clientId, sequence, result, digest]: readonly unknown[]): boolean {
    const parsed = CommandResult.safeParse(result);
    if (!isClientId(clientId) || !isCount(sequence) || !parsed.success) return false;
    if (digest !== undefined && !isCount(digest)) return false;
    return this.sessions.restoreResult(clientId, sequence, parsed.data as KvCommandResult, digest);
  }
}

function isClaim(value: unknown): value is ClaimRow {
  return Array.isArray(value) && value.length === 2 && isOwner(value[0]) && isPublicLeaseId(value[1]);
}
