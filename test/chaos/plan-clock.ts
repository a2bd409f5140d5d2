/**
 * Executes a plan by a clock that can be held: so that a group on a busy machine, which needs longer to recover, is not
 * killed all the time.
 */
export interface Due {
  readonly atMs: number;
  readonly happen: () => void;
}

const stepMs = 20;

export class PlanClock {
  /** How long it has been held in total. */
  heldMs = 0;
  private readonly due: Due[];
  private planMs = 0;
  private lastMs = performance.now();
  private readonly timer: NodeJS.Timeout;

  constructor(
    due: readonly Due[],
    private readonly isHeld: () => boolean,
  ) {
    this.due = due.toSorted((one, other) => one.atMs - other.atMs);
    this.timer = setInterval(() => this.step(), stepMs);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private step(): void {
    const nowMs = performance.now();
    const passedMs = nowMs - this.lastMs;
    this.lastMs = nowMs;
    if (this.isHeld()) {
      this.heldMs += passedMs;
      return;
    }
    this.planMs += passedMs;
    for (let next = this.due[0]; next !== undefined && next.atMs <= this.planMs; next = this.due[0]) {
      this.due.shift();
      next.happen();
    }
  }
}
