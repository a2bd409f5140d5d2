/** Reads a recording, and checks all of it: the file may come from anywhere. */
import { createReadStream } from 'node:fs';
import { createGunzip, type Gunzip } from 'node:zlib';
import { ConclaveError, events, formatIssues, limits, systemErrorReason } from '@conclave/protocol';
import { RecordingHeader, ViewRecord } from './record.js';

/** A recording in memory. */
export interface Recording {
  readonly header: RecordingHeader;
  readonly records: readonly ViewRecord[];
  /** The file ends in the middle, as its writer died; what is before that is here. */
  readonly truncated: boolean;
}

/**
 * @throws ConclaveError EINVAL (not done) if it is no recording, of a newer format, larger than `limits.recordedTextBytes` or
 * `limits.recordedRecords`, or has an invalid record; the error names the line
 */
export async function readRecording(file: string): Promise<Recording> {
  const reader = new RecordingReader(file);
  const gunzip = createReadStream(file)
    .on('error', (error) => gunzip.destroy(error))
    .pipe(createGunzip());
  let truncated = false;
  try {
    for await (const chunk of gunzip) reader.chunk(chunk as Buffer);
  } catch (error) {
    if (error instanceof ConclaveError) throw error;
    // The writer died: gzip lacks its end, and the last line its rest.
    if ((error as NodeJS.ErrnoException).code !== 'Z_BUF_ERROR' || !reader.hasHeader)
      throw notRead(file, error as Error);
    truncated = true;
  } finally {
    close(gunzip);
  }
  return reader.end(truncated);
}

function close(gunzip: Gunzip): void {
  gunzip.destroy();
}

function notRead(file: string, error: Error): ConclaveError {
  const reason =
    'code' in error && String(error.code).startsWith('Z_') ? 'it is not a recording' : systemErrorReason(error);
  return new ConclaveError('EINVAL', `${file} cannot be read: ${reason}`);
}

/** Divides the text into lines, each into a record. */
class RecordingReader {
  private readonly decoder = new TextDecoder();
  private readonly records: ViewRecord[] = [];
  private header: RecordingHeader | undefined;
  private rest = '';
  private bytes = 0;
  private lines = 0;
  private lastAt = 0;

  constructor(private readonly file: string) {}

  get hasHeader(): boolean {
    return this.header !== undefined;
  }

  chunk(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.bytes > limits.recordedTextBytes) throw this.fault(`it has more than ${limits.recordedTextBytes} bytes`);
    const lines = (this.rest + this.decoder.decode(chunk, { stream: true })).split('\n');
    this.rest = lines.pop() as string;
    if (this.rest.length > limits.messageBytes) throw this.fault('a line is too long');
    for (const line of lines) this.line(line);
  }

  end(truncated: boolean): Recording {
    if (!truncated && this.rest !== '') this.line(this.rest);
    if (this.header === undefined) throw this.fault('it is empty');
    return { header: this.header, records: this.records, truncated };
  }

  private line(text: string): void {
    this.lines += 1;
    const value = this.parse(text);
    if (this.header === undefined) {
      const header = RecordingHeader.safeParse(value);
      if (!header.success) throw this.fault('it is not a recording, or one of a newer format');
      this.header = header.data;
      return;
    }
    const record = ViewRecord.safeParse(value);
    if (!record.success) throw this.fault(`line ${this.lines}: ${formatIssues(record.error.issues, 'the record')}`);
    this.add(record.data);
  }

  private add(record: ViewRecord): void {
    if (record.at < this.lastAt) throw this.fault(`line ${this.lines}: its time is before that of the line above`);
    if (record.kind === 'event' && Object.hasOwn(events, record.name)) {
      const body = events[record.name as keyof typeof events].schema.safeParse(record.body);
      if (!body.success) throw this.fault(`line ${this.lines}: ${formatIssues(body.error.issues, 'the event')}`);
    }
    if (this.records.length >= limits.recordedRecords)
      throw this.fault(`it has over ${limits.recordedRecords} records`);
    this.lastAt = record.at;
    this.records.push(record);
  }

  private parse(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch {
      throw this.fault(`line ${this.lines} is not JSON`);
    }
  }

  private fault(text: string): ConclaveError {
    return new ConclaveError('EINVAL', `${this.file} cannot be read: ${text}`);
  }
}
