/**
 * How much reading a node does before it looks at its mailbox again: many reads, or few that return much, must not delay ticks and
 * votes. Reads by lease and stale reads are not counted: the runner takes requests for a bounded time.
 */

/** The work of a read besides that for the rows of its result, in rows. */
const fixedRows = 16;
/** Each turn may read this much: 59 single keys, or a page of a thousand. */
const rowsPerTurn = 1000;

export class ReadBudget {
  private left = rowsPerTurn;

  /** Another turn begins. */
  refill(): void {
    this.left = rowsPerTurn;
  }

  get isSpent(): boolean {
    return this.left <= 0;
  }

  /** Counts a read whose result has this many rows. */
  spend(rows: number): void {
    this.left -= fixedRows + rows;
  }

  /** Replies to the first ones of these reads, until the budget is spent: `reply` counts each. @returns how many */
  serve<Read>(reads: readonly Read[], reply: (read: Read) => void): number {
    let served = 0;
    for (const read of reads) {
      if (this.isSpent) break;
      reply(read);
      served += 1;
    }
    return served;
  }
}
