/** The connection of a command to NATS. */
import { ConclaveClient } from '@conclave/client';
import { ConclaveError } from '@conclave/protocol';
import { connectWith, inboxOf, type NatsLogin, rejectionOf, violationOf } from '@conclave/protocol/login';
import type { NatsConnection } from 'nats';
import { AdminClient } from './admin-client.js';
import { closeOnInterruption } from './interruption.js';
import { asConclaveError, type LoginFlags, loginOf } from './login.js';
import type { CommonOptions } from './options.js';
import { printProblem } from './terminal-text.js';

const connectTimeoutMs = 3_000;
/** The timeout of a client's call, unless the command sets another one. */
const defaultTimeoutMs = 10_000;

/**
 * Connects to the first server that responds.
 * @throws ConclaveError ELOGIN, EUNREACHABLE, or EPERM if NATS permits no replies (all not done)
 */
export async function connectTo(login: NatsLogin, name = 'conclave'): Promise<NatsConnection> {
  let connection: NatsConnection;
  try {
    const options = { name, timeout: connectTimeoutMs, maxReconnectAttempts: -1, reconnectTimeWait: 200 };
    connection = await connectWith(login, options);
  } catch (error) {
    throw asConclaveError(error);
  }
  try {
    await checkReplies(connection);
    void reportRejections(connection, login);
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/**
 * A command that runs on while NATS rejects its login prints that on standard error, and again when it is reconnected. Its calls fail
 * meanwhile, or wait.
 */
async function reportRejections(connection: NatsConnection, login: NatsLogin): Promise<void> {
  let isRejected = false;
  for await (const status of connection.status()) {
    const rejection = status.type === 'error' ? rejectionOf(status.error, login) : undefined;
    if (rejection !== undefined && !isRejected) printProblem(`ELOGIN: ${rejection}; retrying`);
    if (status.type === 'reconnect' && isRejected) printProblem('connected to NATS again');
    isRejected = (isRejected || rejection !== undefined) && status.type !== 'reconnect';
  }
}

/** Checked before any request: if the replies cannot be received, the outcome would be unknown. */
async function checkReplies(connection: NatsConnection): Promise<void> {
  let refusal: string | undefined;
  const subscription = connection.subscribe(`${inboxOf(connection)}.*`, {
    callback: (error) => {
      refusal ??= violationOf(error)?.message;
    },
  });
  await connection.flush();
  if (refusal !== undefined)
    throw new ConclaveError('EPERM', `${refusal}: replies could not be read (--nats-inbox-prefix)`);
  subscription.unsubscribe();
}

/** Runs `work` with a connection that is closed at its end. */
export async function withAdminClient<T>(
  options: Pick<CommonOptions, 'group' | 'prefix'> & LoginFlags,
  work: (adminClient: AdminClient) => Promise<T>,
): Promise<T> {
  const connection = await connectTo(loginOf(options));
  try {
    return await work(new AdminClient(connection, options.group, options.prefix));
  } finally {
    await connection.close();
  }
}

/** Runs `work` with a client that is closed at its end. */
export async function withClient<T>(
  options: CommonOptions,
  work: (client: ConclaveClient, adminClient: AdminClient) => Promise<T>,
): Promise<T> {
  const connection = await connectTo(loginOf(options));
  const client = await ConclaveClient.connect({
    connection,
    groupId: options.group,
    prefix: options.prefix,
    timeoutMs: options.timeoutMs ?? defaultTimeoutMs,
  });
  const endClosing = closeOnInterruption(() => client.close());
  try {
    return await work(client, new AdminClient(connection, options.group, options.prefix));
  } finally {
    endClosing();
    await client.close();
    await connection.close();
  }
}
