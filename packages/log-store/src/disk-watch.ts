/**
 * Measures every second how much room the disk has that the data are on, and looks whether their files are still there, for
 * all groups of a process.
 *
 * Invariants:
 * 1. At most one measurement is under way, so that a disk that hangs is not asked again and again.
 * 2. While one takes too long, the listeners are told so each time that the next one was due.
 */
import { statfs } from 'node:fs/promises';
import type { FolderFault } from './folder-watch.js';

export interface DiskWatchOptions {
  /** The data folder. */
  readonly folder: string;
  /** With less room than this the disk counts as full. */
  readonly reserveBytes: number;
  readonly everyMs?: number;
  /** A measurement that takes longer says that the disk hangs. */
  readonly hangsAfterMs?: number;
  /** Says what keeps the store's files from being used now. */
  readonly fault?: () => Promise<FolderFault | undefined>;
  /** Told where the disk cannot be measured; once, until it can be again. */
  readonly warn?: (text: string, fields: Readonly<Record<string, unknown>>) => void;
}

const usualEveryMs = 1000;
/** Longer than a disk in use takes for one sync, on a machine that has little time to spare. */
const usualHangsAfterMs = 5000;

/** What was found: how much room there is, and what is wrong besides. */
export interface DiskFound {
  readonly freeBytes: number;
  readonly fault: FolderFault | undefined;
}

type Listener = (found: DiskFound) => void;

export class DiskWatch {
  private readonly listeners = new Set<Listener>();
  private timer: NodeJS.Timeout | undefined;
  private last: DiskFound | undefined;
  private measuring: { readonly sinceMs: number } | undefined;
  private fails = false;

  constructor(private readonly options: DiskWatchOptions) {}

  get reserveBytes(): number {
    return this.options.reserveBytes;
  }

  /** Tells at once what was measured last, and then each measurement. Answers what ends that. */
  watch(listener: Listener): () => void {
    this.listeners.add(listener);
    if (this.last !== undefined) listener(this.last);
    this.timer ??= this.begin();
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size > 0) return;
      clearInterval(this.timer);
      this.timer = undefined;
    };
  }

  private begin(): NodeJS.Timeout {
    this.measureOnce();
    return setInterval(() => this.measureOnce(), this.options.everyMs ?? usualEveryMs).unref();
  }

  private measureOnce(): void {
    if (this.measuring !== undefined) return this.tellOfHanging(performance.now() - this.measuring.sinceMs);
    this.measuring = { sinceMs: performance.now() };
    void this.measure().finally(() => {
      this.measuring = undefined;
    });
  }

  private tellOfHanging(forMs: number): void {
    if (this.last === undefined || forMs < (this.options.hangsAfterMs ?? usualHangsAfterMs)) return;
    const message = `the disk of the data folder hangs: it has stored nothing for ${Math.floor(forMs / 1000)} s; look at it (dmesg)`;
    this.tell({ freeBytes: this.last.freeBytes, fault: { type: 'trouble', message, stopsWrites: true } });
  }

  private tell(found: DiskFound): void {
    this.last = found;
    for (const listener of this.listeners) listener(found);
  }

  private async room(): Promise<number> {
    const { bavail, bsize } = await statfs(this.options.folder);
    return bavail * bsize;
  }

  private async measure(): Promise<void> {
    try {
      const fault = await this.options.fault?.();
      // Without its folder there is nothing to measure.
      const freeBytes = fault?.type === 'gone' ? 0 : await this.room();
      this.fails = false;
      this.tell({ freeBytes, fault });
    } catch (error) {
      if (!this.fails) this.options.warn?.('the room on the disk cannot be told', { error: String(error) });
      this.fails = true;
    }
  }
}
