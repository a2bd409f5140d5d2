/**
 * Users behind a leaf node: a NATS server of another operator, which logs in to that of the mesh with the user's credential. Whoever runs it
 * may do what that user may, and nothing else.
 */
import { ConclaveClient } from '@conclave/client';
import { HealthReply, type StatusReply } from '@conclave/protocol';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePorts, startNats } from '../support/nats.js';
import { peerUser, roleUser, SecuredNats, testUser } from '../support/secured-nats.js';
import { Mesh, Stops, until } from './fault-mesh.js';

const stops = new Stops();
let nats: SecuredNats;
let mesh: Mesh;
let leafPort: number;
const events: { event: string; body: Readonly<Record<string, unknown>> }[] = [];

beforeAll(async () => {
  [leafPort] = (await freePorts(1)) as [number];
  const users = [testUser, peerUser('n1'), roleUser('client', '--owner', 'me')];
  nats = await SecuredNats.start(users, `leafnodes { listen: "127.0.0.1:${leafPort}" }`);
  stops.add(() => nats.server.stop());
  mesh = await Mesh.found(
    {
      servers: [nats.server],
      peers: ['n1'],
      placement: 'one',
      envOf: (name) => nats.environment(name),
      login: nats.login('test'),
    },
    stops,
  );
  const observer = await connect(nats.login('test'));
  stops.add(() => observer.close());
  observer.subscribe('conclave.main.event.*.*', {
    callback: (_, message) => void events.push({ event: message.subject.split('.')[3] ?? '', body: message.json() }),
  });
  await observer.flush();
});
afterAll(() => stops.run());

/** Starts a leaf node with a user's credential. @returns its URL */
async function startLeaf(user: string): Promise<string> {
  const remote = `nats-leaf://${user}:password-of-${user}@127.0.0.1:${leafPort}`;
  let onConnected: () => void;
  const connected = new Promise<void>((resolve) => {
    onConnected = resolve;
  });
  const leaf = await startNats({
    configuration: `leafnodes { remotes: [{ url: "${remote}" }] }`,
    onLine: (line) => {
      if (/Leafnode connection created/.test(line)) onConnected();
    },
  });
  stops.add(() => leaf.stop());
  await connected;
  return leaf.url;
}

async function open(servers: string, user: string, more: object = {}): Promise<NatsConnection> {
  const connection = await connect({ servers, inboxPrefix: `_INBOX.${user}`, ...more });
  stops.add(() => connection.close());
  return connection;
}

async function dropped(): Promise<Readonly<Record<string, number>>> {
  const { body } = await mesh.plain.ask('n1.node.health');
  return HealthReply.parse(body).dropped;
}

it('promise 37: a client behind a leaf node can use keys, watches and locks, and nothing that its role may not', async () => {
  const connection = await open(await startLeaf('client'), 'client');
  const client = await ConclaveClient.connect({ connection, groupId: 'main', owner: 'me' });
  await client.kv.put('k', '1');
  expect(await client.kv.get('k', { peerId: 'n1', consistency: 'linearizable' })).toMatchObject({ value: '1' });
  for await (const event of client.watch('', { state: true })) if (event.type === 'current') break;
  const lock = await client.lock('printer');
  await lock.release();

  const had = await dropped();
  const before: StatusReply = await mesh.leaderStatus();
  const replies = ['conclave.main.admin.transfer_leader', 'conclave.other.admin.status', '$SRV.PING.conclave'];
  for (const reply of replies) connection.publish('conclave.main.kv.get', '{"key":"k"}', { reply });
  await until('such requests are counted', async () => {
    expect((await dropped()).reply_to_no_inbox).toBe((had.reply_to_no_inbox ?? 0) + replies.length);
    return true;
  });
  const forbidden = ['n1.admin.snapshot', 'admin.status', 'event.leader_elected.n1', 'n1.node.append_entries.n1'];
  for (const rest of forbidden) connection.publish(`conclave.main.${rest}`, '{}', { reply: '_INBOX.client.x' });
  connection.publish('conclave.admin.n1.create_group', '{"group_id":"other"}');
  await connection.flush();
  // What comes later over the same connection is executed later.
  await client.kv.put('k', '2');
  const after = await mesh.leaderStatus();
  expect({ term: after.term, snapshot: after.snapshot }).toEqual({ term: before.term, snapshot: before.snapshot });
  expect(events.filter(({ event }) => ['admin_command', 'leader_elected'].includes(event)).slice(1)).toEqual([]);
  await client.close();
});
