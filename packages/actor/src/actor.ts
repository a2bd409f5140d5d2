/** An actor as the process that hosts it sees it: something to start, to stop, and to ask how it is. */
/** Whether an actor can do its work, and if not, why. */
export interface Health {
  readonly healthy: boolean;
  readonly reason: string;
}

export interface Actor {
  start(): void;
  /** Stops for good; what it holds open is closed when this is settled. */
  stop(): Promise<void>;
  health(): Health;
  /** What was not taken, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
}

/** An actor that serves a node is well while the node gives signs of life. */
const nodeSilentMs = 5000;

/** How an actor is that has nothing to do but what its node asks. */
export function healthByTicks(sinceTickMs: number | undefined): Health {
  if (sinceTickMs === undefined) return { healthy: false, reason: 'no node has been heard' };
  if (sinceTickMs <= nodeSilentMs) return { healthy: true, reason: '' };
  return { healthy: false, reason: `the node has been silent for ${Math.round(sinceTickMs / 1000)} s` };
}

/** The part of a `CoreRunner` that does not depend on its core's inputs and effects. */
interface Runner {
  readonly sinceTickMs: number | undefined;
  readonly dropped: Readonly<Record<string, number>>;
  start(): void;
  stop(): void;
}

/** An actor whose core needs nothing of its own from outside, such as a replicator or a ballot-box. */
export class PlainActor implements Actor {
  constructor(private readonly runner: Runner) {}

  start(): void {
    this.runner.start();
  }

  async stop(): Promise<void> {
    this.runner.stop();
  }

  health(): Health {
    return healthByTicks(this.runner.sinceTickMs);
  }

  get dropped(): Readonly<Record<string, number>> {
    return this.runner.dropped;
  }
}
