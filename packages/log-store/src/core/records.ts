/**
 * The small records beside the batches: their encoding, and how a group's state is read back from them. Each has a checksum. The
 * meta record names the last index at the time when it was written; if only entries were added since, the last batch shows where
 * the log ends, and the commit index of the record is an older hint.
 */
import {
  addChecksum,
  asLogIndex,
  asTerm,
  type BatchHeader,
  batchHeader,
  batchIsIntact,
  ConclaveError,
  type Configuration,
  type GroupId,
  type LogIndex,
  levelOf,
  type PeerId,
  removeChecksum,
  snapshotLevel,
  type Term,
} from '@conclave/protocol';
import { batchKey, indexedKey, indexOfKey, metaKey, snapshotKey } from './keys.js';
import { type Base, emptyLog, type IncomingSnapshot, type KeptSnapshot, type LogState, lastTerm } from './log-state.js';
import type { Row, StorageOperation, StoredRows } from './storage-operations.js';

/**
 * Version 1 had no snapshots; its records mean the same. Version 3 is a store that holds data of a feature level above 0: the
 * first version of Conclave refuses to open it (docs/decisions/0056).
 */
const version = 3;
const versionOfLevel0 = 2;

function storedVersion({ configurations, snapshot }: LogState): number {
  const newest = Math.max(
    levelOf(configurations.at(-1)?.configuration),
    snapshot === undefined ? 0 : snapshotLevel(snapshot.head),
  );
  return newest === 0 ? versionOfLevel0 : version;
}

/** The record that a group has once. */
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
  // Since version 2.
  readonly peer_id?: LogState['peerId'];
  readonly base_index?: LogIndex;
  readonly base_term?: Term;
  readonly last_slot?: number;
  readonly incoming?: IncomingSnapshot | null;
  readonly read_only?: boolean;
  /** Omitted if the state is not known to be wrong; an older build ignores it. */
  readonly diverged_at?: LogIndex;
  /** The other records at that time, so that a missing one is noticed; undefined: an older build wrote this record. */
  readonly records?: RecordedRecords;
}

/** How many records of runs of terms and of configurations a group has, and the slot of its snapshot (0: it has none). */
interface RecordedRecords {
  readonly term_runs: number;
  readonly configurations: number;
  readonly snapshot_slot: number;
}

function recordsOf({ termRuns, configurations, snapshot }: LogState): RecordedRecords {
  return {
    term_runs: termRuns.length,
    configurations: configurations.length,
    snapshot_slot: snapshot?.slot ?? 0,
  };
}

export function putMeta(groupId: GroupId, state: LogState): StorageOperation {
  const meta: StoredMeta = {
    version: storedVersion(state),
    store_id: state.storeId,
    group_uid: state.groupUid,
    term: state.term,
    voted_for: state.votedFor,
    session: state.session,
    nonce: state.nonce,
    commit_index: state.commitIndex,
    last_index: state.lastIndex,
    peer_id: state.peerId,
    base_index: state.base.index,
    base_term: state.base.term,
    last_slot: state.lastSlot,
    incoming: state.incoming ?? null,
    read_only: state.readOnly,
    records: recordsOf(state),
    ...(state.divergedAt === 0 ? {} : { diverged_at: state.divergedAt }),
  };
  return { type: 'put', key: metaKey(groupId), value: addChecksum(meta) };
}

/** Whether the record changes, apart from what the last batch shows and from the commit hint. */
export function metaDiffers(before: LogState, after: LogState): boolean {
  return (
    before.storeId !== after.storeId ||
    before.groupUid !== after.groupUid ||
    before.term !== after.term ||
    before.votedFor !== after.votedFor ||
    before.session !== after.session ||
    before.nonce !== after.nonce ||
    before.base !== after.base ||
    before.incoming !== after.incoming ||
    before.lastSlot !== after.lastSlot ||
    before.readOnly !== after.readOnly ||
    before.divergedAt !== after.divergedAt
  );
}

/** The operations that change the records beside the meta record from one state to a later one; usually none. */
export function recordChanges(groupId: GroupId, before: LogState, after: LogState): StorageOperation[] {
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
  if (before.snapshot !== after.snapshot) {
    operations.push({ type: 'put', key: snapshotKey(groupId), value: addChecksum(after.snapshot) });
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
    // Values are immutable, so the same object is the stored one.
    if (was.get(index) === value) continue;
    operations.push({ type: 'put', key: indexedKey(groupId, part, index), value: addChecksum({ index, value }) });
  }
}

