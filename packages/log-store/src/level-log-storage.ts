/**
 * Stores the groups' logs in LevelDB, one database for the whole process, each write synced. The side file of
 * `DurabilityMarker` is in the same folder.
 *
 *     <folder>/level       LevelDB
 *     <folder>/last-write  the side file
 *     <folder>/unverified  that the side file was missing or damaged once, and which groups were verified since
 *
 * Invariants:
 * 1. Writes are numbered. A write that does more than add entries puts its number under `!/w`, in the same batch. A write
 *    that only adds entries does not: its keys rise from write to write, so that LevelDB moves its tables down unchanged.
 * 2. A write is recorded in the side file only once it is synced.
 * 3. After a change of LevelDB that failed there is none until the store is reopened: the failed one may have left a part of itself
 *    in LevelDB's log, and at the next start LevelDB would skip what follows it, although it was synced.
 * 4. If LevelDB comes back with less than was recorded, it is not served: if a recorded number is missing, or entries of a
 *    recorded write that only added entries. It is never repaired silently.
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
  type DurabilityNote,
  endOfPart,
  type Garbage,
  howToRepair,
  type IndexedPart,
  indexedKey,
  isBatchKey,
  metaKey,
  type PlainOperation,
  type Row,
  recordKeys,
  type StoredRows,
  slotKey,
  slotsToPurge,
  snapshotKey,
  writeNumberKey,
} from './core/index.js';
import { DataFolderMonitor, type FolderFault } from './data-folder-monitor.js';
import { DurabilityMarker, type MarkedWrite } from './durability-marker.js';
import { findLogDamage, missingFile } from './level-log-check.js';
import { moveBatches } from './level-log-upgrade.js';
import { lostTable } from './level-manifest.js';
import type { LogStorage } from './log-storage.js';
import { withinBounds } from './memory-log-storage.js';
import { VerifiedGroups } from './verified-groups.js';

const MiB = 1024 * 1024;

export interface LevelLogStorageOptions {
  /** The data folder; created if it is missing. */
  readonly folder: string;
  /** Called with problems that do not stop the storage. */
  readonly warn?: (text: string, fields: Readonly<Record<string, unknown>>) => void;
}

export class LevelLogStorage implements LogStorage {
  private opened: Level<string, Uint8Array> | undefined;
  private notes: DurabilityMarker | undefined;
  private watch: DataFolderMonitor | undefined;
  private writeNumber = 0;
  private writesAtLastLook = 0;
  private lastWrite: Promise<void> = Promise.resolve();
  private lastPurge: Promise<void> = Promise.resolve();
  /** Why no more changes are made. */
  private failure: { readonly error: unknown } | undefined;

  private readonly verified: VerifiedGroups;

  constructor(private readonly options: LevelLogStorageOptions) {
    this.verified = new VerifiedGroups(path.join(options.folder, 'unverified'));
  }

  /** How many writes this store has had. */
  get writes(): number {
    return this.writeNumber;
  }

