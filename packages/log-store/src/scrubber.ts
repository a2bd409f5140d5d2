/**
 * Periodically reads all that is stored, verifies its checksums, and checks that no row is missing. Otherwise damage in rows that are
 * rarely read would be found only when they are needed.
 *
 * Owns: the position of the running pass.
 *
 * Invariants:
 * 1. The scrubber reads a bounded number of bytes per second, so that it does not slow down other reads and writes.
 * 2. Damage is reported for the group that the row belongs to, like damage found by a read.
 */
import { ConclaveError, type GroupId, limits } from '@conclave/protocol';
import { damageAmong, groupOfKey, type ScrubbedRows, type StoredDamage } from './core/index.js';

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
  /** Reads the rows after a key; empty: from the first row on. */
  readonly read: (key: string, maxBytes: number) => Promise<ScrubbedRows>;
  /** Verifies the checksums of the files; `onRead` returns whether to continue. */
  readonly damagedTables: (onRead: (bytes: number) => Promise<boolean>) => Promise<readonly StoredDamage[]>;
  /** Called once in a pass for all that is damaged or missing; undefined: it belongs to no single group. */
  readonly onDamage: (groupId: GroupId | undefined, message: string) => void;
  /** Called when rows cannot be read now; they are read again later. */
  readonly onFailure: (message: string) => void;
  /** Called when a pass has read everything. */
  readonly onPass: (rows: number, bytes: number) => void;
}

export class Scrubber {
  private timer: NodeJS.Timeout | undefined;
  private endPause = (): void => {};
  private stopped = false;
  /** The messages of this pass. */
  private readonly reported = new Set<string>();
  /** Bytes that were read since the last pause. */
  private unpaced = 0;

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
    this.endPause();
  }

  private wait(ms: number): void {
    // Node.js limits timers to 2^31 - 1 ms, about 25 days.
    this.timer = setTimeout(() => void this.pass(), Math.min(ms, 2 ** 31 - 1)).unref();
  }

  private async pass(): Promise<void> {
    const beganMs = performance.now();
    this.reported.clear();
    const read = await this.checkRows();
    const tables = await this.untilRead(undefined, () => this.dependencies.damagedTables((bytes) => this.pace(bytes)));
    this.report(tables ?? []);
    if (this.stopped) return;
    if (read !== undefined && tables !== undefined) this.dependencies.onPass(read.rows, read.bytes);
    this.wait(Math.max(0, this.options.intervalMs - (performance.now() - beganMs)));
  }

  /** Returns how much was read; undefined: not all could be read. */
  private async checkRows(): Promise<{ readonly rows: number; readonly bytes: number } | undefined> {
    const sum = { rows: 0, bytes: 0 };
    let key = '';
    while (!this.stopped) {
      const read = await this.untilRead(groupOfKey(key), () => this.dependencies.read(key, limits.scrubBytes));
      if (read === undefined) return undefined;
      this.report(damageAmong(read));
      const last = read.rows.at(-1);
      if (last === undefined) return sum;
      const bytes = read.rows.reduce((all, row) => all + row.key.length + row.value.length, 0);
      key = last.key;
      sum.rows += read.rows.length;
      sum.bytes += bytes;
      await this.pace(bytes);
    }
    return undefined;
  }

  /** Reports damage, once in each pass: the records of a group are checked again with each of its rows. */
  private report(damage: readonly StoredDamage[]): void {
    for (const { groupId, message } of damage) {
      if (!this.reported.has(message)) this.dependencies.onDamage(groupId, message);
      this.reported.add(message);
    }
  }

  /** Tries again while nothing can be read. Returns undefined if LevelDB reports damage, or the scrubber was stopped. */
  private async untilRead<T>(groupId: GroupId | undefined, read: () => Promise<T>): Promise<T | undefined> {
    while (!this.stopped) {
      try {
        return await read();
      } catch (error) {
        if (error instanceof ConclaveError && error.code === 'ECORRUPT') {
          this.report([{ groupId, message: error.message }]);
          return undefined;
        }
        this.dependencies.onFailure((error as Error).message);
      }
      await this.pause(this.options.retryMs);
    }
    return undefined;
  }

  /** Waits until this many more bytes may be read. Small reads wait together. Returns whether to continue. */
  private async pace(bytes: number): Promise<boolean> {
    this.unpaced += bytes;
    if (this.unpaced >= limits.scrubBytes) {
      const ms = (1000 * this.unpaced) / this.options.bytesPerSecond;
      this.unpaced = 0;
      await this.pause(ms);
    }
    return !this.stopped;
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.endPause = resolve;
      this.timer = setTimeout(resolve, ms).unref();
    });
  }
}
