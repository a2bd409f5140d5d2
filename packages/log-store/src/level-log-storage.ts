/**
 * Stores the groups' logs in LevelDB, one database for the whole process, each write synced. The side file, which records the last
 * synced write (`SideFile`), is in the same folder.
 *
 *     <folder>/level       LevelDB
 *     <folder>/last-write  the side file
 *     <folder>/unverified  exists if the side file was missing or damaged once; lists the groups whose logs a
 *                         leader has compared with its own since (verified)
 *
 * Invariants:
 * 1. Writes are numbered. A write that does more than add entries puts its number under `!/w`, in the same atomic write of
 *    LevelDB. A write that only adds entries writes no number. Its keys are higher than all earlier ones of the group, so the
 *    tables of a busy group do not overlap, and LevelDB moves them to the next level as they are. With `!/w` in each write,
 *    every table would begin at that key, and LevelDB would merge them all (decision 0015).
 * 2. A write is recorded in the side file only once it is synced.
 * 3. After LevelDB has failed to execute a change, no other change is made until the store is reopened: the failed change may be partly
 *    in LevelDB's log, and at the next start LevelDB would skip all synced changes after it.
 * 4. `open` fails with ECORRUPT if LevelDB lacks the write that the side file records: its number or, if it only added entries, its
 *    entries. The store is never repaired silently.
 */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import {
  addChecksum,
  batchHeader,
  ConclaveError,
  type GroupId,
  invariant,
  type LogIndex,
  removeChecksum,
} from '@conclave/protocol';
import { Level } from 'level';
import {
  type BatchRange,
  batchKey,
  endOfPart,
  type Garbage,
  groupOfKey,
  howToRepair,
  type IndexedPart,
  indexedKey,
  indexOfKey,
  isBatchKey,
  metaKey,
  type PlainOperation,
  type RecordedGroup,
  type Row,
  recordKeys,
  type ScrubbedRows,
  type StoredDamage,
  type StoredRows,
  slotKey,
  slotsToPurge,
  snapshotKey,
  writeNumberKey,
} from './core/index.js';
import { DataFolderMonitor, type FolderFault } from './data-folder-monitor.js';
import { fileNames, findLogDamage, irregularFile, isLevelFile, missingFile } from './level-log-check.js';
import { moveBatches } from './level-log-upgrade.js';
import { LevelManifest, lostFile } from './level-manifest.js';
import { findTableDamage } from './level-table-check.js';
import type { LogStorage } from './log-storage.js';
import { withinBounds } from './memory-log-storage.js';
import { type RecordedWrite, SideFile } from './side-file.js';
import { unavailableBy } from './storage-unavailable.js';
import { VerifiedGroups } from './verified-groups.js';

const MiB = 1024 * 1024;

type Snapshot = ReturnType<Level<string, Uint8Array>['snapshot']>;

interface KeyRange {
  readonly gt?: string;
  readonly gte?: string;
  readonly lt?: string;
  readonly lte?: string;
  readonly fillCache?: boolean;
  readonly snapshot?: Snapshot;
}

export interface LevelLogStorageOptions {
  /** The data folder; created if it is missing. */
  readonly folder: string;
  /** Called with problems that do not stop the storage. */
  readonly warn?: (text: string, fields: Readonly<Record<string, unknown>>) => void;
}

export class LevelLogStorage implements LogStorage {
  private opened: Level<string, Uint8Array> | undefined;
  private sideFile: SideFile | undefined;
  private monitor: DataFolderMonitor | undefined;
  private writeNumber = 0;
  /** `writeNumber` at the last call of `fault`. */
  private checkedWriteNumber = 0;
  private lastWrite: Promise<void> = Promise.resolve();
  private lastPurge: Promise<void> = Promise.resolve();
  /** The error of the first change that failed: after it, no more changes are made. */
  private failure: { readonly error: unknown } | undefined;
  private readonly verified: VerifiedGroups;

  constructor(private readonly options: LevelLogStorageOptions) {
    this.verified = new VerifiedGroups(this.unverifiedPath);
  }

  /**
   * The number of the last write, also of earlier runs. After a crash it may be lower than before: writes that only added entries and
   * are not in the side file are not counted, and their numbers are used again.
   */
  get writes(): number {
    return this.writeNumber;
  }

  /**
   * @throws ConclaveError ECORRUPT if the store is damaged, EBUSY if another process has opened it; StorageUnavailable if it cannot be
   * used now
   */
  async open(): Promise<void> {
    try {
      await this.openStore();
    } catch (error) {
      throw unavailableBy(error) ?? error;
    }
  }

