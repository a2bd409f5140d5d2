/**
 * Keeps the groups' logs in LevelDB, one for the whole process, each write synced. Beside it, in the same folder, lies
 * the side file of `WriteNotes`.
 *
 *     <folder>/level       LevelDB
 *     <folder>/last-write  the side file
 *     <folder>/unverified  that the side file was missing or damaged once, and which groups were verified since
 *
 * Invariants:
 * 1. Writes are numbered. One that does more than add entries puts its number under `!/w`, within the same batch. What
 *    only adds entries does not: its keys rise from write to write, so that LevelDB moves its tables down as they are.
 * 2. A write is noted only once it is synced.
 * 3. If LevelDB comes back with less than was noted, it is not served: a noted number that is not there, or entries
 *    that are not there where the noted write only added some. It is never repaired in silence.
 */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { batchHeader, ConclaveError, type GroupId, invariant, type LogIndex, seal, unseal } from '@conclave/protocol';
import { Level } from 'level';
import {
  type BatchRange,
  batchKey,
  endOfPart,
  howToHeal,
  type IndexedPart,
  indexedKey,
  isBatchKey,
  type Leftovers,
  metaKey,
  type PlainOperation,
  type Row,
  recordKeys,
  type StoredRows,
  slotKey,
  slotsToClear,
  snapshotKey,
  type WriteNote,
  writeNumberKey,
} from './core/index.js';
import { type FolderFault, FolderWatch } from './folder-watch.js';
import { findLogDamage, missingFile } from './level-log-check.js';
import { moveBatches } from './level-log-upgrade.js';
import type { LogStorage } from './log-storage.js';
import { withinBounds } from './memory-log-storage.js';
import { VerifiedGroups } from './verified-groups.js';
import { type NotedWrite, WriteNotes } from './write-notes.js';

const MiB = 1024 * 1024;

export interface LevelLogStorageOptions {
  /** The data folder; made where it is not there. */
  readonly folder: string;
  /** Told what does not stop the storage but ought to be known. */
  readonly warn?: (text: string, fields: Readonly<Record<string, unknown>>) => void;
}

export class LevelLogStorage implements LogStorage {
  private opened: Level<string, Uint8Array> | undefined;
  private notes: WriteNotes | undefined;
  private watch: FolderWatch | undefined;
  private writeNumber = 0;
  private writesAtLastLook = 0;
  private lastWrite: Promise<void> = Promise.resolve();
  private lastClearing: Promise<void> = Promise.resolve();

  private readonly verified: VerifiedGroups;

  constructor(private readonly options: LevelLogStorageOptions) {
    this.verified = new VerifiedGroups(path.join(options.folder, 'unverified'));
  }

  /** How many writes this store has seen. */
  get writes(): number {
    return this.writeNumber;
  }

