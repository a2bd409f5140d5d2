/** An actor as its host process sees it: it can be started, stopped, and asked for its health and its metrics. */
import type { MetricSample } from '@conclave/protocol';

/** Whether an actor works, and if not, why. */
export interface Health {
  readonly healthy: boolean;
  readonly reason: string;
}

export interface Actor {
  start(): void;
  /** Stops the actor permanently; resolves when everything it holds open is closed. */
  stop(): Promise<void>;
  health(): Health;
  /** What was dropped, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Its metrics, apart from health and drops. */
  samples(): readonly MetricSample[];
}

/** An actor that serves a node is healthy while it receives the node's ticks. */
const nodeSilentMs = 5000;

/** The health of an actor whose only work is to serve its node. */
export function healthByTicks(sinceTickMs: number | undefined): Health {
  if (sinceTickMs === undefined) return { healthy: false, reason: 'its node has sent nothing yet' };
  if (sinceTickMs <= nodeSilentMs) return { healthy: true, reason: '' };
  return { healthy: false, reason: `its node has been silent for ${Math.round(sinceTickMs / 1000)} s` };
}

/** The part of a `CoreRunner` that does not depend on its core's inputs and effects. */
interface Runner {
  readonly sinceTickMs: number | undefined;
  readonly dropped: Readonly<Record<string, number>>;
  samples(): readonly MetricSample[];
  start(): void;
  stop(): void;
}

/** An actor whose core needs no other effects than the common ones, such as a replicator or a ballot-box. */
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

  samples(): readonly MetricSample[] {
    return this.runner.samples();
  }
}
