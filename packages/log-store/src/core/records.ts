/**
 * The small records beside the batches: how they are stored, and how a group's state is read back from them.
 * Each carries a checksum. The meta record names the last index that there was when it was written; where entries alone
 * were added since, the last batch tells how far the log goes, and the commit index of the record is an older hint.
 */
import {
  asLogIndex,
  asTerm,
  batchHeader,
  batchIsIntact,
  ConclaveError,
  type Configuration,
  type GroupId,
  type LogIndex,
  seal,
  type Term,
  unseal,
} from '@conclave/protocol';
import { batchKey, indexedKey, indexOfKey, metaKey } from './keys.js';
import { emptyLog, type LogState, lastTerm } from './log-state.js';
import type { Row, StorageOperation, StoredRows } from './operations.js';

const version = 1;

/** What a group has once. */
interface StoredMeta {
  readonly version: number;
  readonly store_id: LogState['storeId'];
  readonly group_uid: LogState['groupUid'];
  readonly term: LogState['term'];
  readonly voted_for: LogState['votedFor'];
  readonly session: LogState['session'];
  readonly nonce: string;
  readonly commit_index: LogIndex;
  readonly last_index: LogIndex;
}

export function putMeta(groupId: GroupId, state: LogState): StorageOperation {
  const meta: StoredMeta = {
    version,
    store_id: state.storeId,
    group_uid: state.groupUid,
    term: state.term,
    voted_for: state.votedFor,
    session: state.session,
    nonce: state.nonce,
    commit_index: state.commitIndex,
    last_index: state.lastIndex,
  };
  return { type: 'put', key: metaKey(groupId), value: seal(meta) };
}

/** Whether the record says something else afterwards, but for what the last batch tells and for the hint. */
export function metaDiffers(before: LogState, after: LogState): boolean {
  return (
    before.storeId !== after.storeId ||
    before.groupUid !== after.groupUid ||
    before.term !== after.term ||
    before.votedFor !== after.votedFor ||
    before.session !== after.session ||
    before.nonce !== after.nonce
  );
}

/** What brings the stored term runs and configurations from one state to a later one; mostly nothing. */
export function indexChanges(groupId: GroupId, before: LogState, after: LogState): StorageOperation[] {
  const operations: StorageOperation[] = [];
  if (before.termRuns !== after.termRuns) {
    const [was, is] = [
      new Map(before.termRuns.map(({ first, term }) => [first, term])),
      new Map(after.termRuns.map(({ first, term }) => [first, term])),
    ];
    changes(groupId, 't', was, is, operations);
  }
  if (before.configurations !== after.configurations) {
    const [was, is] = [
      new Map(before.configurations.map(({ index, configuration }) => [index, configuration])),
      new Map(after.configurations.map(({ index, configuration }) => [index, configuration])),
    ];
    changes(groupId, 'c', was, is, operations);
  }
  return operations;
}

function changes<V>(
  groupId: GroupId,
  part: 't' | 'c',
  was: ReadonlyMap<LogIndex, V>,
  is: ReadonlyMap<LogIndex, V>,
  operations: StorageOperation[],
): void {
  for (const index of was.keys()) {
    if (!is.has(index)) operations.push({ type: 'delete', key: indexedKey(groupId, part, index) });
  }
  for (const [index, value] of is) {
    // Values are never changed in place, so the same one is the one that is stored.
    if (was.get(index) === value) continue;
    operations.push({ type: 'put', key: indexedKey(groupId, part, index), value: seal({ index, value }) });
  }
}

/** Says where the damage is and how it is healed. */
export function corrupt(groupId: GroupId, key: string, index: number, what: string): ConclaveError {
  return new ConclaveError(
    'ECORRUPT',
    `group ${groupId}, key ${key}, index ${index}: ${what}. ${howToHeal}`,
    'unknown',
  );
}

/** What to do about a store that cannot be trusted any more. */
export const howToHeal =
  'To heal it: remove this peer from its groups (remove_peer), delete its data folder, start it again and add it ' +
  '(add_peer): it gets everything from the other peers.';

/**
 * Reads a group's state back.
 * @throws ConclaveError ECORRUPT naming group, key and index where a record is damaged or they disagree.
 */
