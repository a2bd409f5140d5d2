/** The sender of a command, in the event about it: it counts as reported by NATS only if NATS has reported it. */
import { asPeerId, type Caller, Subjects } from '@conclave/protocol';
import { NatsLogin } from '@conclave/protocol/login';
import { connect, headers, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type NatsServer, startNats } from '../../../test/support/nats.js';
import { Connection, newEndpointCounts, RequestServer, silentLog } from '../src/index.js';

const subject = new Subjects('conclave').host(asPeerId('n1'), 'create_group');
const accounts = `accounts {
  MESH { users: [{ user: mesh, password: p }], exports: [{ service: "${subject}" }] }
  TEAM { users: [{ user: ann, password: p }], imports: [{ service: { account: MESH, subject: "${subject}" }, share: true }] }
}`;
let server: NatsServer;
let connection: Connection;
const opened: NatsConnection[] = [];

beforeAll(async () => {
  server = await startNats({ configuration: accounts });
  const login = NatsLogin.of({ servers: server.url, user: 'mesh', password: 'p' });
  connection = await Connection.open({ login, name: 'n1', log: silentLog });
  const requests = new RequestServer(connection, new Subjects('conclave'), silentLog);
  requests.serveSubject(subject, newEndpointCounts(), (request) => request.reply({ caller: request.caller }));
  await connection.settled();
});
afterAll(async () => {
  for (const one of opened) await one.close();
  await connection.close();
  await server.stop();
});

async function open(user: string): Promise<NatsConnection> {
  const one = await connect({ servers: server.url, user, pass: 'p' });
  opened.push(one);
  return one;
}

async function callerOf(user: string, given: Readonly<Record<string, string>>): Promise<Caller> {
  const named = headers();
  for (const [name, value] of Object.entries(given)) named.set(name, value);
  const reply = await (await open(user)).request(subject, '{}', { headers: named, timeout: 60_000 });
  return reply.json<{ caller: Caller }>().caller;
}

const forged = { 'Nats-Request-Info': JSON.stringify({ user: 'boss', acc: 'TEAM' }) };

it('a caller is named by NATS if a service import adds its name, whatever the sender writes there', async () => {
  expect(await callerOf('ann', {})).toEqual({ name: 'ann of TEAM', source: 'nats' });
  expect(await callerOf('ann', forged)).toEqual({ name: 'ann of TEAM', source: 'nats' });
});

it('a sender within the account cannot send in the name of NATS', async () => {
  expect(await callerOf('mesh', forged)).toEqual({ name: '', source: 'unknown' });
  expect(await callerOf('mesh', { ...forged, 'Conclave-Caller': 'me' })).toEqual({ name: 'me', source: 'named' });
  // Nor by the reply subject that an import would have.
  const attacker = await open('mesh');
  const refused = new Promise<unknown>((resolve) => {
    void (async () => {
      for await (const status of attacker.status()) if (status.type === 'error') resolve(status.error);
    })();
  });
  attacker.publish(subject, '{}', { reply: '_R_.aaaaaa.bbbbbb' });
  expect(String(await refused)).toMatch(/Permissions Violation/i);
});

it('a name has no characters that command a terminal', async () => {
  const { name } = await callerOf('mesh', { 'Conclave-Caller': 'a\u001b[2Jb\u009bc' });
  expect(name).toMatch(/^a\?\[2Jb.*c$/);
  expect(name).not.toMatch(/\p{Cc}/u);
});
