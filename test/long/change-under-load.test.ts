/**
 * Membership changes while the group is written to as fast as it goes: with large requests, and with a new peer that is
 * too slow.
 */
import { ConclaveClient } from '@conclave/client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Mesh, Stops } from '../mesh/fault-mesh.js';
import { changePeers, changeUntilDone } from '../mesh/membership-stages.js';
import { type NatsServer, startNats } from '../support/nats.js';
import type { ActorProcess } from '../support/peers.js';

const old = ['n1', 'n2', 'n3'];
const target = ['n1', 'n4', 'n5'];
const stops = new Stops();
let server: NatsServer;
let mesh: Mesh;
let load: Load | undefined;

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  // A machine that has other work, too, is not to cost the group its leader in the middle of a change.
  const args = ['--election-timeout-ms', '5000'];
  mesh = await Mesh.found({ servers: [server], peers: old, placement: 'four', args }, stops);
  await mesh.start('n4', 'n5');
  await mesh.healthy(...old);
});

afterEach(async () => {
  await load?.stop();
  load = undefined;
  await changeUntilDone(mesh, old);
});

afterAll(() => stops.run());

interface LoadOptions {
  readonly writers: number;
  readonly valueBytes: number;
}

/** Each writer writes its own few keys in turn: the next as soon as the last is acknowledged. */
class Load {
  readonly failed: string[] = [];
  /** The last acknowledged value of each key. */
  readonly written = new Map<string, string>();
  private isOver = false;
  private count = 0;
  private waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  private readonly all: Promise<unknown>;

  private constructor(
    private readonly client: ConclaveClient,
    { writers, valueBytes }: LoadOptions,
  ) {
    this.all = Promise.all(Array.from({ length: writers }, (_, writer) => this.write(writer, valueBytes)));
  }

  static async begin(options: LoadOptions): Promise<Load> {
    return new Load(await ConclaveClient.connect({ groupId: 'main', servers: server.url }), options);
  }

  /** Settled when that many more writes are acknowledged. */
  acknowledged(more: number): Promise<void> {
    return new Promise((resolve) => this.waiting.push({ count: this.count + more, resolve }));
  }

  async stop(): Promise<void> {
    this.isOver = true;
    await this.all;
    await this.client.close();
  }

  private async write(writer: number, valueBytes: number): Promise<void> {
    for (let number = 0; !this.isOver; number++) {
      const key = `writer-${writer}/${number % 2}`;
      const value = `${number}`.padEnd(valueBytes, '.');
      try {
        await this.client.kv.put(key, value);
        this.written.set(key, value);
      } catch (error) {
        this.failed.push(String(error));
      }
      this.count += 1;
      for (const { resolve } of this.waiting.filter(({ count }) => count <= this.count)) resolve();
      this.waiting = this.waiting.filter(({ count }) => count > this.count);
    }
  }
}

/** The last acknowledged value of each key is there: one key at a time, as values are large. */
async function expectWritten(peer: string, written: ReadonlyMap<string, string>): Promise<void> {
  await mesh.caughtUp(peer);
  for (const [key, value] of written) {
    const reply = await mesh.plain.insist(`${peer}.kv.get`, { key, consistency: 'stale' });
    expect(reply.value === value, `${key} at ${peer}`).toBe(true);
  }
}

describe('promises 26 and 1: a change while clients write', () => {
  it('in requests of half a megabyte completes, and no write fails', async () => {
    // The client joins what is written at one moment, up to what a request may have: two values.
    load = await Load.begin({ writers: 16, valueBytes: 250_000 });
    await load.acknowledged(64);
    for (const peers of [target, old, target]) {
      const { body } = await changePeers(mesh, peers, { timeout_ms: 60_000 });
      expect(body).toMatchObject({ new_peers: peers });
      await load.acknowledged(32);
    }
    const { failed, written } = load;
    await load.stop();
    expect(failed).toEqual([]);
    for (const peer of target) await expectWritten(peer, written);
  });

  it('faster than a new peer stores completes, or fails with ECATCHUP and both rates, and no write fails', async () => {
    load = await Load.begin({ writers: 64, valueBytes: 128 });
    await load.acknowledged(5000);
    const outcomes: string[] = [];
    // From a log-store that stores nothing to one that is about half as fast as it could be. How much a share of the time
    // suffices for depends on the machine, except for none.
    for (const awakeShare of [0, 0.02, 0.1, 0.3, 0.5]) {
      const slowed = new Slowed(mesh.peer('n4').process('log-store'), awakeShare);
      // Of these it has nothing yet.
      await load.acknowledged(2000);
      const { body } = await changePeers(mesh, [...old, 'n4'], { timeout_ms: 8000 }).finally(() => slowed.end());
      outcomes.push(`${awakeShare}: ${body.error === undefined ? 'done' : JSON.stringify(body.error)}`);
      if (body.error !== undefined) {
        const { code, outcome, message } = body.error as { code: string; outcome: string; message: string };
        expect({ code, outcome }).toEqual({ code: 'ECATCHUP', outcome: 'not_done' });
        expect(message).toMatch(
          /n4 \(lags by \d+ entries, stored \d+ entries\/s while the group wrote [1-9]\d* entries\/s\)/,
        );
      }
      expect(load.failed).toEqual([]);
      await changeUntilDone(mesh, old);
    }
    console.log(`with a log-store that runs for this share of the time:\n${outcomes.join('\n')}`);
    expect(outcomes[0]).toContain('stored 0 entries/s');
    // At its own speed it is added.
    const { body } = await changePeers(mesh, [...old, 'n4'], { timeout_ms: 60_000 });
    expect(body).toMatchObject({ new_peers: [...old, 'n4'] });
    await load.acknowledged(1000);
    const { failed, written } = load;
    await load.stop();
    expect(failed).toEqual([]);
    await expectWritten('n4', written);
  });
});

/** A process that runs for a share of the time only: 0 stops it. */
class Slowed {
  private readonly timer: NodeJS.Timeout;
  private wake: NodeJS.Timeout | undefined;

  constructor(
    private readonly slowed: ActorProcess,
    awakeShare: number,
  ) {
    const periodMs = 250;
    const pause = (): void => {
      slowed.signal('SIGSTOP');
      if (awakeShare > 0) this.wake = setTimeout(() => slowed.signal('SIGCONT'), (1 - awakeShare) * periodMs);
    };
    pause();
    this.timer = setInterval(pause, periodMs);
  }

  end(): void {
    clearInterval(this.timer);
    clearTimeout(this.wake);
    this.slowed.signal('SIGCONT');
  }
}