export function stateFromRows(groupId: GroupId, rows: StoredRows): LogState {
  if (rows.meta === undefined) {
    const stray = rows.lastBatch ?? rows.termRuns[0] ?? rows.configurations[0];
    if (stray === undefined) return emptyLog;
    throw corrupt(groupId, metaKey(groupId), 0, `the record is missing, though ${stray.key} is there`);
  }
  const meta = unsealed(groupId, metaKey(groupId), rows.meta) as StoredMeta;
  if (meta.version !== version) {
    throw new ConclaveError('EINVAL', `group ${groupId} is stored in version ${meta.version}, not ${version}`);
  }
  const state: LogState = {
    storeId: meta.store_id,
    groupUid: meta.group_uid,
    term: meta.term,
    votedFor: meta.voted_for,
    session: meta.session,
    nonce: meta.nonce,
    commitIndex: asLogIndex(Math.min(meta.commit_index, meta.last_index)),
    lastIndex: lastStored(groupId, meta.last_index, rows.lastBatch),
    termRuns: indexed<Term>(groupId, rows.termRuns).map(({ index, value }) => ({ first: index, term: value })),
    configurations: indexed<Configuration>(groupId, rows.configurations).map(({ index, value }) => ({
      index,
      configuration: value,
    })),
  };
  checkEnd(groupId, state, rows.lastBatch);
  return state;
}

function indexed<V>(groupId: GroupId, rows: readonly Row[]): { readonly index: LogIndex; readonly value: V }[] {
  return rows.map(({ key, value }) => {
    const record = unsealed(groupId, key, value) as { readonly index: LogIndex; readonly value: V };
    if (record.index !== indexOfKey(key)) throw corrupt(groupId, key, record.index, 'the record is under another key');
    return record;
  });
}

/** Where the log ends: with the last batch, which is not before the last entry that was noted. */
function lastStored(groupId: GroupId, noted: LogIndex, lastBatch: Row | undefined): LogIndex {
  const last = lastBatch === undefined ? asLogIndex(0) : checkedBatch(groupId, lastBatch).last;
  if (last >= noted) return last;
  const key = lastBatch?.key ?? batchKey(groupId, noted);
  throw corrupt(groupId, key, noted, `the log ends at ${last}, but ${noted} was the last entry`);
}

function checkEnd(groupId: GroupId, state: LogState, lastBatch: Row | undefined): void {
  const { lastIndex, termRuns, configurations } = state;
  const term = lastBatch === undefined ? 0 : checkedBatch(groupId, lastBatch).term;
  if (term !== lastTerm(state)) {
    const key = lastBatch?.key ?? batchKey(groupId, lastIndex);
    throw corrupt(groupId, key, lastIndex, `the last entry has term ${term}, but ${lastTerm(state)} was noted`);
  }
  if (termRuns.some((run, at) => run.term <= (termRuns[at - 1]?.term ?? asTerm(0)) || run.first > lastIndex)) {
    throw corrupt(groupId, indexedKey(groupId, 't', 0), lastIndex, 'the runs of terms are not in order');
  }
  if (configurations.some((entry) => entry.index > lastIndex)) {
    throw corrupt(groupId, indexedKey(groupId, 'c', 0), lastIndex, 'a configuration is behind the last entry');
  }
}

/** The header of a stored batch. @throws ConclaveError ECORRUPT unless it is intact and under its own key. */
export function checkedBatch(groupId: GroupId, row: Row): ReturnType<typeof batchHeader> {
  const index = indexOfKey(row.key);
  if (!batchIsIntact(row.value)) throw corrupt(groupId, row.key, index, 'the stored batch is damaged (bad checksum)');
  const header = batchHeader(row.value);
  if (header.first !== index) throw corrupt(groupId, row.key, header.first, 'the batch is under another key');
  return header;
}

function unsealed(groupId: GroupId, key: string, bytes: Uint8Array): unknown {
  try {
    return unseal(bytes);
  } catch {
    throw corrupt(groupId, key, indexOfKey(key) || 0, 'the stored record is damaged (bad checksum)');
  }
}
