/**
 * Measures every few seconds how much room the disk has that the data are on, for all groups of a process.
 *
 * Invariant: at most one measurement is under way, so that a disk that hangs is not asked again and again.
 */
import { statfs } from 'node:fs/promises';

export interface DiskWatchOptions {
  /** The data folder. */
  readonly folder: string;
  /** With less room than this the disk counts as full. */
  readonly reserveBytes: number;
  readonly everyMs?: number;
  /** Told where the disk cannot be measured; once, until it can be again. */
  readonly warn?: (text: string, fields: Readonly<Record<string, unknown>>) => void;
}

const usualEveryMs = 3000;

type Listener = (freeBytes: number) => void;

export class DiskWatch {
  private readonly listeners = new Set<Listener>();
  private timer: NodeJS.Timeout | undefined;
  private lastBytes: number | undefined;
  private measuring: Promise<void> | undefined;
  private fails = false;

  constructor(private readonly options: DiskWatchOptions) {}

  get reserveBytes(): number {
    return this.options.reserveBytes;
  }

  /** Tells at once what was measured last, and then each measurement. Answers what ends that. */
  watch(listener: Listener): () => void {
    this.listeners.add(listener);
    if (this.lastBytes !== undefined) listener(this.lastBytes);
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
    this.measuring ??= this.measure().finally(() => {
      this.measuring = undefined;
    });
  }

  private async measure(): Promise<void> {
    try {
      const { bavail, bsize } = await statfs(this.options.folder);
      this.lastBytes = bavail * bsize;
      this.fails = false;
      for (const listener of this.listeners) listener(this.lastBytes);
    } catch (error) {
      if (!this.fails) this.options.warn?.('the room on the disk cannot be told', { error: String(error) });
      this.fails = true;
    }
  }
}
