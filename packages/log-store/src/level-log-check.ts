/**
 * Checks LevelDB's write-ahead log before LevelDB opens it. On opening, LevelDB silently skips damaged records and continues
 * with the following ones. An incomplete record at the end is normal after a crash: the write was not synced, and not acknowledged. If
 * a later write follows a damaged record, a synced write is lost.
 *
 * The log consists of blocks of 32 KiB, and each block of records: u32 masked CRC-32C of type and data, u16 length, u8 type (1 a whole
 * write; 2 the first, 3 a middle, 4 the last part of a write), data; all numbers little-endian. See LevelDB's doc/log_format.md.
 */
import { lstat, readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';

export const blockBytes = 32 * 1024;
export const headerBytes = 7;

/** A place at which a log is damaged in a way that no crash of a process or machine can cause. */
export interface LogDamage {
  readonly file: string;
  /** Offset of the first damaged record, in bytes. */
  readonly offset: number;
}

/** @returns the first damage in the logs of a LevelDB folder; undefined: none, or there is no folder */
export async function findLogDamage(folder: string): Promise<LogDamage | undefined> {
  const names = await fileNames(folder);
  for (const name of names.filter((each) => /^\d+\.log$/.test(each)).sort()) {
    const file = path.join(folder, name);
    const log = await readNamed(file).catch(async (error) => {
      // Another process has this folder open, and has just deleted the log. LevelDB's lock will reject this process.
      if (await isDeleted(file)) return undefined;
      throw error;
    });
    const offset = log === undefined ? undefined : damageIn(log);
    if (offset !== undefined) return { file, offset };
  }
  return undefined;
}

/**
 * @returns which of the files is missing that list LevelDB's tables: `CURRENT`, and the manifest that it names; undefined: none, or the
 * folder is new. LevelDB itself would treat a folder without `CURRENT` as new, and delete its tables.
 */
export async function missingFile(folder: string): Promise<string | undefined> {
  const names = await fileNames(folder);
  if (!names.some((name) => /^(\d+\.(ldb|sst|log)|MANIFEST-\d+|CURRENT)$/.test(name))) return undefined;
  const current = path.join(folder, 'CURRENT');
  if (!names.includes('CURRENT')) return `${current} is missing, which names the manifest`;
  // LevelDB may replace the manifest meanwhile: then the second attempt finds the new one.
  for (let attempt = 0; attempt < 2; attempt++) {
    const manifest = (await readNamed(current)).toString().trim();
    if (!/^MANIFEST-\d+$/.test(manifest)) return `${current} is damaged: it names no manifest`;
    if ((await fileNames(folder)).includes(manifest)) return undefined;
    if (attempt === 1) return `${path.join(folder, manifest)} is missing, which ${current} names`;
  }
  return undefined;
}

/**
 * @returns which of these files is something else, such as a folder, or a pipe that would be waited for; undefined: none. Files that do
 *   not exist are no fault here
 */
export async function irregularFile(files: readonly string[]): Promise<string | undefined> {
  for (const file of files) {
    const found = await stat(file).catch((error) => {
      if ((error as { code?: unknown }).code !== 'ENOENT') throw error;
      return undefined;
    });
    if (found?.isFile() === false || (found === undefined && !(await isDeleted(file)))) {
      return `${file} is not a regular file`;
    }
  }
  return undefined;
}

/** Whether LevelDB has a file of this name. */
export function isLevelFile(name: string): boolean {
  return /^(\d+\.(ldb|sst|log)|MANIFEST-\d+|CURRENT|LOCK)$/.test(name);
}

/** Reads a file. Each error names the file; that of Node.js does not if the path is a folder. */
export function readNamed(file: string): Promise<Buffer> {
  return naming(file, readFile(file));
}

/** Adds the file to the message of an error that does not name it. */
export async function naming<T>(file: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Error && !error.message.includes(file)) error.message = `${file}: ${error.message}`;
    throw error;
  }
}

async function isDeleted(file: string): Promise<boolean> {
  try {
    await lstat(file);
    return false;
  } catch (error) {
    return (error as { code?: unknown }).code === 'ENOENT';
  }
}

/** The files of a folder; none if there is no folder. */
export async function fileNames(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return [];
    throw error;
  }
}

/** @returns the offset of the first damaged record that the start of a later write follows */
export function damageIn(log: Buffer): number | undefined {
  let damage: number | undefined;
  for (let block = 0; block < log.length; block += blockBytes) {
    const end = Math.min(block + blockBytes, log.length);
    let at = block;
    while (at + headerBytes <= end) {
      const length = recordLength(log, at, end);
      if (length === undefined) {
        damage ??= at;
        // The start of the next record is unknown from here on: check every byte.
        at += 1;
        continue;
      }
      const type = log.readUInt8(at + 6);
      if (damage !== undefined && (type === 1 || type === 2)) return damage;
      at += headerBytes + length;
    }
  }
  return undefined;
}

/** @returns the length of the data of a record; undefined: there is no whole record */
export function recordLength(log: Buffer, at: number, end: number): number | undefined {
  const length = log.readUInt16LE(at + 4);
  const type = log.readUInt8(at + 6);
  if (type < 1 || type > 4 || at + headerBytes + length > end) return undefined;
  const data = log.subarray(at + 6, at + headerBytes + length);
  return isMaskedChecksum(log.readUInt32LE(at), data) ? length : undefined;
}

/** Whether LevelDB would store this checksum for these bytes. */
export function isMaskedChecksum(stored: number, bytes: Uint8Array): boolean {
  return masked(crc32c(bytes)) === stored;
}

/** LevelDB masks the checksums that it stores, because the CRC of data that contain CRCs is a weak check. */
function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

const table = new Uint32Array(256).map((_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (table[(crc ^ byte) & 0xff] as number);
  return (crc ^ 0xffffffff) >>> 0;
}
