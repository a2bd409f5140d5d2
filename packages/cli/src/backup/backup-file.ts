/**
 * A backup as a file: a line that names the format, then records, each a length (u32, big-endian) and that many bytes. The first
 * record is the head with a checksum; the others are the chunks of the snapshot as they were stored, in order.
 */
import { randomUUID } from 'node:crypto';
import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';
import {
  addChecksum,
  BackupHead,
  ConclaveError,
  decodeSnapshotChunk,
  LogIndex,
  removeChecksum,
  SnapshotAssembler,
  snapshotChecksum,
  systemErrorReason,
} from '@conclave/protocol';
import { checkFolder } from '../writable-file.js';
import { PiecesDigest } from './pieces-digest.js';

const firstLine = Buffer.from('conclave backup 1\n');
/** The largest size of a record: a chunk and the head are far smaller. */
const maxBytes = 64 * 1024 * 1024;

/** Writes a backup. The file has another name until it is complete, so that a file with the final name is a complete backup. */
export class BackupWriter {
  private chunks = 0;

  private constructor(
    private readonly file: FileHandle,
    private readonly path: string,
    private readonly partPath: string,
    private readonly head: BackupHead,
  ) {}

  /** @throws Error if there is something at the path that is not a regular file: a backup must not replace a device, for example */
  static async create(namedPath: string, head: BackupHead): Promise<BackupWriter> {
    const path = await replaceablePath(namedPath);
    // Another backup to the same path may be in progress.
    const partPath = `${path}.${randomUUID()}.part`;
    // A backup contains all values.
    const file = await open(partPath, 'wx', 0o600);
    const writer = new BackupWriter(file, path, partPath, head);
    try {
      await writer.write(firstLine);
      await writer.record(addChecksum(head));
      return writer;
    } catch (error) {
      await writer.abandon();
      throw error;
    }
  }

  async add(chunk: Uint8Array): Promise<void> {
    this.chunks += 1;
    await this.record(chunk);
  }

  /**
   * Called after all chunks: syncs the file, reads it again, and renames it to its final name. An earlier backup of that name is
   * replaced only now.
   * @returns the digest of the state in it
   */
  async end(): Promise<string> {
    if (this.chunks !== this.head.head.chunks) throw new ConclaveError('EINVAL', 'a backup has all chunks or none');
    await this.file.sync();
    await this.file.close();
    const reader = await BackupReader.open(this.partPath);
    const digest = await reader.check().finally(() => reader.close());
    await rename(this.partPath, this.path);
    return digest;
  }

  /** Deletes the incomplete file. */
  async abandon(): Promise<void> {
    await this.file.close();
    await rm(this.partPath, { force: true });
  }

  private async record(bytes: Uint8Array): Promise<void> {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    // `write` may write only a part, as on a disk that is almost full.
    await this.write(length);
    await this.write(bytes);
  }

  private async write(bytes: Uint8Array): Promise<void> {
    try {
      await this.file.writeFile(bytes);
    } catch (error) {
      // The error of a write names no file.
      throw new Error(`${this.path} cannot be written: ${systemErrorReason(error)}`);
    }
  }
}

/**
 * Checks that a backup can be written to a path, before a snapshot is taken for it.
 * @throws Error if it is known now that it cannot be
 */
export async function checkReplaceable(namedPath: string): Promise<void> {
  await checkFolder(await replaceablePath(namedPath));
}

/** Returns the path of the regular file that a path names, also by a link; the path itself if there is no file yet. */
async function replaceablePath(path: string): Promise<string> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
  if (found === undefined) return path;
  if (!found.isFile()) throw new Error(`${path} is not a regular file: name another one`);
  return realpath(path);
}

/**
 * Opens a backup.
 * @throws ConclaveError ECORRUPT if the file is not a backup, or is damaged
 */
export class BackupReader {
  private constructor(
    private readonly file: FileHandle,
    readonly head: BackupHead,
    private readonly begin: number,
  ) {}

  static async open(path: string): Promise<BackupReader> {
    const file = await open(path, 'r');
    try {
      const line = Buffer.alloc(firstLine.length);
      await file.read(line, 0, line.length, 0);
      // A file that is shorter than the first line is not a backup either.
      if (!line.equals(firstLine)) throw damaged(`${path} is no backup of Conclave`);
      const { bytes, next } = await readRecord(file, firstLine.length);
      const head = BackupHead.safeParse(unsealed(bytes));
      if (!head.success) throw damaged(`the head of ${path} is damaged`);
      return new BackupReader(file, head.data, next);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Returns the chunks, each of which is intact.
   * @throws ConclaveError ECORRUPT if a chunk is damaged or missing, or if anything follows the last one
   */
  async *chunks(): AsyncGenerator<Uint8Array, void> {
    let at = this.begin;
    for (let number = 0; number < this.head.head.chunks; number++) {
      const { bytes, next } = await readRecord(this.file, at);
      const chunk = decodeSnapshotChunk(bytes);
      if (chunk.number !== number || chunk.index !== this.head.head.index) throw damaged(`chunk ${number} is another`);
      yield bytes;
      at = next;
    }
    const { size } = await this.file.stat();
    if (size !== at) throw damaged(`the backup continues for ${size - at} bytes after its last chunk`);
  }

  /**
   * Reads the whole backup. Returns the digest of the state in it.
   * @throws ConclaveError ECORRUPT if its content does not match its head
   */
  async check(): Promise<string> {
    const { head } = this.head;
    const digest = new PiecesDigest();
    const assembler = new SnapshotAssembler(LogIndex.parse(head.index));
    let [bytes, checksum] = [0, 0];
    for await (const chunk of this.chunks()) {
      bytes += chunk.length;
      checksum = snapshotChecksum(chunk, checksum);
      for (const piece of assembler.add(chunk)) digest.add(piece);
    }
    if (bytes !== head.bytes || checksum !== head.checksum || !assembler.isWhole) {
      throw damaged('the content of the backup does not match its head');
    }
    return digest.end();
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

async function readRecord(file: FileHandle, at: number): Promise<{ bytes: Buffer; next: number }> {
  const length = (await read(file, at, 4)).readUInt32BE();
  if (length > maxBytes) throw damaged('a record is longer than any can be');
  return { bytes: await read(file, at + 4, length), next: at + 4 + length };
}

async function read(file: FileHandle, at: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await file.read(bytes, 0, length, at);
  if (bytesRead < length) throw damaged('the backup is cut short');
  return bytes;
}

function unsealed(bytes: Uint8Array): unknown {
  try {
    return removeChecksum(bytes);
  } catch {
    throw damaged('the head of the backup is damaged (bad checksum)');
  }
}

function damaged(what: string): ConclaveError {
  return new ConclaveError('ECORRUPT', what);
}
