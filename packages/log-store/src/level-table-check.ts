/**
 * Verifies the checksums of the blocks of LevelDB's tables. LevelDB does not verify them when it reads. The checksum of a row shows that
 * its value is damaged; if its key is damaged, the row only seems to be missing, and in some cases nothing else shows that.
 *
 * A table consists of blocks. Each is followed by its type (u8) and by the masked CRC-32C of block and type (u32). The last 48 bytes are
 * the footer: the places of two blocks, padding, and a magic number. The second of these blocks is the index. For each block with rows it
 * has a key, at or after the block's last key, and the place of the block. A place is an offset and a size, as varints; all other numbers
 * are little-endian. See LevelDB's doc/table_format.md.
 *
 * Conclave writes tables without compression. A program that changes a stopped store may write some with it; of these only the index is
 * verified, because its entries cannot be read here.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { isMaskedChecksum } from './level-log-check.js';

const footerBytes = 48;
const trailerBytes = 5;
const uncompressed = 0;
const magic = 0xdb4775248b80fb57n;
/** At the end of a key in a table: the number of the write, and the kind of change. */
const sequenceBytes = 8;

export interface TableDamage {
  /** The beginning of the damaged block in the file, in bytes. */
  readonly offset: number;
  /** The rows in the block are after the first of these keys, and not after the second; undefined: not known. */
  readonly keys: readonly [string, string] | undefined;
}

interface Block {
  readonly content: Buffer;
  /** How the content is compressed. */
  readonly type: number;
}

interface Place {
  readonly offset: number;
  readonly bytes: number;
}

/**
 * @param onRead is called with the size of each block that was read, in bytes; returns whether to continue
 * @returns the first damaged block of a table; undefined: none was found
 */
export async function findTableDamage(
  file: string,
  onRead: (bytes: number) => Promise<boolean>,
): Promise<TableDamage | undefined> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const atFooter = { offset: Math.max(0, size - footerBytes), keys: undefined };
    const footer = await bytesAt(handle, atFooter.offset, footerBytes);
    if (footer?.readBigUInt64LE(footerBytes - 8) !== magic) return atFooter;
    const reader = new Reader(footer);
    const [metaIndex, index] = [reader.place(), reader.place()];
    // The footer has no checksum: a damaged place may be anywhere.
    if (![metaIndex, index].every(({ offset, bytes }) => offset + bytes + trailerBytes <= size)) return atFooter;
    if ((await blockAt(handle, metaIndex)) === undefined) return { offset: metaIndex.offset, keys: undefined };
    const indexBlock = await blockAt(handle, index);
    if (indexBlock === undefined) return { offset: index.offset, keys: undefined };
    if (indexBlock.type !== uncompressed) return undefined;
    let after: string | undefined;
    for (const { key, place } of entriesOf(indexBlock.content)) {
      const block = await blockAt(handle, place);
      if (block === undefined) return { offset: place.offset, keys: after === undefined ? undefined : [after, key] };
      after = key;
      if (!(await onRead(place.bytes))) break;
    }
    return undefined;
  } finally {
    await handle.close();
  }
}

/** @returns undefined if the file ends before */
async function bytesAt(handle: FileHandle, offset: number, length: number): Promise<Buffer | undefined> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset);
  return bytesRead === length ? buffer : undefined;
}

/** @returns undefined if the block is damaged */
async function blockAt(handle: FileHandle, { offset, bytes }: Place): Promise<Block | undefined> {
  const block = await bytesAt(handle, offset, bytes + trailerBytes);
  if (block === undefined || !isMaskedChecksum(block.readUInt32LE(bytes + 1), block.subarray(0, bytes + 1)))
    return undefined;
  return { content: block.subarray(0, bytes), type: block.readUInt8(bytes) };
}

/** Returns the entries of an intact index. A key is stored as the number of bytes that it shares with the previous one, and its rest. */
function entriesOf(index: Buffer): { readonly key: string; readonly place: Place }[] {
  const restarts = index.readUInt32LE(index.length - 4);
  const end = index.length - 4 - 4 * restarts;
  const reader = new Reader(index);
  const entries: { readonly key: string; readonly place: Place }[] = [];
  let key = '';
  while (reader.at < end) {
    const shared = reader.number();
    const length = reader.number();
    reader.number();
    key = key.slice(0, shared) + reader.text(length);
    entries.push({ key: key.slice(0, -sequenceBytes), place: reader.place() });
  }
  return entries;
}

class Reader {
  at = 0;

  constructor(private readonly bytes: Buffer) {}

  /** @returns NaN if the bytes end before */
  number(): number {
    for (let value = 0, scale = 1; this.at < this.bytes.length; scale *= 128) {
      const byte = this.bytes.readUInt8(this.at);
      this.at += 1;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    return Number.NaN;
  }

  place(): Place {
    return { offset: this.number(), bytes: this.number() };
  }

  text(length: number): string {
    this.at += length;
    return this.bytes.toString('latin1', this.at - length, this.at);
  }
}
