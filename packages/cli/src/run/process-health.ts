/** What a process of a peer shows over HTTP: its metrics, whether it works, and whether it can serve. */
import type { PeerId } from '@conclave/protocol';
import { type LabelledSample, ofActor, ofProcess } from '../metrics/labelled.js';
import type { Check, Pages } from '../metrics/pages.js';
import type { PeerProcess } from './peer-process.js';

type Running = Pick<PeerProcess, 'collect' | 'health' | 'natsProblem'>;

export class ProcessHealth implements Pages {
  private running: Running | undefined;
  private reason = 'the process is starting: it waits for its data folder and for NATS';

  constructor(private readonly peerId: PeerId) {}

  /** The actors run from now on. */
  onStarted(running: Running): void {
    this.running = running;
  }

  /** The actors do not run any more, for this reason. */
  onStopped(reason: string): void {
    this.running = undefined;
    this.reason = reason;
  }

  metrics(): LabelledSample[] {
    if (this.running === undefined) return [];
    const { process, actors } = this.running.collect();
    return [
      ...ofProcess(this.peerId, process),
      ...actors.flatMap(({ groupId, peerId, kind, samples }) => ofActor({ groupId, peerId, actor: kind }, samples)),
    ];
  }

  /**
   * A process that replies is alive. Neither NATS nor a quorum counts: else a supervisor would restart all processes of a group
   * during an outage, and end it later.
   */
  livez(): Check[] {
    return [{ name: 'process', problem: '' }];
  }

  readyz(): Check[] {
    const { running } = this;
    if (running === undefined) return [{ name: 'actors', problem: this.reason }];
    return [
      { name: 'nats', problem: running.natsProblem ?? '' },
      ...running.health().map(({ groupId, kind, healthy, reason }) => ({
        name: `${groupId}/${kind}`,
        problem: healthy ? '' : reason,
      })),
    ];
  }
}
