/**
 * Periodically reads all that is stored, verifies its checksums, and checks that no row is missing. Otherwise damage in rows that are
 * rarely read would be found only when they are needed.
 *
 * Owns: the position of the running pass.
 *
 * Invariants:
 * 1. The scrubber reads a bounded number of bytes per second, so that it does not slow down other reads and writes.
 * 2. Damage is reported for the group that the row belongs to, like damage found by a read. An error of LevelDB does not name its row:
 *    the tables, which are checked next, show which groups it concerns. If they do not, it is reported for all groups.
 */
import { ConclaveError, type GroupId, limits } from '@conclave/protocol';
import { damageAmong, type ScrubbedRows, type StoredDamage } from './core/index.js';

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

/** What was read, or the damage that LevelDB reports instead. Neither: the scrubber was stopped. */
interface Outcome<T> {
  readonly read?: T;
  readonly damage?: StoredDamage | undefined;
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
    const rows = await this.checkRows();
    const tables = await this.untilRead(() => this.dependencies.damagedTables((bytes) => this.pace(bytes)));
    if (this.stopped) return;
    this.report(tables.read ?? []);
    if (tables.damage !== undefined) this.report([tables.damage]);
    else if (rows.damage !== undefined && tables.read?.length === 0) this.report([rows.damage]);
    if (rows.read !== undefined && tables.read !== undefined) this.dependencies.onPass(rows.read.rows, rows.read.bytes);
    this.wait(Math.max(0, this.options.intervalMs - (performance.now() - beganMs)));
  }

  /** Returns how much was read, if all could be read. */
  private async checkRows(): Promise<Outcome<{ readonly rows: number; readonly bytes: number }>> {
    const sum = { rows: 0, bytes: 0 };
    let key = '';
    while (!this.stopped) {
      const { read, damage } = await this.untilRead(() => this.dependencies.read(key, limits.scrubBytes));
      if (read === undefined) return { damage };
      this.report(damageAmong(read));
      const last = read.rows.at(-1);
      if (last === undefined) return { read: sum };
      const bytes = read.rows.reduce((all, row) => all + row.key.length + row.value.length, 0);
      key = last.key;
      sum.rows += read.rows.length;
      sum.bytes += bytes;
      await this.pace(bytes);
    }
    return {};
  }

  /** Reports damage, once in each pass: the records of a group are checked again with each of its rows. */
  private report(damage: readonly StoredDamage[]): void {
    for (const { groupId, message } of damage) {
      if (!this.reported.has(message)) this.dependencies.onDamage(groupId, message);
      this.reported.add(message);
    }
  }

  /** Tries again while nothing can be read. */
  private async untilRead<T>(read: () => Promise<T>): Promise<Outcome<T>> {
    while (!this.stopped) {
      try {
        return { read: await read() };
      } catch (error) {
        if (error instanceof ConclaveError && error.code === 'ECORRUPT') {
          return { damage: { groupId: undefined, message: error.message } };
        }
        this.dependencies.onFailure((error as Error).message);
      }
      await this.pause(this.options.retryMs);
    }
    return {};
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
