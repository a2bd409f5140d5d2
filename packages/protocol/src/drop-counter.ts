/** Counts what was dropped, by reason. Reasons are constants of the code, never parts of a message, so there are few. */
export class DropCounter {
  readonly byReason: Record<string, number> = {};

  /** @param onCount called with the reason and its new count, for instance to log the first of each */
  constructor(private readonly onCount?: (reason: string, count: number) => void) {}

  count(reason: string, times = 1): void {
    if (times === 0) return;
    const count = (this.byReason[reason] ?? 0) + times;
    this.byReason[reason] = count;
    this.onCount?.(reason, count);
  }
}
