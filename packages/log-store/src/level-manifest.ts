/**
 * Reads from LevelDB's manifest which tables contain its data: the *live* tables, and which log LevelDB replays at its next start.
 * LevelDB keeps files open, so it does not notice while it runs that one was deleted or cut; only at the next start the loss of data
 * would be found. If the end of the manifest is missing, LevelDB does not even notice it then: it starts from an older list of
 * tables, and deletes the others.
 *
 * The manifest is a log of changes. It has the format of LevelDB's write-ahead log (`level-log-check.ts`). Each change is a sequence
 * of fields. A field is the number of its kind, followed by its content; see LevelDB's class VersionEdit.
 *
 * Owns: how far the manifest was read, and how long the logs were.
 *
 * Invariants:
 * 1. Each change is applied once.
 */
import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import { blockBytes, fileNames, headerBytes, naming, readNamed, recordLength } from './level-log-check.js';

/** The kinds of fields. */
const field = {
  comparator: 1,
  logNumber: 2,
  nextFileNumber: 3,
  lastSequence: 4,
  compactPointer: 5,
  deletedFile: 6,
  newFile: 7,
  previousLogNumber: 9,
} as const;

export class LevelManifest {
  private name = '';
  /** The position in the file after the last change that was applied. */
  private offset = 0;
  /** The live tables: their numbers and sizes. */
  private readonly sizes = new Map<number, number>();
  /** The oldest log that is not in a table as a whole; 0: LevelDB has never been opened. */
  private logNumber = 0;
  /** Whether a change could not be parsed: then the live tables are unknown. */
  private isUnreadable = false;
  /** The sizes of the logs at the last check. */
  private logSizes = new Map<string, number>();

  constructor(private readonly folder: string) {}

  /**
   * Returns which file is missing or cut: a live table, the manifest or a log; undefined: none.
   * @param names the files of the folder
   * @param checksSizes whether to check the sizes of the existing tables, too, which takes longer
   */
  async lostFile(names: readonly string[], checksSizes: boolean): Promise<string | undefined> {
    const present = new Set(names);
    const live = await this.live();
    if (typeof live === 'string') return live;
    const lostLog = (await this.lostLog(names)) ?? (await this.cutLog(names));
    if (lostLog !== undefined) return lostLog;
    for (const number of live) {
      const name = tableNames(number).find((each) => present.has(each));
      if (name === undefined) {
        // The table may have been created after `names` were read. Or LevelDB may have deleted it: then the manifest, read again, does
        // not list it any more, because LevelDB changes the manifest before it deletes a table. Otherwise the table is lost.
        const now = await fileNames(this.folder);
        if (tableNames(number).some((each) => now.includes(each))) continue;
        const liveNow = await this.live();
        if (typeof liveNow === 'string') return liveNow;
        if (liveNow.includes(number)) return `${this.pathOf(number)} is not there any more`;
      } else if (checksSizes) {
        const cut = await this.cutTable(name, number);
        if (cut !== undefined) return cut;
      }
    }
    return undefined;
  }

  /** Returns the files of the live tables that exist. */
  async tables(): Promise<string[]> {
    const live = await this.live();
    const present = new Set(await fileNames(this.folder));
    const names = typeof live === 'string' ? [] : live.flatMap((number) => tableNames(number));
    return names.filter((name) => present.has(name)).map((name) => path.join(this.folder, name));
  }

  /**
   * Returns the log that the manifest names, if it is missing. LevelDB deletes a log only after the manifest names a newer one. So either
   * the log was deleted, or the end of the manifest is missing.
   */
  private async lostLog(names: readonly string[]): Promise<string | undefined> {
    if (this.isUnreadable) return undefined;
    const hasLog = (found: readonly string[]): boolean =>
      this.logNumber === 0 ? !found.some((name) => tableName.test(name)) : found.includes(logName(this.logNumber));
    if (hasLog(names)) return undefined;
    // The files may have changed since `names` were read, and the manifest since `names` are read again.
    const now = await fileNames(this.folder);
    if (hasLog(now)) return undefined;
    const before = this.logNumber;
    const live = await this.live();
    if (typeof live === 'string') return live;
    if (this.logNumber !== before) return undefined;
    if (before === 0) return `${path.join(this.folder, this.name)} was cut: it names no log, and there are tables`;
    const log = path.join(this.folder, logName(before));
    return `${log} is not there any more, or the end of ${this.name}, which names it`;
  }

  /** Returns which log is shorter than before: LevelDB only appends to a log. */
  private async cutLog(names: readonly string[]): Promise<string | undefined> {
    const sizes = new Map<string, number>();
    let cut: string | undefined;
    for (const name of names.filter((each) => each.endsWith('.log'))) {
      const file = path.join(this.folder, name);
      const before = this.logSizes.get(name) ?? 0;
      const size = await sizeOf(file, before);
      if (size < before) cut = wasCut(file, size, before);
      sizes.set(name, size);
    }
    this.logSizes = sizes;
    return cut;
  }