  async open(): Promise<void> {
    await mkdir(this.options.folder, { recursive: true });
    const fault = await this.fileFault().catch((error) => {
      throw isNoFile(error) ? this.corrupt(error.message) : error;
    });
    if (fault !== undefined) throw this.corrupt(fault);
    // Not earlier: LevelDB opens by itself soon after it is constructed, and then deletes its log.
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
      await this.compareWithNotes();
      this.watch = await DataFolderMonitor.begin(this.options.folder, this.levelFolder, this.sideFile);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Returns which of LevelDB's files is damaged, cut or missing; undefined: none. */
  private async fileFault(): Promise<string | undefined> {
    const { levelFolder } = this;
    const damage = await findLogDamage(levelFolder);
    if (damage !== undefined)
      return `${damage.file} is damaged at byte ${damage.offset}: writes that were synced are lost`;
    return (await missingFile(levelFolder)) ?? (await lostTable(levelFolder));
  }

  async load(groupId: GroupId): Promise<StoredRows> {
    return this.reading(async () => {
      const range = (part: IndexedPart) => ({ gte: indexedKey(groupId, part, 0), lt: endOfPart(groupId, part) });
      const [meta, snapshot, termRuns, configurations, [lastBatch]] = await Promise.all([
        this.level.get(metaKey(groupId)) as Promise<Uint8Array | undefined>,
        this.level.get(snapshotKey(groupId)) as Promise<Uint8Array | undefined>,
        this.level.iterator(range('t')).all(),
        this.level.iterator(range('c')).all(),
        this.level.iterator({ ...range('e'), reverse: true, limit: 1 }).all(),
      ]);
      return {
        meta,
        termRuns: termRuns.map(asRow),
        configurations: configurations.map(asRow),
        lastBatch: lastBatch === undefined ? undefined : asRow(lastBatch),
        snapshot,
      };
    });
  }

  write(operations: readonly PlainOperation[], notes: readonly DurabilityNote[]): Promise<void> {
    const write = this.lastWrite.then(() => this.writeNext(operations, notes));
    // Whoever requested the write receives the failure.
    this.lastWrite = write.catch(() => undefined);
    return write;
  }

  async readBatches(groupId: GroupId, range: BatchRange): Promise<readonly Row[]> {
    return this.reading(async () => {
      const snapshot = this.level.snapshot();
      try {
        const from = batchKey(groupId, range.fromIndex);
        const found = await this.rowsFrom(groupId, from, range, snapshot);
        // Sequential reads begin at the start of a batch; others search for the batch that holds the index.
        if (found[0]?.key === from) return found;
        const [holding] = await this.level
          .keys({ gte: batchKey(groupId, 0), lt: from, reverse: true, limit: 1, snapshot })
          .all();
        return holding === undefined ? found : await this.rowsFrom(groupId, holding, range, snapshot);
      } finally {
        await snapshot.close();
      }
    });
  }

  async batchKeysFrom(groupId: GroupId, from: LogIndex): Promise<readonly string[]> {
    return this.reading(() => this.level.keys({ gte: batchKey(groupId, from), lt: endOfPart(groupId, 'e') }).all());
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.reading(() => this.level.get(key)) as Promise<Uint8Array | undefined>;
  }

  async keysOf(groupId: GroupId, maxCount: number): Promise<readonly string[]> {
    return this.reading(async () => {
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

  /** @returns what keeps the files of this store from being used now; undefined: nothing */
  async fault(): Promise<FolderFault | undefined> {
    const isIdle = this.writeNumber === this.writesAtLastLook;
    this.writesAtLastLook = this.writeNumber;
    const fault = await this.watch?.check(isIdle);
    return fault?.type === 'gone' ? { ...fault, message: this.corrupt(fault.message).message } : fault;
  }

  /** @returns the rows after a key, about `maxBytes` of them, for the scrubber */
  async rowsAfter(key: string, maxBytes: number): Promise<readonly Row[]> {
    return this.reading(async () => {
      const iterator = this.level.iterator({ gt: key, fillCache: false, highWaterMarkBytes: maxBytes });
      try {
        const rows: Row[] = [];
        let bytes = 0;
        while (bytes < maxBytes) {
          const entries = await iterator.nextv(64);
          if (entries.length === 0) break;
          for (const entry of entries) {
            rows.push(asRow(entry));
            bytes += entry[0].length + entry[1].length;
          }
        }
        return rows;
      } finally {
        await iterator.close();
      }
    });
  }

  purge(groupId: GroupId, garbage: Garbage): Promise<void> {
    const clearing = this.lastPurge.then(() => this.reading(() => this.purgeNext(groupId, garbage)));
    this.lastPurge = clearing.catch(() => undefined);
    return clearing;
  }

  async close(): Promise<void> {
    await this.lastWrite;
    await this.lastPurge;
    await this.notes?.close();
    this.notes = undefined;
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

  private get sideFile(): string {
    return path.join(this.options.folder, 'last-write');
  }

  private async upgradeRows(): Promise<void> {
    const { folder, warn } = this.options;
    const onBegin = () => warn?.('moving the entries of an older version to their new keys', { folder });
    const moved = await this.reading(() => moveBatches(this.level, onBegin));
    if (moved > 0) warn?.('entries were moved', { folder, batches: moved });
  }

  private async writeNext(operations: readonly PlainOperation[], notes: readonly DurabilityNote[]): Promise<void> {
    const write = this.writeNumber + 1;
    const entriesAlone = operations.every(({ type, key }) => type === 'put' && isBatchKey(key));
    const batch = operations.map((operation) =>
      operation.type === 'put' ? operation : ({ type: 'del', key: operation.key } as const),
    );
    const number = { type: 'put', key: writeNumberKey, value: addChecksum(write) } as const;
    await this.change(() => this.level.batch(entriesAlone ? batch : [...batch, number], { sync: true }));
    this.writeNumber = write;
    this.notes?.note({ write, entries_alone: entriesAlone, groups: notes });
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
    // It may hold entries above the base.
    const [holding] = await this.level
      .keys({ gte: first, lte: batchKey(groupId, garbage.upTo + 1), reverse: true, limit: 1 })
      .all();
    if (holding !== undefined) await this.change(() => this.level.clear({ gte: first, lt: holding }));
    for (const { from, before } of slotsToPurge(garbage)) {
      await this.change(() => this.level.clear({ gte: slotKey(groupId, from), lt: slotKey(groupId, before) }));
    }
  }

  private async rowsFrom(
    groupId: GroupId,
    from: string,
    range: BatchRange,
    snapshot: ReturnType<Level<string, Uint8Array>['snapshot']>,
  ): Promise<Row[]> {
    const end = batchKey(groupId, range.lastIndex);
    if (from > end) return [];
    const iterator = this.level.iterator({ gte: from, lte: end, highWaterMarkBytes: range.maxBytes, snapshot });
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
      return withinBounds(rows, range);
    } finally {
      await iterator.close();
    }
  }

  /** @throws ConclaveError ECORRUPT if LevelDB has less than was recorded */
  private async compareWithNotes(): Promise<void> {
    const stored = (await this.reading(() => this.level.get(writeNumberKey))) as Uint8Array | undefined;
    try {
      this.writeNumber = stored === undefined ? 0 : (removeChecksum(stored) as number);
    } catch {
      throw this.corrupt(`the write number under ${writeNumberKey} is damaged (bad checksum)`);
    }
    const file = this.sideFile;
    this.notes = await DurabilityMarker.open(file, (error) => {
      this.options.warn?.('could not record the last write: a loss of data might go unnoticed', {
        file,
        error: String(error),
      });
    });
    const { found } = this.notes;
    if (found !== undefined) await this.compare(found);
    else if (this.writeNumber > 0) {
      this.options.warn?.('there is no record of the last write: a loss of data cannot be detected', { file });
      // Before the first record of this run: after a crash the side file would look as if there had been no loss.
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

  /** @throws ConclaveError ECORRUPT if what was recorded is missing */
  private async compare(found: MarkedWrite): Promise<void> {
    if (this.writeNumber >= found.write) return;
    // No write that deletes entries came after the recorded one: it would have left a higher number.
    if (!found.entries_alone) throw this.corrupt(missing(found, `write ${this.writeNumber}`));
    for (const { group_id, last_index } of found.groups) {
      const { lastBatch } = await this.load(group_id);
      const last = lastBatch === undefined ? 0 : lastOf(lastBatch);
      if (last < last_index) throw this.corrupt(missing(found, `${group_id} ending at ${last}`));
    }
    this.writeNumber = found.write;
  }

  /** Reads; damage that LevelDB itself finds becomes ECORRUPT. */
  private async reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      if (!isDamage(error)) throw error;
      throw this.corrupt(`LevelDB says: ${(error as Error).message}`);
    }
  }

  private openError(error: unknown): unknown {
    const cause = (error as { cause?: unknown }).cause ?? error;
    const { levelFolder } = this;
    if (codeOf(cause) === 'LEVEL_LOCKED') {
      return new ConclaveError('EBUSY', `${levelFolder} is open in another process: is this peer running twice?`);
    }
    if (isDamage(cause)) return this.corrupt(`LevelDB says: ${(cause as Error).message}`);
    return new Error(`LevelDB does not open ${levelFolder}: ${(cause as Error).message}`, { cause });
  }

  private corrupt(what: string): ConclaveError {
    return new ConclaveError('ECORRUPT', `the data folder ${this.options.folder}: ${what}. ${howToRepair}`, 'unknown');
  }
}

function missing(noted: MarkedWrite, found: string): string {
  const groups = noted.groups
    .map(
      ({ group_id, last_index, term, voted_for, session }) =>
        `${group_id} (last index ${last_index}, term ${term}, vote ${voted_for || 'none'}, session ${session})`,
    )
    .join(', ');
  return `LevelDB came back with ${found}, but write ${noted.write} had been synced, which brought ${groups}`;
}

/** The last entry of a stored batch, damaged or not: damage is reported when the group is loaded. */
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

/** Whether LevelDB reports damage, or that a file is missing. */
function isDamage(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'LEVEL_CORRUPTION' || (code === 'LEVEL_IO_ERROR' && /No such file/.test((error as Error).message));
}

/** Whether something else than a file has the name of one: a folder, or a link that leads nowhere. */
function isNoFile(error: unknown): error is Error {
  return ['EISDIR', 'ENOTDIR', 'ENOENT'].includes(String(codeOf(error)));
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code;
}
