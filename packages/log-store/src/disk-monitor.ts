/**
 * Measures the free space of the data folder's disk every second, and checks that the store's files still exist, for all groups
 * of a process.
 *
 * Invariants:
 * 1. At most one measurement runs at a time, so that measurements do not pile up while the disk hangs.
 * 2. If a measurement takes too long, the listeners are notified each time that another measurement would be due.
 * 3. Each measurement notifies the listeners, also one that fails: its failure is a fault.
 */
import { statfs } from 'node:fs/promises';
import type { FolderFault } from './data-folder-monitor.js';
import { folderBytes } from './folder-size.js';
import { problemOf } from './storage-unavailable.js';

export interface DiskMonitorOptions {
  /** The data folder. */
  readonly folder: string;
  /** With less free space than this, the disk counts as full. */
  readonly reserveBytes: number;
  /** The folder of the store's files. One of ten measurements measures its size; undefined: none does. */
  readonly storeFolder?: string;
  readonly everyMs?: number;
  /** A measurement that takes longer means that the disk hangs. */
  readonly hangsAfterMs?: number;
  /** Returns why the store's files cannot be used now; undefined: they can. */
  readonly fault?: () => Promise<FolderFault | undefined>;
  /** Called if the size of the store cannot be measured, and again only after a measurement has succeeded. */
  readonly warn?: (text: string, fields: Readonly<Record<string, unknown>>) => void;
}

const defaultEveryMs = 1000;
/** Of this many measurements, one measures the size of the store. */
const storeEvery = 10;
/** One sync of a busy disk on a slow machine takes less. */
export const defaultHangsAfterMs = 5000;

/** @param forMs how long a write or sync has been waiting */
export function diskHangs(forMs: number): string {
  return `the disk of the data folder hangs: it has stored nothing for ${Math.floor(forMs / 1000)} s; check it (dmesg)`;
}

/** The free space, and what else is wrong. */
export interface DiskReport {
  /** Undefined: it cannot be measured now. */
  readonly freeBytes: number | undefined;
  readonly fault: FolderFault | undefined;
}

type Listener = (found: DiskReport) => void;

export class DiskMonitor {
  private readonly listeners = new Set<Listener>();
  private timer: NodeJS.Timeout | undefined;
  private last: DiskReport | undefined;
  private measuredBytes: number | undefined;
  private measuring: { readonly sinceMs: number } | undefined;
  private hasFailed = false;
  private measured = 0;
  private size: number | undefined;

  constructor(private readonly options: DiskMonitorOptions) {}

  /** The free space, as last measured; undefined: not yet. */
  get freeBytes(): number | undefined {
    return this.measuredBytes;
  }

  /** The size of the store's files, as last measured; undefined: not yet. */
  get storeBytes(): number | undefined {
    return this.size;
  }

  get reserveBytes(): number {
    return this.options.reserveBytes;
  }

  /** Calls the listener with the last measurement, and then with each new one. @returns a function that removes the listener */
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
    return setInterval(() => this.measureOnce(), this.options.everyMs ?? defaultEveryMs).unref();
  }

  private measureOnce(): void {
    if (this.measuring !== undefined) return this.notifyHanging(performance.now() - this.measuring.sinceMs);
    this.measuring = { sinceMs: performance.now() };
    void this.measure().finally(() => {
      this.measuring = undefined;
    });
  }

  private notifyHanging(forMs: number): void {
    if (forMs < (this.options.hangsAfterMs ?? defaultHangsAfterMs)) return;
    const fault = { type: 'problem', message: diskHangs(forMs), stopsWrites: true } as const;
    this.notify({ freeBytes: undefined, fault });
  }

  private notify(found: DiskReport): void {
    this.last = found;
    this.measuredBytes = found.freeBytes ?? this.measuredBytes;
    for (const listener of this.listeners) listener(found);
  }

  private async measure(): Promise<void> {
    const fault = await this.folderFault();
    const free = await this.freeSpace();
    if (typeof free === 'number') this.notify({ freeBytes: free, fault });
    else this.notify({ freeBytes: undefined, fault: fault ?? free });
    // If the data folder is gone, the disk would be another one, and so would the store.
    if (fault?.type !== 'gone') await this.measureStore();
  }

  /** Returns the free space in bytes, or why it cannot be measured. */
  private async freeSpace(): Promise<number | FolderFault> {
    try {
      const { bavail, bsize } = await statfs(this.options.folder);
      return bavail * bsize;
    } catch (error) {
      return cannotMeasure(error);
    }
  }

  private async folderFault(): Promise<FolderFault | undefined> {
    try {
      return await this.options.fault?.();
    } catch (error) {
      return cannotMeasure(error);
    }
  }

  private async measureStore(): Promise<void> {
    const { storeFolder } = this.options;
    this.measured += 1;
    if (storeFolder === undefined || this.measured % storeEvery !== 1) return;
    try {
      this.size = await folderBytes(storeFolder);
      this.hasFailed = false;
    } catch (error) {
      if (!this.hasFailed) {
        this.options.warn?.('the size of the store cannot be measured', { error: String(error) });
      }
      this.hasFailed = true;
    }
  }
}

function cannotMeasure(error: unknown): FolderFault {
  const why = problemOf(error as NodeJS.ErrnoException);
  return { type: 'problem', message: `the disk of the data folder cannot be measured: ${why}`, stopsWrites: false };
}
