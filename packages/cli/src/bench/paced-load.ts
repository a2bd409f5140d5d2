/** Writes at a fixed rate, whatever the replies are: a load during which something else is measured. */

const everyMs = 10;
/** Writes in flight. With this many the rate falls below the target, which the figures show. */
const maxOpen = 4096;

export class PacedLoad {
  private open = 0;
  private completed = 0;
  private failed = 0;
  private fromMs = performance.now();
  private due = 0;
  private begun = 0;
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly write: (number: number) => Promise<unknown>,
    private readonly perSecond: number,
  ) {
    this.timer = setInterval(() => this.begin(), everyMs);
  }

  /** Restarts the counters. */
  reset(): void {
    this.completed = 0;
    this.failed = 0;
    this.fromMs = performance.now();
  }

  /** Writes per second since `reset`, and how many failed. */
  figures(): { writesPerSecond: number; failed: number } {
    return { writesPerSecond: (1000 * this.completed) / (performance.now() - this.fromMs), failed: this.failed };
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private begin(): void {
    this.due += (this.perSecond * everyMs) / 1000;
    for (; this.due >= 1; this.due -= 1) {
      if (this.open >= maxOpen) continue;
      this.open += 1;
      this.begun += 1;
      this.write(this.begun)
        .then(
          () => (this.completed += 1),
          () => (this.failed += 1),
        )
        .finally(() => (this.open -= 1));
    }
  }
}
