import { asGroupId, asPeerId, Subjects } from '@conclave/protocol';
import { NatsLogin } from '@conclave/protocol/login';
import { connect, type NatsConnection } from 'nats';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type NatsServer, startNats } from '../../../test/support/nats.js';
import { Connection, MicroService, newEndpointCounts, RequestServer, serveHealth, silentLog } from '../src/index.js';

const groupId = asGroupId('g');
const peerId = asPeerId('n1');
const subjects = new Subjects('a.b');
let server: NatsServer;
let connection: Connection;
let client: NatsConnection;

beforeAll(async () => {
  server = await startNats();
});
afterAll(() => server.stop());
beforeEach(async () => {
  connection = await Connection.open({ login: NatsLogin.of({ servers: server.url }), name: 'n1', log: silentLog });
  client = await connect({ servers: server.url });
});
afterEach(async () => {
  await client.close();
  await connection.close();
});

/** Subjects of Conclave and of NATS, and a wildcard. Servers take those of gateways from gateways alone. */
const foreign = ['a.b.g.admin.transfer_leader', 'a.b', '$SRV.STATS.conclave', '_INBOX.*'];

it('a request whose reply would go to a subject of Conclave or of NATS is counted, and not carried out', async () => {
  const requests = new RequestServer(connection, subjects, silentLog);
  const carriedOut: string[] = [];
  const serve = (subject: string) =>
    requests.serveSubject(subject, newEndpointCounts(), (request) => {
      carriedOut.push(subject);
      request.reply({});
    });
  serve(subjects.groupRequest(groupId, 'kv', 'put'));
  serve(subjects.host(peerId, 'create_group'));
  const address = { groupId, peerId, actor: 'node', incarnation: 'i' } as const;
  const actor = { health: () => ({ healthy: true, reason: '' }), dropped: {} };
  serveHealth(connection, subjects, address, actor, { dropped: {} });
  const service = { id: 'i', version: '1.0.0', description: '', metadata: {} };
  new MicroService(
    connection,
    subjects,
    service,
    () => [],
    () => ({}),
  ).start();
  await connection.settled();

  const attacked: string[] = [];
  client.subscribe('a.b.g.admin.transfer_leader', { callback: (_error, { subject }) => void attacked.push(subject) });
  client.subscribe('$SRV.STATS.conclave', { callback: (_error, { reply }) => void attacked.push(reply ?? 'a reply') });
  const served = [
    subjects.groupRequest(groupId, 'kv', 'put'),
    subjects.host(peerId, 'create_group'),
    subjects.health({ groupId, peerId, recipient: 'node' }),
    '$SRV.INFO.conclave',
    '$SRV.PING',
  ];
  for (const subject of served) {
    for (const reply of foreign) client.publish(subject, '{}', { reply });
  }
  for (const subject of served) await client.request(subject, '{}');
  expect(attacked).toEqual([]);
  expect(carriedOut).toEqual(served.slice(0, 2));
  expect(connection.dropped).toEqual({ reply_to_no_inbox: foreign.length * served.length });
  const health = await client.request(served[2] ?? '', '{}');
  expect(health.json<{ dropped: object }>().dropped).toEqual({
    reply_to_no_inbox: foreign.length * served.length,
  });
});