  async open(): Promise<void> {
    await mkdir(this.options.folder, { recursive: true });
    const damage = await findLogDamage(this.levelFolder);
    if (damage !== undefined) {
      throw this.corrupt(`${damage.file} is damaged at byte ${damage.offset}: writes that were synced are lost`);
    }
    const missing = await missingFile(this.levelFolder);
    if (missing !== undefined) throw this.corrupt(missing);
    // Not before here: LevelDB opens by itself soon after it is made, and clears its log away.
    this.opened = new Level<string, Uint8Array>(this.levelFolder, {
      keyEncoding: 'utf8',
      valueEncoding: 'view',
      // Batches are kept as they came, so that a read needs no work; a large buffer keeps compaction rare.
      compression: false,
      writeBufferSize: 16 * MiB,
      maxFileSize: 16 * MiB,
    });
    await this.opened.open().catch((error) => {
      throw this.openError(error);
    });
    try {
      await this.moveFromBefore();
      await this.compareWithNotes();
      this.watch = await FolderWatch.begin(this.options.folder, this.levelFolder, this.sideFile);
    } catch (error) {
      await this.close();
      throw error;
    }
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

  write(operations: readonly PlainOperation[], notes: readonly WriteNote[]): Promise<void> {
    const write = this.lastWrite.then(() => this.writeNext(operations, notes));
    // A failure is told to who asked for the write; those behind it fail by themselves, as LevelDB stays failed.
    this.lastWrite = write.catch(() => undefined);
    return write;
  }

  async readBatches(groupId: GroupId, range: BatchRange): Promise<readonly Row[]> {
    return this.reading(async () => {
      const snapshot = this.level.snapshot();
      try {
        const from = batchKey(groupId, range.fromIndex);
        const found = await this.rowsFrom(groupId, from, range, snapshot);
        // Reads in sequence begin where a batch does; others look for the batch that holds the index.
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

  async keysOf(groupId: GroupId, most: number): Promise<readonly string[]> {
    return this.reading(async () => {
      const snapshot = this.level.snapshot();
      try {
        const records = await this.level.keys({ ...recordKeys(groupId), limit: most, snapshot }).all();
        const batches = { gte: batchKey(groupId, 0), lt: endOfPart(groupId, 'e'), limit: most - records.length };
        return [...records, ...(await this.level.keys({ ...batches, snapshot }).all())];
      } finally {
        await snapshot.close();
      }
    });
  }

  /** Returns what keeps the files of this store from being used now; undefined: nothing. */
  async fault(): Promise<FolderFault | undefined> {
    const isIdle = this.writeNumber === this.writesAtLastLook;
    this.writesAtLastLook = this.writeNumber;
    const fault = await this.watch?.look(isIdle);
    return fault?.type === 'gone' ? { ...fault, message: this.corrupt(fault.message).message } : fault;
  }

  /** The rows behind a key, about that many bytes, for who looks through all that is stored. */
  async rowsBehind(key: string, maxBytes: number): Promise<readonly Row[]> {
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

  clear(groupId: GroupId, leftovers: Leftovers): Promise<void> {
    const clearing = this.lastClearing.then(() => this.reading(() => this.clearNext(groupId, leftovers)));
    this.lastClearing = clearing.catch(() => undefined);
    return clearing;
  }

  async close(): Promise<void> {
    await this.lastWrite;
    await this.lastClearing;
    await this.notes?.close();
    this.notes = undefined;
    await this.opened?.close();
  }

  private get level(): Level<string, Uint8Array> {
    invariant(this.opened !== undefined, 'the storage is used after it was opened');
    return this.opened;
  }

  private get levelFolder(): string {
    return path.join(this.options.folder, 'level');
  }

  private get sideFile(): string {
    return path.join(this.options.folder, 'last-write');
  }

  private async moveFromBefore(): Promise<void> {
    const { folder, warn } = this.options;
    const onBegin = () => warn?.('entries from before are moved to where they stand now', { folder });
    const moved = await this.reading(() => moveBatches(this.level, onBegin));
    if (moved > 0) warn?.('entries were moved', { folder, batches: moved });
  }

  private async writeNext(operations: readonly PlainOperation[], notes: readonly WriteNote[]): Promise<void> {
    const write = this.writeNumber + 1;
    const entriesAlone = operations.every(({ type, key }) => type === 'put' && isBatchKey(key));
    const batch = operations.map((operation) =>
      operation.type === 'put' ? operation : ({ type: 'del', key: operation.key } as const),
    );
    const number = { type: 'put', key: writeNumberKey, value: seal(write) } as const;
    await this.level.batch(entriesAlone ? batch : [...batch, number], { sync: true });
    this.writeNumber = write;
    this.notes?.note({ write, entries_alone: entriesAlone, groups: notes });
  }

  private async clearNext(groupId: GroupId, leftovers: Leftovers): Promise<void> {
    const first = batchKey(groupId, 0);
    // It may go on above the base.
    const [holding] = await this.level
      .keys({ gte: first, lte: batchKey(groupId, leftovers.upTo + 1), reverse: true, limit: 1 })
      .all();
    if (holding !== undefined) await this.level.clear({ gte: first, lt: holding });
    for (const { from, before } of slotsToClear(leftovers)) {
      await this.level.clear({ gte: slotKey(groupId, from), lt: slotKey(groupId, before) });
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

  /** @throws ConclaveError ECORRUPT where LevelDB has less than was noted */
  private async compareWithNotes(): Promise<void> {
    const stored = (await this.reading(() => this.level.get(writeNumberKey))) as Uint8Array | undefined;
    try {
      this.writeNumber = stored === undefined ? 0 : (unseal(stored) as number);
    } catch {
      throw this.corrupt(`the write number under ${writeNumberKey} is damaged (bad checksum)`);
    }
    const file = this.sideFile;
    this.notes = await WriteNotes.open(file, (error) => {
      this.options.warn?.('the last write could not be noted: a loss might go unnoticed', {
        file,
        error: String(error),
      });
    });
    const { found } = this.notes;
    if (found !== undefined) await this.compare(found);
    else if (this.writeNumber > 0) {
      this.options.warn?.('nothing was noted of the last write: a loss cannot be told', { file });
      // Before the first note of this run: after a crash the side file would look as if nothing had been.
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

  /** @throws ConclaveError ECORRUPT where what was noted is not there */
  private async compare(found: NotedWrite): Promise<void> {
    if (this.writeNumber >= found.write) return;
    // No write that deletes entries has come after the noted one: that would have left a higher number.
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
    return new ConclaveError('ECORRUPT', `the data folder ${this.options.folder}: ${what}. ${howToHeal}`, 'unknown');
  }
}

function missing(noted: NotedWrite, found: string): string {
  const groups = noted.groups
    .map(
      ({ group_id, last_index, term, voted_for, session }) =>
        `${group_id} (last index ${last_index}, term ${term}, vote ${voted_for || 'none'}, session ${session})`,
    )
    .join(', ');
  return `LevelDB came back with ${found}, but write ${noted.write} had been synced, which brought ${groups}`;
}

/** The last entry of a stored batch, damaged or not: damage is told by who loads the group. */
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

/** Of LevelDB: what it has is damaged, or a file that it needs is missing. */
function isDamage(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'LEVEL_CORRUPTION' || (code === 'LEVEL_IO_ERROR' && /No such file/.test((error as Error).message));
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code;
}
