/**
 * Checks rows that follow each other in the store, as the scrubber reads them: each row by itself, and whether a row is missing between
 * them that the records of its group name. LevelDB verifies no checksums when it reads: a row whose key is damaged looks as if it had
 * never been written.
 */
import {
  asLogIndex,
  batchHeader,
  batchIsIntact,
  ConclaveError,
  type GroupId,
  removeChecksum,
} from '@conclave/protocol';
import { batchKey, chunkKey, groupOfKey, indexOfKey, isBatchKey, isChunkKey, slotKey } from './keys.js';
import type { LogState } from './log-state.js';
import { checkedChunk, chunkIsIntact } from './read-checks.js';
import { checkedBatch, corrupt, stateFromRows } from './records.js';
import type { Row, StoredRows } from './storage-operations.js';

/** Rows of the store, and the records of their groups, as of the same moment. */
export interface ScrubbedRows {
  /** The row before the others; `start`: there is none; undefined: not known, because the row that was read last has been deleted. */
  readonly before: Row | 'start' | undefined;
  /** In the order of their keys, without another row between them. None: no row follows `before`. */
  readonly rows: readonly Row[];
  /** The records of the groups that all these rows belong to. */
  readonly groups: ReadonlyMap<GroupId, StoredRows>;
}

/** Damage, with the message of an error of code ECORRUPT. */
export interface StoredDamage {
  /** Undefined: it belongs to no single group. */
  readonly groupId: GroupId | undefined;
  readonly message: string;
}

/** Two rows that follow each other. A damaged row's content is not used. */
interface Neighbours {
  /** Undefined: `next` is the first row of the store. */
  readonly row: Row | undefined;
  /** Undefined: `row` is the last row of the store. */
  readonly next: Row | undefined;
}

/** Returns what is damaged or missing. */
export function damageAmong({ before, rows, groups }: ScrubbedRows): StoredDamage[] {
  const found: StoredDamage[] = [];
  const isSound = (groupId: GroupId | undefined, check: () => void): boolean => {
    try {
      check();
      return true;
    } catch (error) {
      if (!(error instanceof ConclaveError)) throw error;
      // A record of a newer version is not damaged.
      if (error.code === 'ECORRUPT') found.push({ groupId, message: error.message });
      return false;
    }
  };
  const states = new Map<GroupId, LogState>();
  for (const [groupId, stored] of groups) {
    // When a group is deleted, its records are deleted before its entries.
    if (stored.meta === undefined) continue;
    isSound(groupId, () => states.set(groupId, stateFromRows({ groupId, peerId: undefined }, stored)));
  }
  const sound = new Set(
    rows.filter((row) => {
      const groupId = groupOfKey(row.key);
      return isSound(groupId, () => checkRow(row, groupId, states));
    }),
  );
  if (before !== 'start' && before !== undefined && isIntact(before)) sound.add(before);
  const all = neighboursByGroup(before, rows);
  for (const [groupId, state] of states) {
    isSound(groupId, () => {
      for (const each of all.get(groupId) ?? []) {
        checkChunks(groupId, state, each);
        checkEntries(groupId, state, each, sound);
      }
    });
  }
  return found;
}

/** For each group: the neighbours of which at least one belongs to it. */
function neighboursByGroup(before: ScrubbedRows['before'], rows: readonly Row[]): Map<GroupId, Neighbours[]> {
  const byGroup = new Map<GroupId, Neighbours[]>();
  const first = before === undefined ? [] : [{ row: before === 'start' ? undefined : before, next: rows[0] }];
  for (const each of [...first, ...rows.slice(0, -1).map((row, at) => ({ row, next: rows[at + 1] }))]) {
    for (const groupId of new Set([each.row, each.next].map((row) => groupOfKey(row?.key ?? '')))) {
      if (groupId === undefined) continue;
      const known = byGroup.get(groupId);
      if (known === undefined) byGroup.set(groupId, [each]);
      else known.push(each);
    }
  }
  return byGroup;
}

/** Checks a row by itself, as a read does. @throws ConclaveError ECORRUPT */
function checkRow(row: Row, groupId: GroupId | undefined, states: ReadonlyMap<GroupId, LogState>): void {
  const { key, value } = row;
  const snapshot = groupId === undefined ? undefined : states.get(groupId)?.snapshot;
  if (groupId !== undefined && isBatchKey(key)) checkedBatch(groupId, row);
  else if (groupId !== undefined && snapshot !== undefined && key.startsWith(`${slotKey(groupId, snapshot.slot)}/`)) {
    checkedChunk(groupId, snapshot, indexOfKey(key), value);
  } else if (!isIntact(row)) {
    throw corrupt(groupId ?? ('!' as GroupId), key, indexOfKey(key), 'the scrub found a damaged row (bad checksum)');
  }
}

function isIntact({ key, value }: Row): boolean {
  if (isBatchKey(key)) return batchIsIntact(value);
  if (isChunkKey(key)) return chunkIsIntact(value);
  try {
    removeChecksum(value);
    return true;
  } catch {
    return false;
  }
}

/** Whether the store has no row with this key, which would be between the two. */
function isMissing(key: string, { row, next }: Neighbours): boolean {
  return (row === undefined || row.key < key) && (next === undefined || key < next.key);
}

/** @throws ConclaveError ECORRUPT if a chunk of the current snapshot is missing between the two rows */
function checkChunks(groupId: GroupId, { snapshot }: LogState, each: Neighbours): void {
  if (snapshot === undefined) return;
  const { slot, head } = snapshot;
  const { row } = each;
  const isChunk = row?.key.startsWith(`${slotKey(groupId, slot)}/`) === true;
  const number = isChunk ? indexOfKey(row.key) + 1 : 0;
  if (number < head.chunks && isMissing(chunkKey(groupId, slot, number), each)) {
    checkedChunk(groupId, snapshot, number, undefined);
  }
}

/** @throws ConclaveError ECORRUPT if entries of the log are missing between the two rows */
function checkEntries(
  groupId: GroupId,
  { base, lastIndex }: LogState,
  each: Neighbours,
  sound: ReadonlySet<Row>,
): void {
  const { row } = each;
  const isBatch = row !== undefined && isBatchKey(row.key) && groupOfKey(row.key) === groupId;
  if (isBatch && !sound.has(row)) return;
  const last = isBatch ? batchHeader(row.value).last : 0;
  // A batch that begins before this entry may contain it.
  const expected = asLogIndex(Math.max(last, base.index) + 1);
  const key = batchKey(groupId, expected);
  if (expected <= lastIndex && isMissing(key, each)) throw corrupt(groupId, key, expected, 'the entry is missing');
}
