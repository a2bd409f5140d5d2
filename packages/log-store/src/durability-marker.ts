/**
 * The side file: after each sync it records the state of each group in the write. It is not synced itself, and need not be: it
 * detects a store that comes back with less than it had synced, as LevelDB silently does if the end of its log is damaged.
 *
 * Two slots are written in turn, so that one of them is whole even if a crash interrupts the writing:
 *
 *     0  u32  CRC-32 of all that follows, big-endian
 *     4  u32  bytes of the text
 *     8  JSON, for people to read: {"write": 17, "entries_alone": true, "groups": [...]}
 *
 * Invariants:
 * 1. A record never names a write that is not synced.
 * 2. The slots are written in turn, so the one before the last is whole.
 */
import { writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { limits } from '@conclave/protocol';
import type { DurabilityNote } from './core/index.js';

const slotBytes = limits.durabilityMarkerBytes;
const headerBytes = 8;

/** The last recorded write, and the state of the groups after it. */
export interface MarkedWrite {
  readonly write: number;
  /** Whether it only added entries. */
  readonly entries_alone: boolean;
  readonly groups: readonly DurabilityNote[];
}

export class DurabilityMarker {
  private constructor(
    private readonly file: FileHandle,
    /** The last record of earlier runs; undefined: there is none that can be read. */
    readonly found: MarkedWrite | undefined,
    private nextSlot: number,
    private readonly onFailure: (error: unknown) => void,
  ) {}

  /**
   * Opens the file, or creates it.
   * @param onFailure called if a record could not be written: the store is sound, but a loss might go unnoticed
   */
  static async open(path: string, onFailure: (error: unknown) => void): Promise<DurabilityMarker> {
    // Opened without `w`, which would empty it.
    const file = await open(path, 'a').then(async (made) => {
      await made.close();
      return open(path, 'r+');
    });
    const slots = await Promise.all([0, 1].map((slot) => readSlot(file, slot)));
    const newest = (slots[1]?.write ?? -1) > (slots[0]?.write ?? -1) ? 1 : 0;
    return new DurabilityMarker(file, slots[newest], 1 - newest, onFailure);
  }

  /** Writes a record. Synchronously: it only reaches the system's page cache, and costs less than a thread switch. */
  note(noted: MarkedWrite): void {
    const bytes = encodeSlot(noted);
    try {
      writeSync(this.file.fd, bytes, 0, bytes.length, this.nextSlot * slotBytes);
      this.nextSlot = 1 - this.nextSlot;
    } catch (error) {
      this.onFailure(error);
    }
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}

function encodeSlot({ groups, ...rest }: MarkedWrite): Uint8Array {
  let text = Buffer.from(JSON.stringify({ ...rest, groups }));
  for (let count = groups.length; headerBytes + text.length > slotBytes; count = Math.floor(count / 2)) {
    text = Buffer.from(JSON.stringify({ ...rest, groups: groups.slice(0, count) }));
  }
  const bytes = Buffer.alloc(headerBytes + text.length);
  bytes.writeUInt32BE(text.length, 4);
  text.copy(bytes, headerBytes);
  bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

async function readSlot(file: FileHandle, slot: number): Promise<MarkedWrite | undefined> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(slotBytes), 0, slotBytes, slot * slotBytes);
  if (bytesRead < headerBytes) return undefined;
  const end = headerBytes + buffer.readUInt32BE(4);
  if (end > bytesRead || crc32(buffer.subarray(4, end)) !== buffer.readUInt32BE(0)) return undefined;
  return JSON.parse(buffer.toString('utf8', headerBytes, end)) as MarkedWrite;
}
