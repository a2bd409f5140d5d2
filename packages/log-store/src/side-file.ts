/**
 * The side file: after each synced write it records the number of the write and the state of each written group. If LevelDB has less
 * than that at the next start, it has lost synced writes: LevelDB loses them silently if the end of its log is damaged. The side
 * file itself is not synced, and a record may be written after its write was acknowledged: an older record only detects less.
 *
 * Two slots are written in turn, so that one of them is whole even if a crash interrupts the writing:
 *
 *     0  u32  CRC-32 of all that follows, big-endian
 *     4  u32  bytes of the text
 *     8  JSON, for people to read: {"write": 17, "entries_alone": true, "groups": [...]}
 *
 * Invariants:
 * 1. A record never names a write that is not synced.
 * 2. While one slot is written, the other one is whole and contains the previous record.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { limits } from '@conclave/protocol';
import type { RecordedGroup } from './core/index.js';

const slotBytes = limits.sideFileSlotBytes;
const headerBytes = 8;
/** How long the first of several records waits. A process that is killed in this time leaves an older record. */
const recordAfterMs = 10;

/** One record: a write, and the state of the groups after it. */
export interface RecordedWrite {
  readonly write: number;
  /** Whether the write only added entries. */
  readonly entries_alone: boolean;
  readonly groups: readonly RecordedGroup[];
}

export class SideFile {
  /** The newest record that is not written yet. */
  private next: RecordedWrite | undefined;
  /** Resolves when the record is written that is being written; undefined: none is. */
  private writing: Promise<void> | undefined;
  /** Runs before the next record is written. */
  private timer: NodeJS.Timeout | undefined;

  private constructor(
    private readonly file: FileHandle,
    /** The last record of earlier runs; undefined: the file has no readable record. */
    readonly found: RecordedWrite | undefined,
    private nextSlot: number,
    private readonly onFailure: (error: unknown) => void,
  ) {}

  /**
   * Opens the file, or creates it.
   * @param onFailure called if a record could not be written. The store still works, but a loss of data might go unnoticed
   */
  static async open(path: string, onFailure: (error: unknown) => void): Promise<SideFile> {
    // `r+` needs an existing file, and `w` would empty it: so the file is first opened with `a`, which creates it if it is missing.
    const file = await open(path, 'a').then(async (created) => {
      await created.close();
      return open(path, 'r+');
    });
    const slots = await Promise.all([0, 1].map((slot) => readSlot(file, slot)));
    const newest = (slots[1]?.write ?? -1) > (slots[0]?.write ?? -1) ? 1 : 0;
    return new SideFile(file, slots[newest], 1 - newest, onFailure);
  }

  /**
   * Writes a record soon, in the background: a write that waits for the disk must not stop the process, and a further one after each
   * sync would delay the writes of clients. Of the records until then, only the newest is written.
   */
  record(write: RecordedWrite): void {
    this.next = write;
    if (this.writing === undefined) this.writeLater();
  }

  /** Resolves when the newest record is written, and the file is closed. */
  async close(): Promise<void> {
    clearTimeout(this.timer);
    await this.writing;
    clearTimeout(this.timer);
    await this.writeNext();
    await this.file.close();
  }

  private writeLater(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.writing = this.writeNext();
    }, recordAfterMs).unref();
  }

  private async writeNext(): Promise<void> {
    if (this.next === undefined) return;
    const bytes = encodeSlot(this.next);
    this.next = undefined;
    try {
      await this.file.write(bytes, 0, bytes.length, this.nextSlot * slotBytes);
      this.nextSlot = 1 - this.nextSlot;
    } catch (error) {
      this.onFailure(error);
    }
    this.writing = undefined;
    if (this.next !== undefined) this.writeLater();
  }
}

function encodeSlot({ groups, ...rest }: RecordedWrite): Uint8Array {
  let text = Buffer.from(JSON.stringify({ ...rest, groups }));
  // A record that is too large contains only some of the groups.
  for (let count = groups.length; headerBytes + text.length > slotBytes; count = Math.floor(count / 2)) {
    text = Buffer.from(JSON.stringify({ ...rest, groups: groups.slice(0, count) }));
  }
  const bytes = Buffer.alloc(headerBytes + text.length);
  bytes.writeUInt32BE(text.length, 4);
  text.copy(bytes, headerBytes);
  bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

async function readSlot(file: FileHandle, slot: number): Promise<RecordedWrite | undefined> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(slotBytes), 0, slotBytes, slot * slotBytes);
  if (bytesRead < headerBytes) return undefined;
  const end = headerBytes + buffer.readUInt32BE(4);
  if (end > bytesRead || crc32(buffer.subarray(4, end)) !== buffer.readUInt32BE(0)) return undefined;
  return JSON.parse(buffer.toString('utf8', headerBytes, end)) as RecordedWrite;
}