  private async cutTable(name: string, number: number): Promise<string | undefined> {
    const file = path.join(this.folder, name);
    const expected = this.sizes.get(number) ?? 0;
    const size = await sizeOf(file, expected);
    return size < expected ? wasCut(file, size, expected) : undefined;
  }

  private pathOf(number: number): string {
    return path.join(this.folder, tableNames(number)[0]);
  }

  /** Reads what was added to the manifest, and returns the numbers of the live tables, or that the manifest was cut. */
  private async live(): Promise<number[] | string> {
    const name = (await readNamed(path.join(this.folder, 'CURRENT'))).toString().trim();
    if (name !== this.name) {
      this.name = name;
      this.offset = 0;
      this.logNumber = 0;
      this.sizes.clear();
      this.isUnreadable = false;
    }
    const manifest = path.join(this.folder, name);
    const file = await open(manifest, 'r');
    try {
      const { size } = await file.stat();
      if (size < this.offset) return wasCut(manifest, size, this.offset);
      const added = Buffer.alloc(size - this.offset);
      const { bytesRead } = await naming(manifest, file.read(added, 0, added.length, this.offset));
      this.add(added.subarray(0, bytesRead));
    } finally {
      await file.close();
    }
    return this.isUnreadable ? [] : [...this.sizes.keys()];
  }

  private add(bytes: Buffer): void {
    const base = this.offset;
    let parts: Buffer[] = [];
    let at = 0;
    while (!this.isUnreadable) {
      const blockEnd = at + blockBytes - ((base + at) % blockBytes);
      if (blockEnd - at < headerBytes) {
        at = blockEnd;
        continue;
      }
      const end = Math.min(blockEnd, bytes.length);
      // An incomplete record at the end is read the next time.
      const length = at + headerBytes > end ? undefined : recordLength(bytes, at, end);
      if (length === undefined) return;
      const type = bytes.readUInt8(at + 6);
      const part = bytes.subarray(at + headerBytes, at + headerBytes + length);
      at += headerBytes + length;
      parts = type <= 2 ? [part] : [...parts, part];
      if (type === 2 || type === 3) continue;
      this.apply(Buffer.concat(parts));
      this.offset = base + at;
    }
  }

  private apply(change: Buffer): void {
    try {
      const { deleted, added, logNumber } = parseChange(change);
      this.logNumber = logNumber ?? this.logNumber;
      for (const number of deleted) this.sizes.delete(number);
      for (const [number, size] of added) this.sizes.set(number, size);
    } catch {
      this.isUnreadable = true;
    }
  }
}

/** Returns which file is missing or cut in a folder that is not open; undefined: none, or the folder is new. */
export async function lostFile(folder: string): Promise<string | undefined> {
  const names = await fileNames(folder);
  return names.includes('CURRENT') ? new LevelManifest(folder).lostFile(names, true) : undefined;
}

function wasCut(file: string, size: number, expected: number): string {
  return `${file} was cut: it has ${size} of ${expected} bytes`;
}

/** Returns the size of a file; `otherwise` if it cannot be found. */
async function sizeOf(file: string, otherwise: number): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => otherwise,
  );
}

const tableName = /^\d+\.(ldb|sst)$/;

function logName(number: number): string {
  return `${String(number).padStart(6, '0')}.log`;
}

/** The two names that a table can have; old versions of LevelDB used the second one. */
function tableNames(number: number): [string, string] {
  const digits = String(number).padStart(6, '0');
  return [`${digits}.ldb`, `${digits}.sst`];
}

/** @throws RangeError if the bytes are no change, or contain a field of an unknown kind */
function parseChange(change: Buffer): {
  readonly deleted: number[];
  readonly added: [number, number][];
  /** Undefined: it stays the same. */
  readonly logNumber: number | undefined;
} {
  let logNumber: number | undefined;
  const deleted: number[] = [];
  const added: [number, number][] = [];
  let at = 0;
  const readNumber = (): number => {
    for (let value = 0, scale = 1; ; scale *= 128) {
      const byte = change.readUInt8(at);
      at += 1;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  const skipText = (): void => {
    const length = readNumber();
    at += length;
  };
  while (at < change.length) {
    const kind = readNumber();
    switch (kind) {
      case field.comparator:
        skipText();
        break;
      case field.logNumber:
        logNumber = readNumber();
        break;
      case field.nextFileNumber:
      case field.lastSequence:
      case field.previousLogNumber:
        readNumber();
        break;
      case field.compactPointer:
        readNumber();
        skipText();
        break;
      case field.deletedFile:
        readNumber();
        deleted.push(readNumber());
        break;
      case field.newFile: {
        readNumber();
        added.push([readNumber(), readNumber()]);
        skipText();
        skipText();
        break;
      }
      default:
        throw new RangeError(`no field is of kind ${kind}`);
    }
  }
  return { deleted, added, logNumber };
}
