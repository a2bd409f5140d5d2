/** The newest records of a run, and how many older ones were dropped: a run that fails ends with what it failed with. */
import { limits } from '@conclave/protocol';
import { RecordWriter, type ViewRecord } from '@conclave/view/records';

export class KeptRecords {
  private records: ViewRecord[] = [];
  private dropped = 0;

  /** @param most records, at least; up to a quarter more are in memory */
  constructor(private readonly maxRecords: number = limits.recordedRecords - 2) {}

  add(record: ViewRecord): void {
    this.records.push(record);
    if (this.records.length > this.maxRecords * 1.25) this.trim();
  }

  /** Returns the newest records, after a record of those that are missing. */
  get newest(): readonly ViewRecord[] {
    this.trim();
    const [first] = this.records;
    if (this.dropped === 0 || first === undefined) return this.records;
    const text = 'the beginning of the run: its recording has reached its bound';
    return [{ at: first.at, kind: 'lost', count: this.dropped, text }, ...this.records];
  }

  private trim(): void {
    const surplus = this.records.length - this.maxRecords;
    if (surplus <= 0) return;
    this.records = this.records.slice(surplus);
    this.dropped += surplus;
  }
}

/**
 * Writes a recording of a run.
 * @returns how many records it has
 * @throws Error of the file system; ConclaveError EIO
 */
export async function writeRecords(
  file: string,
  title: string,
  version: string,
  records: readonly ViewRecord[],
): Promise<number> {
  const header = { title, group: 'main', time: 'virtual', version } as const;
  const writer = await RecordWriter.create({ file, header });
  writer.write(records);
  await writer.close();
  return writer.records;
}
