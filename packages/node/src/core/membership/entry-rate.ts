/**
 * How fast a position of the log rises: entries a second, over the last five to ten seconds.
 * Owns: two earlier positions. Does not know whose they are.
 */
const renewMs = 5_000;

interface Sample {
  readonly index: number;
  readonly atMs: number;
}

export class EntryRate {
  /** The sample that the rate is measured from, and the next one. */
  private from: Sample | undefined;
  private next: Sample | undefined;
  private latest: Sample | undefined;

  onIndex(index: number, atMs: number): void {
    const sample = { index, atMs };
    this.latest = sample;
    this.from ??= sample;
    this.next ??= sample;
    if (atMs - this.next.atMs < renewMs) return;
    this.from = this.next;
    this.next = sample;
  }

  get perSecond(): number {
    const { from, latest } = this;
    if (from === undefined || latest === undefined || latest.atMs <= from.atMs) return 0;
    return (1000 * Math.max(0, latest.index - from.index)) / (latest.atMs - from.atMs);
  }
}
