/**
 * Clients under chaos. Each puts, gets, swaps and deletes a few shared keys, one call after the other; sometimes it
 * writes a key of its own, once, which must exist at the end. The shared keys change every few seconds, so that the
 * history of one key stays short enough to be checked.
 */
import { ConclaveClient } from '@conclave/client';
import { Random } from '@conclave/simulator';
import { peerNames, streams } from './chaos-plan.js';
import type { KvAnswer, KvCall, Recorder } from './recorder.js';

interface CallOptions {
  readonly timeoutMs?: number;
}

export interface LoadOptions {
  readonly seed: number;
  readonly clients: number;
  /** NATS servers; each client begins with another one. */
  readonly urls: readonly string[];
  readonly recorder: Recorder;
}

/** How many clients share a connection and a session, as those of one application do. */
const clientsPerConnection = 4;
const sharedKeys = 8;
const keysChangeMs = 15_000;
/** Between two calls of a client, at most. */
const pauseMs = 50;

export class Load {
  /** What was acknowledged of the keys that are written once. */
  readonly once = new Map<string, string>();
  private readonly connections: ConclaveClient[] = [];
  private readonly startedMs = performance.now();
  private going = true;
  /** Resolves when the clients may continue; undefined: they are not paused. */
  private resumed: Promise<void> | undefined;
  private resolveResumed: () => void = () => undefined;
  /** The last call of each client. */
  private readonly calls = new Map<number, Promise<unknown>>();
  private all: Promise<unknown> = Promise.resolve();

  private constructor(private readonly options: LoadOptions) {}

  static async start(options: LoadOptions): Promise<Load> {
    const load = new Load(options);
    const { clients, urls } = options;
    for (let at = 0; at * clientsPerConnection < clients; at++) {
      load.connections.push(await connectVia([...urls.slice(at % urls.length), ...urls.slice(0, at % urls.length)]));
    }
    load.all = Promise.all(Array.from({ length: clients }, (_, client) => load.run(client)));
    return load;
  }

  /** Starts no further call until `resume`; resolves when the open calls have ended. */
  async pause(): Promise<void> {
    this.resumed ??= new Promise((resolve) => {
      this.resolveResumed = resolve;
    });
    await Promise.all(this.calls.values());
  }

  resume(): void {
    this.resumed = undefined;
    this.resolveResumed();
  }

  /** Ends the clients; resolves when their last calls have ended. */
  async stop(): Promise<void> {
    this.going = false;
    this.resume();
    await this.all;
    await Promise.all(this.connections.splice(0).map((connection) => connection.close()));
  }

  private async run(client: number): Promise<void> {
    const { seed, recorder } = this.options;
    const random = new Random(seed, streams.clients + client);
    const connection = this.connections[Math.floor(client / clientsPerConnection)] as ConclaveClient;
    const name = `c${client}`;
    /** The last revisions of the shared keys that this client has seen. */
    const seen = new Map<string, number>();
    for (let number = 0; this.going; number++) {
      await new Promise((resolve) => setTimeout(resolve, random.below(pauseMs)));
      await this.resumed;
      const value = `${name}-${number}`;
      const timeoutMs = random.chance(0.1) ? 200 + random.below(1000) : undefined;
      const call = random.chance(0.15)
        ? ({ name: 'put', key: `once/${value}`, value } as const)
        : drawCall(random, this.sharedKey(random), value, seen);
      const make = () => carryOut(connection, call, timeoutMs === undefined ? {} : { timeoutMs });
      const recorded = recorder.record(name, call, make);
      this.calls.set(client, recorded);
      const reply = await recorded;
      if (reply === undefined) continue;
      if (call.key.startsWith('once/')) this.once.set(call.key, value);
      else seen.set(call.key, reply.revision);
    }
  }

  private sharedKey(random: Random): string {
    const turn = Math.floor((performance.now() - this.startedMs) / keysChangeMs);
    return `shared/${turn}/${random.below(sharedKeys)}`;
  }
}

/** A client that reconnects to other servers as quickly as peers do. */
export function connectVia(urls: readonly string[]): Promise<ConclaveClient> {
  const nats = {
    noRandomize: true,
    waitOnFirstConnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    timeout: 2000,
    pingInterval: 2000,
    maxPingOut: 2,
  };
  return ConclaveClient.connect({ groupId: 'main', servers: [...urls], nats });
}

function drawCall(random: Random, key: string, value: string, seen: ReadonlyMap<string, number>): KvCall {
  const dice = random.next();
  if (dice < 0.35) return { name: 'put', key, value };
  if (dice < 0.65) return { name: 'get', key };
  if (dice < 0.7) return { name: 'get', key, peer: random.pick(peerNames) };
  if (dice < 0.75) return { name: 'delete', key };
  return { name: 'cas', key, value, expectedRevision: seen.get(key) ?? 0 };
}

/** Makes a call by the client library. */
export function carryOut(client: ConclaveClient, call: KvCall, options: CallOptions = {}): Promise<KvAnswer> {
  switch (call.name) {
    case 'put':
      return client.kv.put(call.key, call.value, options);
    case 'get':
      return client.kv.get(call.key, call.peer === undefined ? options : { ...options, peerId: call.peer });
    case 'delete':
      return client.kv.delete(call.key, options);
    case 'cas':
      return client.kv.cas(call.key, call.value, call.expectedRevision, options);
  }
}
