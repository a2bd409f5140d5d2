/** Writers that never stop of themselves: each writes a key of its own after the other, and remembers what was acknowledged. */
import { ConclaveClient } from '@conclave/client';
import type { ConnectionOptions } from 'nats';

export interface FailedWrite {
  readonly key: string;
  readonly error: unknown;
}

let lastRun = 0;

export class Writers {
  /** Each acknowledged write. */
  readonly acknowledged = new Map<string, string>();
  /** Writes that ended other than done within the client's deadline of 10 s. */
  readonly failed: FailedWrite[] = [];
  private readonly run = ++lastRun;
  private going = true;
  /** Resolves when the writers may continue; undefined: they are not paused. */
  private resumed: Promise<void> | undefined;
  private resolveResumed: () => void = () => undefined;
  private readonly all: Promise<unknown>;
  private waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  private constructor(
    private readonly client: ConclaveClient,
    count: number,
    private readonly pauseMs: number,
  ) {
    this.all = Promise.all(Array.from({ length: count }, (_, writer) => this.write(writer)));
  }

  /** @param pauseMs how long each rests after a write: enough that the processes under test have a core to themselves */
  static async start(
    servers: readonly string[],
    count = 8,
    groupId = 'main',
    pauseMs = 0,
    login: ConnectionOptions = {},
  ): Promise<Writers> {
    const nats = { ...login, maxReconnectAttempts: -1, reconnectTimeWait: 100, waitOnFirstConnect: true };
    return new Writers(await ConclaveClient.connect({ groupId, servers: [...servers], nats }), count, pauseMs);
  }

  /** Resolves when this many more writes have been acknowledged. */
  async progress(more = 50, withinMs = 60_000): Promise<void> {
    const count = this.acknowledged.size + more;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const complain = () =>
        reject(
          new Error(`not ${more} more writes in ${withinMs} ms; failed: ${JSON.stringify(this.failed.slice(-3))}`),
        );
      timer = setTimeout(complain, withinMs);
    });
    const reached = new Promise<void>((resolve) => this.waiting.push({ count, resolve }));
    await Promise.race([reached, late]).finally(() => clearTimeout(timer));
  }

  /** Starts no further write until `resume`; resolves when a write of this call, after all open ones, is acknowledged. */
  async pause(): Promise<void> {
    this.resumed ??= new Promise((resolve) => {
      this.resolveResumed = resolve;
    });
    await this.client.kv.put(`run-${this.run}/paused`, '');
  }

  resume(): void {
    this.resumed = undefined;
    this.resolveResumed();
  }

  /** Ends the writers; settled when their last calls are. */
  async stop(): Promise<void> {
    this.going = false;
    this.resume();
    await this.all;
    await this.client.close();
  }

  private async write(writer: number): Promise<void> {
    for (let number = 0; this.going; number++) {
      await this.resumed;
      if (!this.going) return;
      const key = `run-${this.run}/writer-${writer}/${number}`;
      const value = `value of ${key}`;
      try {
        await this.client.kv.put(key, value);
        this.acknowledged.set(key, value);
        const { size } = this.acknowledged;
        for (const { resolve } of this.waiting.filter(({ count }) => count <= size)) resolve();
        this.waiting = this.waiting.filter(({ count }) => count > size);
      } catch (error) {
        this.failed.push({ key, error: String(error) });
      }
      if (this.pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, this.pauseMs));
    }
  }
}