  private async openStore(): Promise<void> {
    await mkdir(this.options.folder, { recursive: true });
    const fault = await this.fileFault().catch((error) => {
      throw isNoFile(error) ? this.corrupt(error.message) : error;
    });
    if (fault !== undefined) throw this.corrupt(fault);
    // Constructed only after `fileFault`: LevelDB opens soon after construction, and deletes the log that `fileFault` reads.
    this.opened = new Level<string, Uint8Array>(this.levelFolder, {
      keyEncoding: 'utf8',
      valueEncoding: 'view',
      // Batches are stored as received, so that a read needs no work; a large buffer keeps compaction rare.
      compression: false,
      writeBufferSize: 16 * MiB,
      maxFileSize: 16 * MiB,
    });
    await this.opened.open().catch((error) => {
      throw this.openError(error);
    });
    try {
      await this.upgradeRows();
      await this.compareWithSideFile();
      this.monitor = await DataFolderMonitor.begin(this.options.folder, this.levelFolder, this.sideFilePath);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Returns which of LevelDB's files is damaged, cut or missing; undefined: none. */
  private async fileFault(): Promise<string | undefined> {
    const { levelFolder } = this;
    const names = (await fileNames(levelFolder)).filter(isLevelFile).map((name) => path.join(levelFolder, name));
    const irregular = await irregularFile([...names, this.sideFilePath, this.unverifiedPath]);
    if (irregular !== undefined) return irregular;
    const damage = await findLogDamage(levelFolder);
    if (damage !== undefined)
      return `${damage.file} is damaged at byte ${damage.offset}: writes that were synced are lost`;
    return (await missingFile(levelFolder)) ?? (await lostFile(levelFolder));
  }

  async load(groupId: GroupId): Promise<StoredRows> {
    return this.access(() => this.loadAt(groupId));
  }

  /** @param at of one moment; empty: the rows may be of different ones */
  private async loadAt(groupId: GroupId, at: Pick<KeyRange, 'snapshot'> = {}): Promise<StoredRows> {
    const range = (part: IndexedPart) => ({ gte: indexedKey(groupId, part, 0), lt: endOfPart(groupId, part), ...at });
    const [meta, snapshot, termRuns, configurations, lastBatch] = await Promise.all([
      this.level.get(metaKey(groupId), at) as Promise<Uint8Array | undefined>,
      this.level.get(snapshotKey(groupId), at) as Promise<Uint8Array | undefined>,
      this.level.iterator(range('t')).all(),
      this.level.iterator(range('c')).all(),
      this.lastRow(range('e')),
    ]);
    return {
      meta,
      termRuns: termRuns.map(asRow),
      configurations: configurations.map(asRow),
      lastBatch,
      snapshot,
    };
  }

  write(operations: readonly PlainOperation[], groups: readonly RecordedGroup[]): Promise<void> {
    const write = this.lastWrite.then(() => this.writeNext(operations, groups));
    // A failure is reported by the returned promise; the next write only waits for the end of this one.
    this.lastWrite = write.catch(() => undefined);
    return write;
  }

  async readBatches(groupId: GroupId, range: BatchRange): Promise<readonly Row[]> {
    return this.access(async () => {
      const snapshot = this.level.snapshot();
      try {
        const from = batchKey(groupId, range.fromIndex);
        const found = await this.rowsFrom(groupId, from, range, snapshot);
        // Sequential reads begin at the start of a batch. For other reads, the batch that contains the index is searched.
        if (found[0]?.key === from) return found;
        const containing = await this.lastKey({ gte: batchKey(groupId, 0), lt: from, snapshot });
        return containing === undefined ? found : await this.rowsFrom(groupId, containing, range, snapshot);
      } finally {
        await snapshot.close();
      }
    });
  }

  async batchKeysFrom(groupId: GroupId, from: LogIndex): Promise<readonly string[]> {
    return this.access(() => this.level.keys({ gte: batchKey(groupId, from), lt: endOfPart(groupId, 'e') }).all());
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.access(() => this.level.get(key)) as Promise<Uint8Array | undefined>;
  }

  async keysOf(groupId: GroupId, maxCount: number): Promise<readonly string[]> {
    return this.access(async () => {
      const snapshot = this.level.snapshot();
      try {
        const records = await this.level.keys({ ...recordKeys(groupId), limit: maxCount, snapshot }).all();
        const batches = { gte: batchKey(groupId, 0), lt: endOfPart(groupId, 'e'), limit: maxCount - records.length };
        return [...records, ...(await this.level.keys({ ...batches, snapshot }).all())];
      } finally {
        await snapshot.close();
      }
    });
  }

  /** @returns why the files of this store cannot be used now; undefined: they can */
  async fault(): Promise<FolderFault | undefined> {
    const isIdle = this.writeNumber === this.checkedWriteNumber;
    this.checkedWriteNumber = this.writeNumber;
    const fault = await this.monitor?.check(isIdle);
    return fault?.type === 'gone' ? { ...fault, message: this.corrupt(fault.message).message } : fault;
  }

  /**
   * Reads for the scrubber, all at one moment.
   * @param key of the row that was read last; empty: reads from the first row on
   * @returns about `maxBytes` of rows, at least one, unless there are no more
   */
  async scrubbedRows(key: string, maxBytes: number): Promise<ScrubbedRows> {
    return this.access(async () => {
      const snapshot = this.level.snapshot();
      try {
        const found = await this.rowsFromKey(key, maxBytes, snapshot);
        const [first] = found;
        const isFirstKnown = key !== '' && first?.key === key;
        const names = new Set(found.flatMap((row) => groupOfKey(row.key) ?? []));
        const groups = new Map<GroupId, StoredRows>();
        for (const groupId of names) groups.set(groupId, await this.loadAt(groupId, { snapshot }));
        return {
          before: key === '' ? 'start' : isFirstKnown ? first : undefined,
          rows: isFirstKnown ? found.slice(1) : found,
          groups,
        };
      } finally {
        await snapshot.close();
      }
    });
  }

  /**
   * Verifies the checksums of LevelDB's tables, for the scrubber.
   * @param onRead is called with the size of each block that was read, in bytes; returns whether to continue
   */
  async damagedTables(onRead: (bytes: number) => Promise<boolean>): Promise<StoredDamage[]> {
    return this.access(async () => {
      const found: StoredDamage[] = [];
      let continues = true;
      for (const file of await new LevelManifest(this.levelFolder).tables()) {
        if (!continues) break;
        const damage = await findTableDamage(file, async (bytes) => {
          continues = await onRead(bytes);
          return continues;
        }).catch((error) => {
          // LevelDB has merged this table into others, and deleted it.
          if (codeOf(error) === 'ENOENT') return undefined;
          throw error;
        });
        if (damage === undefined) continue;
        const what = `the scrub found that ${file} is damaged at byte ${damage.offset} (bad checksum)`;
        found.push({ groupId: groupBetween(damage.keys), message: this.corrupt(what).message });
      }
      return found;
    });
  }

  /** @returns the row with this key, if it exists, and the rows after it, about `maxBytes` of them */
  private async rowsFromKey(key: string, maxBytes: number, snapshot: Snapshot): Promise<Row[]> {
    const range = { gte: key, fillCache: false, snapshot };
    const iterator = this.level.iterator({ ...range, highWaterMarkBytes: maxBytes });
    try {
      const rows: Row[] = [];
      let bytes = 0;
      while (bytes < maxBytes) {
        const entries = await iterator.nextv(64);
        if (entries.length === 0) break;
        for (const entry of entries) {
          rows.push(asRow(entry));
          if (entry[0] !== key) bytes += entry[0].length + entry[1].length;
        }
      }
      await this.throwSkippedUpTo(range, rows);
      return rows;
    } finally {
      await iterator.close();
    }
  }

  purge(groupId: GroupId, garbage: Garbage): Promise<void> {
    const purge = this.lastPurge.then(() => this.access(() => this.purgeNext(groupId, garbage)));
    this.lastPurge = purge.catch(() => undefined);
    return purge;
  }

  async close(): Promise<void> {
    await this.lastWrite;
    await this.lastPurge;
    await this.sideFile?.close();
    this.sideFile = undefined;
    await this.opened?.close();
  }

  private get level(): Level<string, Uint8Array> {
    invariant(this.opened !== undefined, 'the storage is opened before it is used');
    return this.opened;
  }

  /** The folder of LevelDB. */
  get levelFolder(): string {
    return path.join(this.options.folder, 'level');
  }

  private get sideFilePath(): string {
    return path.join(this.options.folder, 'last-write');
  }

  private get unverifiedPath(): string {
    return path.join(this.options.folder, 'unverified');
  }

  private async upgradeRows(): Promise<void> {
    const { folder, warn } = this.options;
    const onBegin = () => warn?.('moving the entries of an older version to their new keys', { folder });
    const moved = await this.access(() => moveBatches(this.level, onBegin));
    if (moved > 0) warn?.('entries were moved', { folder, batches: moved });
  }

  private async writeNext(operations: readonly PlainOperation[], groups: readonly RecordedGroup[]): Promise<void> {
    const write = this.writeNumber + 1;
    const entriesAlone = operations.every(({ type, key }) => type === 'put' && isBatchKey(key));
    const batch = operations.map((operation) =>
      operation.type === 'put' ? operation : ({ type: 'del', key: operation.key } as const),
    );
    const number = { type: 'put', key: writeNumberKey, value: addChecksum(write) } as const;
    await this.change(() => this.level.batch(entriesAlone ? batch : [...batch, number], { sync: true }));
    this.writeNumber = write;
    this.sideFile?.record({ write, entries_alone: entriesAlone, groups });
  }

  /** Changes LevelDB, unless a change has failed before. @throws the error of the first change that failed */
  private async change(make: () => Promise<void>): Promise<void> {
    if (this.failure !== undefined) throw this.failure.error;
    try {
      await make();
    } catch (error) {
      this.failure ??= { error };
      throw error;
    }
  }

  private async purgeNext(groupId: GroupId, garbage: Garbage): Promise<void> {
    const first = batchKey(groupId, 0);
    // Of the batches that begin at or before the entry after the base, the last one stays: it may contain entries above the base.
    const kept = await this.lastKey({ gte: first, lte: batchKey(groupId, garbage.upTo + 1) });
    if (kept !== undefined) await this.change(() => this.level.clear({ gte: first, lt: kept }));
    for (const { from, before } of slotsToPurge(garbage)) {
      await this.change(() => this.level.clear({ gte: slotKey(groupId, from), lt: slotKey(groupId, before) }));
    }
  }

  private async throwSkippedUpTo(range: KeyRange, rows: readonly Row[]): Promise<void> {
    const keys = rows.map(({ key }) => key);
    const lte = keys.at(-1);
    // A read without rows has reached the end of its range, and has reported what it has skipped.
    if (lte !== undefined) await this.throwSkipped({ ...range, lte }, keys);
  }

  private async lastRow(range: KeyRange): Promise<Row | undefined> {
    const key = await this.lastKey(range);
    const value = key === undefined ? undefined : await this.level.get(key);
    return key === undefined || value === undefined ? undefined : { key, value };
  }

  private async lastKey(range: KeyRange): Promise<string | undefined> {
    const [key] = await this.level.keys({ ...range, reverse: true, limit: 1 }).all();
    if (key !== undefined) await this.throwSkipped({ ...range, gte: key }, [key]);
    return key;
  }

  /**
   * Fails if a table could not be read. An iterator skips the rows of such a table, and reports the error only if it is read to the end of
   * its range: until then, rows that exist look as if they were missing.
   * @param range the keys that were read, and no others
   * @param keys what was found there
   */
  private async throwSkipped(range: KeyRange, keys: readonly string[]): Promise<void> {
    const found = await this.level.keys(range).all();
    if (found.some((key, at) => key !== keys[at])) throw new Error('LevelDB has skipped rows that it could not read');
  }

  private async rowsFrom(groupId: GroupId, from: string, range: BatchRange, snapshot: Snapshot): Promise<Row[]> {
    const end = batchKey(groupId, range.lastIndex);
    if (from > end) return [];
    const keys = { gte: from, lte: end, snapshot };
    const iterator = this.level.iterator({ ...keys, highWaterMarkBytes: range.maxBytes });
    try {
      const rows: Row[] = [];
      let bytes = 0;
      while (rows.length < range.maxBatches && (rows.length === 0 || bytes < range.maxBytes)) {
        const entries = await iterator.nextv(range.maxBatches - rows.length);
        if (entries.length === 0) break;
        for (const entry of entries) {
          rows.push(asRow(entry));
          bytes += entry[1].length;
        }
      }
      if (!isUnbroken(rows, from)) await this.throwSkippedUpTo(keys, rows);
      return withinBounds(rows, range);
    } finally {
      await iterator.close();
    }
  }

  /** @throws ConclaveError ECORRUPT if LevelDB lacks the write that the side file records */
  private async compareWithSideFile(): Promise<void> {
    const stored = (await this.access(() => this.level.get(writeNumberKey))) as Uint8Array | undefined;
    try {
      this.writeNumber = stored === undefined ? 0 : (removeChecksum(stored) as number);
    } catch {
      throw this.corrupt(`the write number under ${writeNumberKey} is damaged (bad checksum)`);
    }
    const file = this.sideFilePath;
    this.sideFile = await SideFile.open(file, (error) => {
      this.options.warn?.('could not record the last write: a loss of data might go unnoticed', {
        file,
        error: String(error),
      });
    });
    const { found } = this.sideFile;
    if (found !== undefined) await this.compare(found);
    else if (this.writeNumber > 0) {
      this.options.warn?.('there is no record of the last write: a loss of data cannot be detected', { file });
      // Stored before this run records its first write: otherwise, after a crash, the side file would look as if nothing had been lost.
      await this.verified.begin();
    }
    await this.verified.open();
  }

  isUnverified(groupId: GroupId): boolean {
    return this.verified.lacks(groupId);
  }

  onVerified(groupId: GroupId): Promise<void> {
    return this.verified.add(groupId);
  }

  /** @throws ConclaveError ECORRUPT if the recorded write is missing */
  private async compare(found: RecordedWrite): Promise<void> {
    if (this.writeNumber >= found.write) return;
    // The entries of the recorded write must still exist: a later write that deleted entries would have stored a higher number.
    if (!found.entries_alone) throw this.corrupt(missing(found, `write ${this.writeNumber}`));
    for (const { group_id, last_index } of found.groups) {
      const { lastBatch } = await this.load(group_id);
      const last = lastBatch === undefined ? 0 : lastOf(lastBatch);
      if (last < last_index) throw this.corrupt(missing(found, `${group_id} ending at ${last}`));
    }
    this.writeNumber = found.write;
  }

  /** Reads or changes LevelDB. @throws ConclaveError ECORRUPT if LevelDB reports damage */
  private async access<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (!isDamage(error)) throw unavailableBy(error) ?? error;
      throw this.corrupt(`LevelDB reports: ${(error as Error).message}`);
    }
  }

