/** A command's connection to NATS. */
import { ConclaveClient } from '@conclave/client';
import { ConclaveError } from '@conclave/protocol';
import { connect, type NatsConnection } from 'nats';
import type { CommonOptions } from './options.js';
import { Requester } from './requester.js';

const connectTimeoutMs = 3_000;
/** How long a call of a client may take unless the command says otherwise. */
const defaultTimeoutMs = 10_000;

/**
 * Connects to the first server that answers.
 * @throws ConclaveError EUNREACHABLE (not done)
 */
export async function connectTo(servers: readonly string[], name = 'conclave'): Promise<NatsConnection> {
  try {
    return await connect({
      servers: [...servers],
      name,
      noRandomize: true,
      timeout: connectTimeoutMs,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 200,
    });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ConclaveError('EUNREACHABLE', `no NATS server at ${servers.join(', ')}: ${why}`);
  }
}

/** Runs `work` with a connection that is closed at its end. */
export async function withRequester<T>(
  options: Pick<CommonOptions, 'nats' | 'group' | 'prefix'>,
  work: (requester: Requester) => Promise<T>,
): Promise<T> {
  const connection = await connectTo(options.nats);
  try {
    return await work(new Requester(connection, options.group, options.prefix));
  } finally {
    await connection.close();
  }
}

/** Runs `work` with a client that is closed at its end. */
export async function withClient<T>(
  options: CommonOptions,
  work: (client: ConclaveClient, requester: Requester) => Promise<T>,
): Promise<T> {
  const connection = await connectTo(options.nats);
  const client = await ConclaveClient.connect({
    connection,
    groupId: options.group,
    prefix: options.prefix,
    timeoutMs: options.timeoutMs ?? defaultTimeoutMs,
  });
  try {
    return await work(client, new Requester(connection, options.group, options.prefix));
  } finally {
    await client.close();
    await connection.close();
  }
}
