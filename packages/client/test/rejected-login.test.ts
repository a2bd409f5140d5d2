/** A login that NATS rejects while a client is connected: calls fail with the reason, and later ones succeed once the file is replaced. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { encode } from '@conclave/protocol';
import { NatsLogin } from '@conclave/protocol/login';
import { connect, type NatsConnection } from 'nats';
import { expect, it, onTestFinished } from 'vitest';
import { makeFolder, removeFolder } from '../../../test/support/leftovers.js';
import { type NatsServer, startNats } from '../../../test/support/nats.js';
import { Operator } from '../../../test/support/nats-jwt.js';
import { ConclaveClient, type ConnectOptions } from '../src/index.js';

function newFolder(): string {
  const folder = makeFolder('rejected-login');
  onTestFinished(() => removeFolder(folder));
  return folder;
}

async function start(configuration: string): Promise<NatsServer> {
  const server = await startNats({ configuration });
  onTestFinished(() => server.stop());
  return server;
}

/** A client of a leader that answers one command. */
async function open(
  server: NatsServer,
  leader: Parameters<typeof connect>[0],
  options: Pick<ConnectOptions, 'login' | 'connection'>,
): Promise<ConclaveClient> {
  const peer = await connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 20, ...leader });
  onTestFinished(() => peer.close());
  peer.subscribe('conclave.main.n1.admin.get_leader', {
    callback: (_, request) => void request.respond(encode({ leader_id: 'n1', term: 1 })),
  });
  await peer.flush();
  const client = await ConclaveClient.connect({ groupId: 'main', servers: server.url, ...options });
  onTestFinished(() => client.close());
  return client;
}

/** Calls, each for 300 ms, until one fails because of the login. A few may fail before the client knows that it is rejected. */
async function rejection(client: ConclaveClient): Promise<{ readonly message: string }> {
  for (let failures = 0; failures < 60; ) {
    const error = await failureOf(client);
    if (error?.code === 'ELOGIN') {
      expect(error).toMatchObject({ outcome: 'not_done' });
      return error;
    }
    if (error !== undefined) failures += 1;
  }
  throw new Error('no call fails because of the login');
}

/** Calls until a call succeeds: without a new client. */
async function success(client: ConclaveClient): Promise<void> {
  while ((await failureOf(client)) !== undefined);
}

async function failureOf(
  client: ConclaveClient,
): Promise<{ readonly code: string; readonly outcome: string; readonly message: string } | undefined> {
  try {
    expect(await client.admin.getLeader('n1', { timeoutMs: 300 })).toEqual({ leader_id: 'n1', term: 1 });
    return undefined;
  } catch (error) {
    return error as { code: string; outcome: string; message: string };
  }
}

/** The name of the first error that the server reports. */
async function firstError(connection: NatsConnection): Promise<string> {
  for await (const status of connection.status()) if (status.type === 'error') return status.error.name;
  return 'none';
}

it('a password that is changed: calls fail with ELOGIN until the file is replaced', { timeout: 60_000 }, async () => {
  const passwordFile = path.join(newFolder(), 'password');
  writeFileSync(passwordFile, 'first');
  const configured = (secret: string) => `authorization { timeout: 60, users: [
    { user: peer, password: p }, { user: app, password: "${secret}" }] }`;
  const server = await start(configured('first'));
  const client = await open(server, { user: 'peer', pass: 'p' }, { login: { user: 'app', passwordFile } });
  await success(client);

  await server.reload(configured('second'));
  const { message } = await rejection(client);
  expect(message).toMatch(/^NATS rejects the login with the user app: .*Authorization Violation/);
  expect(message).not.toContain('first');
  // A write is not sent much later, when the login is accepted again.
  await expect(client.kv.put('k', 'v', { timeoutMs: 300 })).rejects.toMatchObject({
    code: 'ELOGIN',
    outcome: 'not_done',
  });

  writeFileSync(passwordFile, 'second');
  await success(client);
});

it('a JWT that expires, or whose user is revoked: the client reports that, and uses the new one', {
  timeout: 60_000,
}, async () => {
  const creds = path.join(newFolder(), 'app.creds');
  const leader = path.join(newFolder(), 'peer.creds');
  const operator = new Operator();
  const seconds = () => Math.floor(Date.now() / 1000);
  operator.writeUser(leader);
  const server = await start(operator.configuration);
  const { authenticator } = NatsLogin.of({ creds: leader }).connectOptions();
  operator.writeUser(creds, seconds() + 3);
  const client = await open(server, { authenticator }, { login: { creds } });
  const ended = firstError(client.connection);
  await success(client);

  const { message } = await rejection(client);
  expect(message).toContain(`NATS rejects the login with the credentials file ${creds}: `);
  expect(message).toContain('its JWT expired at 20');
  expect(await ended).toBe('UserAuthenticationExpiredError');
  operator.writeUser(creds);
  await success(client);
});

it('a connection of the application’s own: the same, without the kind of the login', { timeout: 60_000 }, async () => {
  const configured = (secret: string) => `authorization { timeout: 60, users: [
    { user: peer, password: p }, { user: app, password: "${secret}" }] }`;
  const server = await start(configured('first'));
  const own = { servers: server.url, user: 'app', pass: 'first', maxReconnectAttempts: -1, reconnectTimeWait: 20 };
  const connection = await connect({ ...own, ignoreAuthErrorAbort: true });
  onTestFinished(() => connection.close());
  const client = await open(server, { user: 'peer', pass: 'p' }, { connection });
  await success(client);
  await server.reload(configured('second'));
  expect((await rejection(client)).message).toMatch(/^NATS rejects the login: .*Authorization Violation/);
  await server.reload(configured('first'));
  await success(client);
});
