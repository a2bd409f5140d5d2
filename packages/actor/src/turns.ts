/**
 * Who runs next in this process. Whoever has something to do takes turns, round robin, after the I/O that is at hand
 * has been read: so what arrived together is handled together, and a message between two actors of the process
 * waits for no I/O. After a while the I/O has its turn again.
 */

/** Takes turns. */
export interface TurnTaker {
  /** Does a bounded piece of work; true where there is more to do. Does not throw. */
  takeTurn(): boolean;
}

/** How long turns are taken before I/O is looked after again. */
const stretchMs = 4;

export class Turns {
  private waiting: TurnTaker[] = [];
  private readonly queued = new Set<TurnTaker>();
  private scheduled = false;

  /** Asks for a turn; asking again before it has come changes nothing. */
  ask(taker: TurnTaker): void {
    if (this.queued.has(taker)) return;
    this.queued.add(taker);
    this.waiting.push(taker);
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => this.run());
  }

  private run(): void {
    this.scheduled = false;
    const until = performance.now() + stretchMs;
    while (this.waiting.length > 0 && performance.now() < until) {
      const round = this.waiting;
      this.waiting = [];
      for (const taker of round) {
        // It may ask for another turn while it takes this one.
        this.queued.delete(taker);
        if (taker.takeTurn()) this.ask(taker);
      }
    }
    if (this.waiting.length > 0) this.schedule();
  }
}

/** The turns of this process. */
export const processTurns: Turns = new Turns();