/** An error that names the damage and how to repair it. */
export function corrupt(groupId: GroupId, key: string, index: number, what: string): ConclaveError {
  return new ConclaveError(
    'ECORRUPT',
    `group ${groupId}, key ${key}, index ${index}: ${what}. ${howToRepair}`,
    'unknown',
  );
}

/** What an operator does about a store whose content is wrong. */
export const howToRepair =
  'To repair it: stop this peer, delete its data folder and start it again, nothing else. The leaders of ' +
  'its groups send their logs to the new store and replace this store by it, if a majority of the other members works.';

/** The peer whose log it is. */
interface Owner {
  readonly groupId: GroupId;
  /** Undefined: the peer that the record names. */
  readonly peerId: PeerId | undefined;
}

function madeForAnother(groupId: GroupId, madeFor: PeerId, peerId: PeerId): string {
  return (
    `group ${groupId}: this data was made for the peer ${madeFor}, and this is ${peerId}. A copied store would vote and ` +
    `acknowledge in the other's name. Start ${madeFor} with it, or give ${peerId} a data folder of its own`
  );
}

/**
 * Reads a group's state.
 * @throws ConclaveError ECORRUPT naming group, key and index if a record is damaged or they contradict each other; EINVAL if
 * they are of an unknown version, or of another peer
 */
export function stateFromRows({ groupId, peerId }: Owner, rows: StoredRows): LogState {
  if (rows.meta === undefined) {
    const stray = rows.lastBatch ?? rows.termRuns[0] ?? rows.configurations[0];
    if (stray === undefined) return { ...emptyLog, peerId: peerId ?? '' };
    throw corrupt(groupId, metaKey(groupId), 0, `the record is missing, but ${stray.key} exists`);
  }
  const meta = unsealed(groupId, metaKey(groupId), rows.meta) as StoredMeta;
  if (meta.version < 1 || meta.version > version) {
    throw new ConclaveError(
      'EINVAL',
      `group ${groupId} is stored in version ${meta.version}, and this build reads up to ${version}: run a newer one`,
    );
  }
  const madeFor = meta.peer_id ?? '';
  if (madeFor !== '' && peerId !== undefined && madeFor !== peerId) {
    throw new ConclaveError('EINVAL', madeForAnother(groupId, madeFor, peerId));
  }
  const base = { index: meta.base_index ?? asLogIndex(0), term: meta.base_term ?? asTerm(0) };
  const end = lastStored(groupId, meta.last_index, base, rows.lastBatch);
  const state: LogState = {
    // The store of an older version has no peer's name; the next write adds it.
    peerId: peerId ?? madeFor,
    storeId: meta.store_id,
    groupUid: meta.group_uid,
    term: meta.term,
    votedFor: meta.voted_for,
    session: meta.session,
    nonce: meta.nonce,
    commitIndex: asLogIndex(Math.min(meta.commit_index, meta.last_index)),
    base,
    lastIndex: end.index,
    termRuns: indexed<Term>(groupId, rows.termRuns).map(({ index, value }) => ({ first: index, term: value })),
    configurations: indexed<Configuration>(groupId, rows.configurations).map(({ index, value }) => ({
      index,
      configuration: value,
    })),
    snapshot:
      rows.snapshot === undefined
        ? undefined
        : (unsealed(groupId, snapshotKey(groupId), rows.snapshot) as KeptSnapshot),
    incoming: meta.incoming ?? undefined,
    lastSlot: meta.last_slot ?? 0,
    readOnly: meta.read_only ?? false,
    divergedAt: meta.diverged_at ?? asLogIndex(0),
  };
  checkEnds(groupId, state, end.term);
  if (meta.records !== undefined) checkRecords(groupId, state, meta.records);
  return state;
}

function indexed<V>(groupId: GroupId, rows: readonly Row[]): { readonly index: LogIndex; readonly value: V }[] {
  return rows.map(({ key, value }) => {
    const record = unsealed(groupId, key, value) as { readonly index: LogIndex; readonly value: V };
    if (record.index !== indexOfKey(key)) throw corrupt(groupId, key, record.index, 'the record is under another key');
    return record;
  });
}

