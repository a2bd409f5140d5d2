/**
 * Reads all that is stored, from time to time, and checks it: what nobody reads would be found damaged only when it is needed.
 *
 * Owns: how far the pass under way has come. Invariants:
 * 1. It reads a bounded number of bytes a second, so that the disk is left to writes and reads.
 * 2. A finding is reported for the group that the row belongs to, as damage found by a read is.
 */
import { batchIsIntact, ConclaveError, type GroupId, limits, unseal } from '@conclave/protocol';
import { chunkIsIntact, corrupt, groupOfKey, indexOfKey, isBatchKey, isChunkKey, type Row } from './core/index.js';

export interface ScrubberOptions {
  /** Between the beginnings of two passes; 0: never. */
  readonly intervalMs: number;
  /** Before the first one. */
  readonly firstAfterMs: number;
  readonly bytesPerSecond: number;
}

export interface ScrubberDependencies {
  readonly rowsBehind: (key: string, maxBytes: number) => Promise<readonly Row[]>;
  /** Something of this group is damaged; undefined: of what all groups share. */
  readonly onDamage: (groupId: GroupId | undefined, message: string) => void;
  /** A pass is over. */
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
    // Node's timers end below 25 days.
    this.timer = setTimeout(() => void this.pass(), Math.min(ms, 2 ** 31 - 1)).unref();
  }

  private async pass(): Promise<void> {
    const beganMs = performance.now();
    let key = '';
    let rowCount = 0;
    let bytes = 0;
    while (!this.stopped) {
      const rows = await this.piece(key);
      if (rows === undefined || rows.length === 0) break;
      for (const row of rows) this.check(row);
      const read = rows.reduce((sum, row) => sum + row.key.length + row.value.length, 0);
      key = (rows.at(-1) as Row).key;
      rowCount += rows.length;
      bytes += read;
      await this.pause((1000 * read) / this.options.bytesPerSecond);
    }
    if (this.stopped) return;
    this.dependencies.onPass(rowCount, bytes);
    this.wait(Math.max(0, this.options.intervalMs - (performance.now() - beganMs)));
  }

  /** The next rows; undefined where they cannot be read. */
  private async piece(key: string): Promise<readonly Row[] | undefined> {
    try {
      return await this.dependencies.rowsBehind(key, limits.scrubBytes);
    } catch (error) {
      if (error instanceof ConclaveError && error.code === 'ECORRUPT') {
        this.dependencies.onDamage(groupOfKey(key), error.message);
      }
      // Anything else concerns reads and writes as well, which say so.
      return undefined;
    }
  }

  private check(row: Row): void {
    const groupId = groupOfKey(row.key);
    if (isIntact(row)) return;
    const what = 'what is stored is damaged (bad checksum), as the scrub has found';
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
    unseal(value);
    return true;
  } catch {
    return false;
  }
}
