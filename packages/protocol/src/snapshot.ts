/**
 * Snapshots: the state after an entry, which replaces all entries up to it.
 *
 * A snapshot is divided into chunks once, by the peer that takes it; the same bytes are stored, sent and read. Layout of a chunk,
 * big-endian:
 *
 *     0  u32  CRC-32 of all that follows
 *     4  u8   version: 1 at feature level 0, else 2; the first version of Conclave accepts only version 1
 *     5  u8   1 if the last piece in it continues in the next chunk, else 0
 *     6  u16  the feature level of the group; of version 1: 0
 *     8  u64  index of the snapshot
 *    16  u32  number of the chunk, from 0
 *    20  pieces of the state machine, or parts of one: u32 length, then the bytes
 */
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { Configuration, levelOf } from './configuration.js';
import { ConclaveError, invariant } from './errors.js';
import { limits } from './limits.js';
import { Count, LogIndex, Term } from './types.js';

/** Identifies a snapshot: two peers' snapshots of the same entry have different ids. */
export const SnapshotId = z.string().min(1).max(limits.idBytes);
export type SnapshotId = z.infer<typeof SnapshotId>;

/** The head of a snapshot, beside its chunks. */
export const SnapshotHead = z.object({
  /** Of the last entry that it covers. */
  index: LogIndex,
  term: Term,
  /** The configurations up to there that are still known, oldest first; the last one is effective. */
  configurations: z
    .array(z.object({ index: LogIndex, configuration: Configuration }))
    .min(1)
    .max(limits.reportedConfigurations + 1),
  chunks: Count,
  /** All chunks together. */
  bytes: Count,
  /** CRC-32 over all chunks, one after the other. */
  checksum: Count,
});
export type SnapshotHead = z.infer<typeof SnapshotHead>;

/** The feature level that a reader of the snapshot must have. */
export function snapshotLevel({ configurations }: Pick<SnapshotHead, 'configurations'>): number {
  return levelOf(configurations.at(-1)?.configuration);
}

const headerBytes = 20;
const versionOfLevel0 = 1;
const versionOfLevels = 2;

/** A decoded chunk. */
export interface SnapshotChunk {
  readonly index: number;
  readonly number: number;
  /** Pieces, or parts of one, as views. */
  readonly parts: readonly Uint8Array[];
  /** Whether the last part continues in the next chunk. */
  readonly continues: boolean;
}

/** Divides pieces into chunks of at most `chunkBytes` bytes. */
export class SnapshotChunker {
  private parts: Uint8Array[] = [];
  private bytes = headerBytes;
  private number = 0;
  private total = 0;
  private checksum = 0;
  private readonly full: Uint8Array[] = [];

  constructor(
    private readonly index: LogIndex,
    private readonly chunkBytes: number = limits.snapshotChunkBytes,
    /** The group's feature level. */
    private readonly level: number = 0,
  ) {
    invariant(chunkBytes > headerBytes + 4, 'a chunk has room for something');
    invariant(chunkBytes <= limits.snapshotChunkBytes, 'a chunk is as large as its bound at most');
  }

  /** Chunks so far, their bytes, and the CRC-32 over them. */
  get sum(): Pick<SnapshotHead, 'chunks' | 'bytes' | 'checksum'> {
    return { chunks: this.number, bytes: this.total, checksum: this.checksum };
  }

  /** Adds a piece. @returns the chunks that are full now */
  add(piece: Uint8Array): Uint8Array[] {
    let rest = piece;
    for (;;) {
      const room = this.chunkBytes - this.bytes - 4;
      if (rest.length <= room) {
        this.push(rest);
        break;
      }
      if (room > 0) {
        this.push(rest.subarray(0, room));
        rest = rest.subarray(room);
        this.close(true);
      } else this.close(false);
    }
    return this.full.splice(0);
  }

  /** There are no more pieces. @returns the last chunk, if there is one. A snapshot has at least one. */
  end(): Uint8Array[] {
    if (this.parts.length > 0 || this.number === 0) this.close(false);
    return this.full.splice(0);
  }

  private push(part: Uint8Array): void {
    this.parts.push(part);
    this.bytes += 4 + part.length;
  }

  private close(continues: boolean): void {
    const chunk = new Uint8Array(this.bytes);
    const view = new DataView(chunk.buffer);
    view.setUint8(4, this.level === 0 ? versionOfLevel0 : versionOfLevels);
    view.setUint8(5, continues ? 1 : 0);
    view.setUint16(6, this.level);
    view.setBigUint64(8, BigInt(this.index));
    view.setUint32(16, this.number);
    let at = headerBytes;
    for (const part of this.parts) {
      view.setUint32(at, part.length);
      chunk.set(part, at + 4);
      at += 4 + part.length;
    }
    view.setUint32(0, crc32(chunk.subarray(4)));
    this.number += 1;
    this.total += chunk.length;
    this.checksum = crc32(chunk, this.checksum);
    this.full.push(chunk);
    this.parts = [];
    this.bytes = headerBytes;
  }
}

/**
 * Decodes a chunk.
 * @throws ConclaveError ECORRUPT unless it is complete and intact
 */
export function decodeSnapshotChunk(bytes: Uint8Array): SnapshotChunk {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isWhole = bytes.length >= headerBytes && view.getUint32(0) === crc32(bytes.subarray(4));
  const version = isWhole ? view.getUint8(4) : 0;
  if (version !== versionOfLevel0 && version !== versionOfLevels) {
    throw new ConclaveError('ECORRUPT', 'a chunk of a snapshot is damaged');
  }
  const parts: Uint8Array[] = [];
  let at = headerBytes;
  while (at < bytes.length) {
    const from = at + 4;
    at = from > bytes.length ? Number.POSITIVE_INFINITY : from + view.getUint32(at);
    if (at > bytes.length) throw new ConclaveError('ECORRUPT', 'a chunk of a snapshot is cut short');
    parts.push(bytes.subarray(from, at));
  }
  return {
    index: Number(view.getBigUint64(8)),
    number: view.getUint32(16),
    parts,
    continues: view.getUint8(5) === 1,
  };
}

/** The CRC-32 over chunks, continued. */
export function snapshotChecksum(chunk: Uint8Array, before: number): number {
  return crc32(chunk, before);
}

/** Assembles pieces from the parts in chunks. */
export class SnapshotAssembler {
  private open: Uint8Array[] = [];
  private next = 0;

  constructor(private readonly index: LogIndex) {}

  /**
   * Adds the next chunk.
   * @returns the pieces that are complete now
   * @throws ConclaveError ECORRUPT if it is damaged, or not the next one
   */
  add(bytes: Uint8Array): Uint8Array[] {
    const { index, number, parts, continues } = decodeSnapshotChunk(bytes);
    if (index !== this.index || number !== this.next) {
      throw new ConclaveError('ECORRUPT', `chunk ${number} of snapshot ${index} is where chunk ${this.next} should be`);
    }
    this.next += 1;
    const pieces: Uint8Array[] = [];
    for (const [place, part] of parts.entries()) {
      this.open.push(part);
      if (continues && place === parts.length - 1) break;
      pieces.push(this.open.length === 1 ? part : concatenated(this.open));
      this.open = [];
    }
    return pieces;
  }

  /** Whether no piece is incomplete. */
  get isWhole(): boolean {
    return this.open.length === 0;
  }
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  invariant(at === bytes.length, 'all parts are in the piece');
  return bytes;
}

/** The percentage of a snapshot that is done, rounded down. */
export function snapshotPercent(done: number, chunks: number): number {
  return chunks === 0 ? 0 : Math.floor((100 * Math.min(done, chunks)) / chunks);
}
