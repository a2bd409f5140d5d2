/**
 * The run queue of this process: runnables are run in turn, round robin, after pending I/O has been read, so that messages that
 * arrived together are handled together, and a message between two actors of the process waits for no I/O. After a time slice
 * I/O is read again.
 *
 * Between two rounds, the NATS client writes what the runnables have published: it does so in a microtask. So a leader's new entries
 * are on their way to the followers before the leader's own log-store, ballot-box and replicators process them.
 */

/** Something to run. */
export interface Runnable {
  /** Does a bounded piece of work; true: there is more to do. Does not throw. */
  runOnce(): boolean;
}

/** How long runnables run before I/O is read again. */
const sliceMs = 4;

export class RunQueue {
  private waiting: Runnable[] = [];
  private readonly queued = new Set<Runnable>();
  private scheduled = false;

  /** Queues a runnable; queueing it again before it has run changes nothing. */
  enqueue(runnable: Runnable): void {
    if (this.queued.has(runnable)) return;
    this.queued.add(runnable);
    this.waiting.push(runnable);
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => this.runRounds(performance.now() + sliceMs));
  }

  /**
   * Runs the runnables that wait. Those that they queue run in the next round, in a microtask of its own.
   * @param until when I/O is read again
   */
  private runRounds(until: number): void {
    const round = this.waiting;
    this.waiting = [];
    for (const runnable of round) {
      // It may be queued again while it runs.
      this.queued.delete(runnable);
      if (runnable.runOnce()) this.enqueue(runnable);
    }
    if (this.waiting.length > 0 && performance.now() < until) {
      queueMicrotask(() => this.runRounds(until));
      return;
    }
    this.scheduled = false;
    if (this.waiting.length > 0) this.schedule();
  }
}

/** The run queue of this process. */
export const processRunQueue: RunQueue = new RunQueue();
