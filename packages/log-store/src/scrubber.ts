/**
 * Periodically reads all stored rows and verifies their checksums. Otherwise damage in rows that are rarely read would be found
 * only when they are needed.
 *
 * Owns: the position of the running pass.
 *
 * Invariants:
 * 1. The scrubber reads a bounded number of bytes per second, so that it does not slow down other reads and writes.
 * 2. Damage is reported for the group that the row belongs to, like damage found by a read.
 */
import { batchIsIntact, ConclaveError, type GroupId, limits, removeChecksum } from '@conclave/protocol';
import { chunkIsIntact, corrupt, groupOfKey, indexOfKey, isBatchKey, isChunkKey, type Row } from './core/index.js';

export interface ScrubberOptions {
  /** The time between the starts of two passes; 0: there are no passes. */
  readonly intervalMs: number;
  /** The time before the first pass. */
  readonly firstAfterMs: number;
  readonly bytesPerSecond: number;
  /** The time after which rows that could not be read are read again. */
  readonly retryMs: number;
}

export interface ScrubberDependencies {
  readonly rowsAfter: (key: string, maxBytes: number) => Promise<readonly Row[]>;
  /** Called if a row of this group is damaged; undefined: a row that belongs to no single group. */
  readonly onDamage: (groupId: GroupId | undefined, message: string) => void;
  /** Called when rows cannot be read now; they are read again later. */
  readonly onFailure: (message: string) => void;
  /** Called when a pass has read everything. */
  readonly onPass: (rows: number, bytes: number) => void;
}

export class Scrubber {
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(
    private readonly options: ScrubberOptions,
    private readonly dependencies: ScrubberDependencies,
  ) {}

  start(): void {
    const { intervalMs, firstAfterMs } = this.options;
    if (intervalMs > 0) this.wait(Math.min(firstAfterMs, intervalMs));
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  private wait(ms: number): void {
    // Node.js limits timers to 2^31 - 1 ms, about 25 days.
    this.timer = setTimeout(() => void this.pass(), Math.min(ms, 2 ** 31 - 1)).unref();
  }

  private async pass(): Promise<void> {
    const beganMs = performance.now();
    let key = '';
    let rowCount = 0;
    let bytes = 0;
    let isWhole = false;
    while (!this.stopped) {
      const rows = await this.rowsAfter(key);
      isWhole = rows?.length === 0;
      if (rows === undefined || isWhole) break;
      for (const row of rows) this.check(row);
      const read = rows.reduce((sum, row) => sum + row.key.length + row.value.length, 0);
      key = (rows.at(-1) as Row).key;
      rowCount += rows.length;
      bytes += read;
      await this.pause((1000 * read) / this.options.bytesPerSecond);
    }
    if (this.stopped) return;
    if (isWhole) this.dependencies.onPass(rowCount, bytes);
    this.wait(Math.max(0, this.options.intervalMs - (performance.now() - beganMs)));
  }

  /** Returns the next rows, once they can be read; undefined: they are damaged, or the scrubber was stopped. */
  private async rowsAfter(key: string): Promise<readonly Row[] | undefined> {
    while (!this.stopped) {
      try {
        return await this.dependencies.rowsAfter(key, limits.scrubBytes);
      } catch (error) {
        if (error instanceof ConclaveError && error.code === 'ECORRUPT') {
          this.dependencies.onDamage(groupOfKey(key), error.message);
          return undefined;
        }
        this.dependencies.onFailure((error as Error).message);
      }
      await this.pause(this.options.retryMs);
    }
    return undefined;
  }

  private check(row: Row): void {
    const groupId = groupOfKey(row.key);
    if (isIntact(row)) return;
    const what = 'the scrub found a damaged row (bad checksum)';
    this.dependencies.onDamage(
      groupId,
      corrupt(groupId ?? ('!' as GroupId), row.key, indexOfKey(row.key), what).message,
    );
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.timer = setTimeout(resolve, ms).unref();
    });
  }
}

function isIntact({ key, value }: Row): boolean {
  if (isBatchKey(key)) return batchIsIntact(value);
  if (isChunkKey(key)) return chunkIsIntact(value);
  try {
    removeChecksum(value);
    return true;
  } catch {
    return false;
  }
}
