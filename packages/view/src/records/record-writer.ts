/**
 * Writes a recording: gzip of lines of JSON, first the header, then a record per line.
 *
 * Invariants:
 * 1. A file has at most `limits.recordedRecords` records, and at most `maxBytes` compressed bytes beyond its last flush.
 * 2. What was written before the last flush can be read even if the process dies.
 */
import { createWriteStream, type WriteStream } from 'node:fs';
import { constants, createGzip, type Gzip } from 'node:zlib';
import { limits, systemErrorReason } from '@conclave/protocol';
import { type RecordingHeader, recordVersion, type ViewRecord } from './record.js';

export interface RecordWriterOptions {
  readonly file: string;
  readonly header: Omit<RecordingHeader, 'conclave_records'>;
  /** Compressed; `limits.recordingBytes` by default. */
  readonly maxBytes?: number | undefined;
}

/** Records between two flushes. */
const flushRecords = 2000;

export class RecordWriter {
  /** How many records are in the file. */
  records = 0;
  private readonly gzip: Gzip;
  private readonly out: WriteStream;
  private readonly maxBytes: number;
  private compressed = 0;
  /** Written, and not compressed yet: uncompressed bytes, which the compressed ones do not exceed. */
  private pending = 0;
  private full = false;
  private lastAt = 0;
  private failure: Error | undefined;
  private readonly closed: Promise<void>;

  private constructor({ file, header, maxBytes = limits.recordingBytes }: RecordWriterOptions) {
    this.maxBytes = maxBytes;
    this.out = createWriteStream(file, { mode: 0o600 });
    this.gzip = createGzip();
    this.gzip.on('data', (chunk: Buffer) => {
      this.compressed += chunk.length;
    });
    this.closed = new Promise((resolve) => this.out.once('close', resolve));
    for (const stream of [this.gzip, this.out]) {
      stream.on('error', (error: Error) => {
        // The error of a write names no file.
        this.failure ??= new Error(`${file} cannot be written: ${systemErrorReason(error)}`);
        this.out.destroy();
      });
    }
    this.gzip.pipe(this.out);
    this.line({ conclave_records: recordVersion, ...header });
  }

  /**
   * Creates or replaces the file.
   * @throws Error of the file system
   */
  static async create(options: RecordWriterOptions): Promise<RecordWriter> {
    const writer = new RecordWriter(options);
    await new Promise<void>((resolve, reject) => {
      writer.out.once('open', () => resolve());
      writer.out.once('error', reject);
    });
    return writer;
  }

  /** Whether a bound is reached: nothing more is written. */
  get isFull(): boolean {
    return this.full;
  }

  /**
   * Adds records; the one that would exceed a bound and those after it are left out, and a `lost` record replaces them.
   * @returns whether there is room for more
   * @throws Error of the file system if the file can no longer be written
   */
  write(records: readonly ViewRecord[]): boolean {
    if (this.failure !== undefined) throw this.failure;
    for (const record of records) {
      if (this.full) break;
      if (this.records >= limits.recordedRecords - 1 || this.compressed + this.pending / 4 >= this.maxBytes) this.end();
      else this.add(record);
    }
    return !this.full;
  }

  /** Writes what is left, closes the file, and returns its size in bytes. */
  async close(): Promise<number> {
    this.gzip.end();
    await this.closed;
    if (this.failure !== undefined) throw this.failure;
    return this.compressed;
  }

  private end(): void {
    this.full = true;
    this.add({
      at: this.lastAt,
      kind: 'lost',
      count: 0,
      text: 'the recording ends here: its file has reached its bound',
    });
  }

  private add(record: ViewRecord): void {
    this.lastAt = record.at;
    this.records += 1;
    this.line(record);
    if (this.records % flushRecords === 0) this.flush();
  }

  /** Makes what was written readable, even if this process dies. */
  flush(): void {
    if (this.pending === 0) return;
    this.gzip.flush(constants.Z_SYNC_FLUSH, () => {
      this.pending = 0;
    });
  }

  private line(value: unknown): void {
    const text = `${JSON.stringify(value)}\n`;
    this.pending += text.length;
    this.gzip.write(text);
  }
}
