/**
 * Measures the free space of the data folder's disk every second, and checks that the store's files still exist, for all groups
 * of a process.
 *
 * Invariants:
 * 1. At most one measurement runs at a time, so that measurements do not pile up while the disk hangs.
 * 2. If a measurement takes too long, the listeners are notified each time that another measurement would be due.
 */
import { statfs } from 'node:fs/promises';
import type { FolderFault } from './data-folder-monitor.js';
import { folderBytes } from './folder-size.js';

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
  /** Called if the disk cannot be measured, and again only after a measurement has succeeded. */
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
  readonly freeBytes: number;
  readonly fault: FolderFault | undefined;
}

type Listener = (found: DiskReport) => void;

export class DiskMonitor {
  private readonly listeners = new Set<Listener>();
  private timer: NodeJS.Timeout | undefined;
  private last: DiskReport | undefined;
  private measuring: { readonly sinceMs: number } | undefined;
  private hasFailed = false;
  private measured = 0;
  private size: number | undefined;

  constructor(private readonly options: DiskMonitorOptions) {}

  /** The free space, as last measured; undefined: not yet. */
  get freeBytes(): number | undefined {
    return this.last?.freeBytes;
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
    if (this.last === undefined || forMs < (this.options.hangsAfterMs ?? defaultHangsAfterMs)) return;
    const fault = { type: 'problem', message: diskHangs(forMs), stopsWrites: true } as const;
    this.notify({ freeBytes: this.last.freeBytes, fault });
  }

  private notify(found: DiskReport): void {
    this.last = found;
    for (const listener of this.listeners) listener(found);
  }

  private async freeSpace(): Promise<number> {
    const { bavail, bsize } = await statfs(this.options.folder);
    return bavail * bsize;
  }

  private async measureStore(): Promise<void> {
    const { storeFolder } = this.options;
    if (storeFolder !== undefined && this.measured % storeEvery === 0) this.size = await folderBytes(storeFolder);
    this.measured += 1;
  }

  private async measure(): Promise<void> {
    try {
      const fault = await this.options.fault?.();
      // If the data folder is gone, its disk cannot be measured.
      const freeBytes = fault?.type === 'gone' ? 0 : await this.freeSpace();
      if (fault?.type !== 'gone') await this.measureStore();
      this.hasFailed = false;
      this.notify({ freeBytes, fault });
    } catch (error) {
      if (!this.hasFailed)
        this.options.warn?.('the free space of the disk cannot be measured', { error: String(error) });
      this.hasFailed = true;
    }
  }
}
