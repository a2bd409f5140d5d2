// A client of the group that knows nothing but NATS and JSON, as a program in any language would be.

import { connect, type NatsConnection, nkeyAuthenticator } from 'nats';
import { until } from './until.js';

const requestTimeoutMs = 3_000;
const pauseBetweenWritesMs = 20;
const readsAtOnce = 32;
const readTimeoutMs = 120_000;

export interface Reply {
  error?: { code: string; message: string; outcome?: string; leader_id?: string };
  [field: string]: unknown;
}

/** How to log in: the seed of an nkey, the authority of the servers' certificates, and where replies may go. */
export interface Login {
  readonly seed: string;
  readonly ca: string;
  readonly inboxPrefix: string;
}

export class PlainClient {
  readonly #connection: NatsConnection;

  private constructor(connection: NatsConnection) {
    this.#connection = connection;
  }

  /** @param login undefined: if the servers require no login */
  static async connect(ports: readonly number[], login?: Login): Promise<PlainClient> {
    const connection = await connect({
      ...(login === undefined
        ? {}
        : {
            authenticator: nkeyAuthenticator(new TextEncoder().encode(login.seed)),
            tls: { ca: login.ca },
            inboxPrefix: login.inboxPrefix,
          }),
      servers: ports.map((port) => `nats://127.0.0.1:${port}`),
      maxReconnectAttempts: -1,
      reconnectTimeWait: 200,
      // Notices a server that vanished without a word.
      pingInterval: 5_000,
    });
    return new PlainClient(connection);
  }

  /** Rejects if nobody replies; an error of the group is in the reply. */
  async request(subject: string, body: Record<string, unknown> = {}, timeoutMs = requestTimeoutMs): Promise<Reply> {
    const message = await this.#connection.request(subject, JSON.stringify(body), {
      timeout: timeoutMs,
    });
    return message.json<Reply>();
  }

  async put(key: string, value: string): Promise<void> {
    const reply = await this.request('conclave.main.kv.put', { key, value });
    if (reply.error !== undefined) throw new Error(`${reply.error.code}: ${reply.error.message}`);
  }

  async get(key: string): Promise<unknown> {
    const reply = await this.request('conclave.main.kv.get', { key });
    if (reply.error !== undefined) throw new Error(`${reply.error.code}: ${reply.error.message}`);
    return reply.value;
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}

/**
 * Writes a new key every few milliseconds until it is stopped. Only an acknowledged write goes into
 * `acknowledged`; any other may or may not have happened, and its key is never used again.
 */
export class Writer {
  readonly acknowledged = new Map<string, string>();
  refused = 0;
  #stopping = false;
  readonly #done: Promise<void>;

  constructor(client: PlainClient) {
    this.#done = this.#write(client);
  }

  stop(): Promise<void> {
    this.#stopping = true;
    return this.#done;
  }

  async #write(client: PlainClient): Promise<void> {
    for (let number = 0; !this.#stopping; number += 1) {
      const key = `key-${number}`;
      const value = `value-${number}`;
      try {
        await client.put(key, value);
        this.acknowledged.set(key, value);
      } catch {
        this.refused += 1;
      }
      await new Promise((resolve) => setTimeout(resolve, pauseBetweenWritesMs));
    }
  }
}

/** The acknowledged writes that are not there as they were written. */
export async function findLost(client: PlainClient, acknowledged: ReadonlyMap<string, string>): Promise<string[]> {
  const lost: string[] = [];
  const left = acknowledged.entries();
  const read = async (): Promise<void> => {
    for (const [key, value] of left) {
      const found = await until(`${key} can be read`, readTimeoutMs, async () => ({ value: await client.get(key) }));
      if (found.value !== value) lost.push(`${key}: ${JSON.stringify(found.value)}, not ${value}`);
    }
  };
  await Promise.all(Array.from({ length: readsAtOnce }, read));
  return lost;
}