  private openError(error: unknown): unknown {
    const cause = (error as { cause?: unknown }).cause ?? error;
    const { levelFolder } = this;
    if (codeOf(cause) === 'LEVEL_LOCKED') {
      return new ConclaveError('EBUSY', `${levelFolder} is open in another process: is this peer running twice?`);
    }
    if (isDamage(cause)) return this.corrupt(`LevelDB reports: ${(cause as Error).message}`);
    const unavailable = unavailableBy(cause);
    if (unavailable !== undefined) return unavailable;
    return new Error(`LevelDB does not open ${levelFolder}: ${(cause as Error).message}`, { cause });
  }

  private corrupt(what: string): ConclaveError {
    return new ConclaveError('ECORRUPT', `the data folder ${this.options.folder}: ${what}. ${howToRepair}`, 'unknown');
  }
}

function missing(recorded: RecordedWrite, found: string): string {
  const groups = recorded.groups
    .map(
      ({ group_id, last_index, term, voted_for, session }) =>
        `${group_id} (last index ${last_index}, term ${term}, vote ${voted_for || 'none'}, session ${session})`,
    )
    .join(', ');
  return `LevelDB has only ${found}, but write ${recorded.write} was synced, after which it had ${groups}`;
}

/** Whether the batches follow each other, the first one with this key. */
function isUnbroken(rows: readonly Row[], from: string): boolean {
  if (rows[0]?.key !== from) return false;
  return rows.every((row, at) => at === 0 || indexOfKey(row.key) === lastOf(rows[at - 1] as Row) + 1);
}

/** Returns the last index of a stored batch; infinity if the batch is damaged, which is reported when the group is loaded. */
function lastOf(row: Row): number {
  try {
    return batchHeader(row.value).last;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

function asRow([key, value]: readonly [string, Uint8Array]): Row {
  return { key, value };
}

/** Returns the group that all rows between these keys belong to; undefined: not known, or there are several. */
function groupBetween(keys: readonly [string, string] | undefined): GroupId | undefined {
  const [first, last] = (keys ?? []).map(groupOfKey);
  return first === last ? first : undefined;
}

/** Whether LevelDB reports damage, or that a file is missing. */
function isDamage(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'LEVEL_CORRUPTION' || (code === 'LEVEL_IO_ERROR' && /No such file/.test((error as Error).message));
}

/** Whether this error means that a path of one of LevelDB's files is not a regular file, but a folder or a dangling link. */
function isNoFile(error: unknown): error is Error {
  return ['EISDIR', 'ENOTDIR', 'ENOENT'].includes(String(codeOf(error)));
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code;
}
