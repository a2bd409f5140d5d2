/** Subscriptions that NATS refuses, and permits later. */
import { NatsLogin } from '@conclave/protocol/login';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type NatsServer, startNats } from '../../../test/support/nats.js';
import { Connection } from '../src/index.js';

const configured = (allowed: string): string => `authorization { timeout: 60, users: [
  { user: sender, password: p }
  { user: peer, password: p, permissions: { publish: ">", subscribe: [${allowed}] } }
] }`;
let server: NatsServer;
let sender: NatsConnection;
const openSender = () => connect({ servers: server.url, user: 'sender', pass: 'p', reconnect: false });
let connection: Connection;
let onLine: (text: string) => void = () => undefined;

beforeAll(async () => {
  server = await startNats({ configuration: configured('"_INBOX.>"') });
  sender = await openSender();
  connection = await Connection.open({
    login: NatsLogin.of({ servers: server.url, user: 'peer', password: 'p' }),
    name: 'n1',
    log: { write: (_level, text) => onLine(text) },
    pingIntervalMs: 20,
  });
});
afterAll(async () => {
  await connection.close();
  await sender.close();
  await server.stop();
});

/** Settled at the next such line of the connection's log. */
const logged = (words: string) =>
  new Promise<void>((resolve) => {
    onLine = (text) => {
      if (text.includes(words)) resolve();
    };
  });

it('subscriptions that NATS refused are made again when they are permitted, with the same connection or the next one, and each message is received once', async () => {
  const received: string[] = [];
  const refused = logged('a subscription failed');
  const subscription = connection.subscribe('x', ({ data }) => void received.push(Buffer.from(data).toString()));
  await refused;
  expect(connection.problem).toBe('EPERM: NATS does not permit this login to subscribe to x');

  const permitted = logged('is permitted now');
  await server.reload(configured('"_INBOX.>", "x"'));
  await permitted;
  expect(connection.problem).toBeUndefined();
  sender.publish('x', '1');
  await sender.flush();
  await connection.settled();
  expect(received).toEqual(['1']);

  const taken = logged('a subscription failed');
  await server.reload(configured('"_INBOX.>"'));
  await taken;
  expect(connection.problem).toContain('EPERM');
  await server.kill();
  const again = logged('is permitted now');
  await server.restart(configured('"_INBOX.>", "x"'));
  await again;
  sender = await openSender();
  sender.publish('x', '2');
  await sender.flush();
  await connection.settled();
  expect(received).toEqual(['1', '2']);
  expect(connection.problem).toBeUndefined();
  subscription.unsubscribe();
});

it('the log of a login that is rejected for a while has one line for the loss and one for the new connection', async () => {
  const lines: string[] = [];
  const counted = (words: string) => lines.filter((line) => line === words).length;
  const rejections = 5;
  const rejected = new Promise<void>((resolve) => {
    let errors = 0;
    void (async () => {
      for await (const status of connection.nats.status()) {
        if (status.type !== 'error') continue;
        errors += 1;
        if (errors === rejections) return resolve();
      }
    })();
  });
  let again = (): void => undefined;
  const connected = new Promise<void>((resolve) => {
    again = resolve;
  });
  onLine = (text) => {
    lines.push(text);
    if (text === 'connected to NATS again') again();
  };
  await server.reload(configured('"_INBOX.>"').replace('peer, password: p', 'peer, password: q'));
  await rejected;
  await server.reload(configured('"_INBOX.>"'));
  await connected;
  await connection.settled();
  expect([counted('disconnected from NATS'), counted('connected to NATS again')]).toEqual([1, 1]);
  expect(connection.problem).toBeUndefined();
});

it('a subscription that is ended while NATS refuses it is reported no more', async () => {
  const refused = logged('a subscription failed');
  const subscription = connection.subscribe('y', () => undefined);
  await refused;
  subscription.unsubscribe();
  expect(connection.problem).toBeUndefined();
});
