/** Subscribes to the group's events: the present leader, and a count of each event. */
import { createWriteStream, type WriteStream } from 'node:fs';
import type { NatsConnection, Subscription } from 'nats';
import { type PeerName, peerNames } from './chaos-plan.js';

export class EventWatch {
  /** By name; stages by themselves, and failures of changes with their code. */
  readonly counts: Record<string, number> = {};
  private readonly log: WriteStream;
  private readonly subscription: Subscription;
  private term = 0;
  private current: PeerName | undefined;

  constructor(nats: NatsConnection, file: string) {
    this.log = createWriteStream(file);
    this.subscription = nats.subscribe('conclave.main.event.*.*', {
      callback: (error, message) => {
        if (error === null) this.onEvent(message.subject.split('.')[3] ?? '', message.string());
      },
    });
  }

  /** The last elected leader, by the received events. */
  get leader(): PeerName | undefined {
    return this.current;
  }

  async close(): Promise<void> {
    this.subscription.unsubscribe();
    await new Promise<void>((resolve) => this.log.end(() => resolve()));
  }

  private onEvent(name: string, text: string): void {
    this.log.write(`${name} ${text}\n`);
    const body = JSON.parse(text) as { peer_id: string; term: number; stage?: string; error?: { code: string } };
    const more = [body.stage, body.error?.code].filter((each) => each !== undefined);
    const counted = [name, ...more].join(' ');
    this.counts[counted] = (this.counts[counted] ?? 0) + 1;
    if (name !== 'leader_elected' || body.term < this.term) return;
    this.term = body.term;
    this.current = peerNames.find((peer) => peer === body.peer_id);
  }
}
