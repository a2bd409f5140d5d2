/**
 * Reads from LevelDB's manifest which tables contain its data: the *live* tables. LevelDB keeps tables open, so it does not notice
 * while it runs that one was deleted or cut; only at the next start the loss of data would be found.
 *
 * The manifest is a log of changes. It has the format of LevelDB's write-ahead log (`level-log-check.ts`). Each change is a sequence
 * of fields. A field is the number of its kind, followed by its content; see LevelDB's class VersionEdit.
 *
 * Owns: how far the manifest was read.
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
  /** Whether a change could not be parsed: then the live tables are unknown. */
  private isUnreadable = false;

  constructor(private readonly folder: string) {}

  /**
   * Returns which live table is missing or cut; undefined: none.
   * @param names the files of the folder
   * @param checksSizes whether to check the sizes of the existing tables, too, which takes longer
   */
  async lostTable(names: readonly string[], checksSizes: boolean): Promise<string | undefined> {
    const present = new Set(names);
    for (const number of await this.live()) {
      const name = tableNames(number).find((each) => present.has(each));
      if (name === undefined) {
        // The table may have been created after `names` were read. Or LevelDB may have deleted it: then the manifest, read again, does
        // not list it any more, because LevelDB changes the manifest before it deletes a table. Otherwise the table is lost.
        const now = await fileNames(this.folder);
        if (tableNames(number).some((each) => now.includes(each))) continue;
        if ((await this.live()).includes(number)) return `${this.pathOf(number)} is not there any more`;
      } else if (checksSizes) {
        const cut = await this.cutTable(name, number);
        if (cut !== undefined) return cut;
      }
    }
    return undefined;
  }

  private async cutTable(name: string, number: number): Promise<string | undefined> {
    const file = path.join(this.folder, name);
    const expected = this.sizes.get(number) ?? 0;
    const size = await stat(file).then(
      (found) => found.size,
      () => expected,
    );
    return size < expected ? `${file} was cut: it has ${size} of ${expected} bytes` : undefined;
  }

  private pathOf(number: number): string {
    return path.join(this.folder, tableNames(number)[0]);
  }

  /** Reads what was added to the manifest, and returns the numbers of the live tables. */
  private async live(): Promise<number[]> {
    const name = (await readNamed(path.join(this.folder, 'CURRENT'))).toString().trim();
    if (name !== this.name) {
      this.name = name;
      this.offset = 0;
      this.sizes.clear();
      this.isUnreadable = false;
    }
    const manifest = path.join(this.folder, name);
    const file = await open(manifest, 'r');
    try {
      const added = Buffer.alloc(Math.max(0, (await file.stat()).size - this.offset));
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
      const { deleted, added } = parseChange(change);
      for (const number of deleted) this.sizes.delete(number);
      for (const [number, size] of added) this.sizes.set(number, size);
    } catch {
      this.isUnreadable = true;
    }
  }
}

/** Returns which live table is missing or cut in a folder that is not open; undefined: none, or the folder is new. */
export async function lostTable(folder: string): Promise<string | undefined> {
  const names = await fileNames(folder);
  return names.includes('CURRENT') ? new LevelManifest(folder).lostTable(names, true) : undefined;
}

/** The two names that a table can have; old versions of LevelDB used the second one. */
function tableNames(number: number): [string, string] {
  const digits = String(number).padStart(6, '0');
  return [`${digits}.ldb`, `${digits}.sst`];
}

/** @throws RangeError if the bytes are no change, or contain a field of an unknown kind */
function parseChange(change: Buffer): { readonly deleted: number[]; readonly added: [number, number][] } {
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
  return { deleted, added };
}
