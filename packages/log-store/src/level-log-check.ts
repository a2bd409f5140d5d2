/**
 * Looks through LevelDB's write-ahead log before LevelDB does. On opening, LevelDB skips damaged records in silence,
 * and goes on with those behind them. A torn end is what a crash leaves: the write was not synced, and nobody was told
 * that it was. Damage with a later write behind it means that something synced is lost.
 *
 * The log is blocks of 32 KiB, each of records: u32 masked CRC-32C of type and data, u16 length, u8 type
 * (1 whole, 2 first, 3 middle, 4 last part of a write), little-endian; see LevelDB's doc/log_format.md.
 */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

const blockBytes = 32 * 1024;
const headerBytes = 7;

/** Where damage is that a crash does not explain. */
export interface LogDamage {
  readonly file: string;
  /** Of the first damaged record, in bytes. */
  readonly offset: number;
}

/** The first damage in the logs of a LevelDB folder, or undefined. A folder that is not there has none. */
export async function findLogDamage(folder: string): Promise<LogDamage | undefined> {
  const names = await fileNames(folder);
  for (const name of names.filter((each) => /^\d+\.log$/.test(each)).sort()) {
    const file = path.join(folder, name);
    const offset = damageIn(await readFile(file));
    if (offset !== undefined) return { file, offset };
  }
  return undefined;
}

/**
 * Says which of the files is missing without which LevelDB does not know what it has; undefined: none, or the folder is new.
 * LevelDB itself would take a folder without `CURRENT` for a new one, and delete its tables.
 */
export async function missingFile(folder: string): Promise<string | undefined> {
  const names = await fileNames(folder);
  if (!names.some((name) => /^(\d+\.(ldb|sst|log)|MANIFEST-\d+|CURRENT)$/.test(name))) return undefined;
  const current = path.join(folder, 'CURRENT');
  if (!names.includes('CURRENT')) return `${current} is missing, which says which of the files there count`;
  // It may be replaced meanwhile: then the old manifest is gone, and the new name is there at the second look.
  for (let look = 0; look < 2; look++) {
    const manifest = (await readFile(current, 'utf8')).trim();
    if ((await fileNames(folder)).includes(manifest)) return undefined;
    if (look === 1) return `${path.join(folder, manifest)} is missing, which ${current} names`;
  }
  return undefined;
}

/** The files of a folder; none where it is not there. */
export async function fileNames(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return [];
    throw error;
  }
}

/** The offset of the first damaged record that has the beginning of a later write behind it. */
export function damageIn(log: Buffer): number | undefined {
  let damage: number | undefined;
  for (let block = 0; block < log.length; block += blockBytes) {
    const end = Math.min(block + blockBytes, log.length);
    let at = block;
    while (at + headerBytes <= end) {
      const length = recordLength(log, at, end);
      if (length === undefined) {
        damage ??= at;
        // Where the next record begins is not known any more: look at every byte.
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

/** The length of the data of a record, or undefined where there is no whole one. */
function recordLength(log: Buffer, at: number, end: number): number | undefined {
  const length = log.readUInt16LE(at + 4);
  const type = log.readUInt8(at + 6);
  if (type < 1 || type > 4 || at + headerBytes + length > end) return undefined;
  const data = log.subarray(at + 6, at + headerBytes + length);
  return masked(crc32c(data)) === log.readUInt32LE(at) ? length : undefined;
}

/** LevelDB stores checksums masked, as it may keep data that holds checksums itself. */
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