/**
 * The end of the log: the last batch, which is not before the recorded last entry; or the base, if no batch reaches beyond it.
 * Batches below the base may still exist, and mean nothing.
 */
function lastStored(groupId: GroupId, noted: LogIndex, base: Base, lastBatch: Row | undefined): Base {
  const found = lastBatch === undefined ? undefined : checkedBatch(groupId, lastBatch);
  const end = found !== undefined && found.last > base.index ? { index: found.last, term: found.term } : base;
  if (end.index >= noted) return end;
  const key = lastBatch?.key ?? batchKey(groupId, noted);
  throw corrupt(groupId, key, noted, `the log ends at ${end.index}, but ${noted} was the last entry`);
}

function checkEnds(groupId: GroupId, state: LogState, term: Term): void {
  const { base, lastIndex, termRuns, configurations, snapshot } = state;
  if (term !== lastTerm(state)) {
    const what = `the last entry has term ${term}, but ${lastTerm(state)} was recorded`;
    throw corrupt(groupId, batchKey(groupId, lastIndex), lastIndex, what);
  }
  const begin = lastIndex > base.index ? base.index + 1 : undefined;
  const isOrdered = termRuns.every((run, at) => run.term > (termRuns[at - 1]?.term ?? 0) && run.first <= lastIndex);
  if (!isOrdered || termRuns[0]?.first !== begin) {
    throw corrupt(groupId, indexedKey(groupId, 't', 0), lastIndex, 'the runs of terms are not in order');
  }
  if (configurations.some((entry) => entry.index > lastIndex)) {
    throw corrupt(groupId, indexedKey(groupId, 'c', 0), lastIndex, 'a configuration is after the last entry');
  }
  if (base.index > (snapshot?.head.index ?? 0)) {
    const what = 'the entries up to here are deleted, but there is no snapshot that replaces them';
    throw corrupt(groupId, snapshotKey(groupId), base.index, what);
  }
}

/**
 * Checks that no record is missing. Each write that changes one of them writes the record of the group as well.
 * @throws ConclaveError ECORRUPT
 */
function checkRecords(groupId: GroupId, state: LogState, noted: RecordedRecords): void {
  const found = recordsOf(state);
  const { lastIndex } = state;
  const check = (key: string, what: string, isRight: boolean): void => {
    if (!isRight) throw corrupt(groupId, key, lastIndex, what);
  };
  const { term_runs, configurations, snapshot_slot } = noted;
  check(
    indexedKey(groupId, 't', 0),
    `there are ${found.term_runs} records of terms, but ${term_runs} were recorded`,
    found.term_runs === term_runs,
  );
  check(
    indexedKey(groupId, 'c', 0),
    `there are ${found.configurations} records of configurations, but ${configurations} were recorded`,
    found.configurations === configurations,
  );
  check(
    snapshotKey(groupId),
    found.snapshot_slot === 0
      ? 'the record of the snapshot is missing'
      : `the snapshot is the one of slot ${found.snapshot_slot}, but ${snapshot_slot} was recorded`,
    found.snapshot_slot === snapshot_slot,
  );
}

/** The header of a stored batch. @throws ConclaveError ECORRUPT unless it is intact and under its own key */
export function checkedBatch(groupId: GroupId, row: Row): BatchHeader {
  const index = indexOfKey(row.key);
  if (!batchIsIntact(row.value)) throw corrupt(groupId, row.key, index, 'the stored batch is damaged (bad checksum)');
  const header = headerOf(row.value);
  if (header === undefined) throw corrupt(groupId, row.key, index, 'the stored batch has an unknown header');
  if (header.first !== index) throw corrupt(groupId, row.key, header.first, 'the batch is under another key');
  return header;
}

function headerOf(bytes: Uint8Array): BatchHeader | undefined {
  try {
    return batchHeader(bytes);
  } catch {
    return undefined;
  }
}

function unsealed(groupId: GroupId, key: string, bytes: Uint8Array): unknown {
  try {
    return removeChecksum(bytes);
  } catch {
    throw corrupt(groupId, key, indexOfKey(key) || 0, 'the stored record is damaged (bad checksum)');
  }
}
