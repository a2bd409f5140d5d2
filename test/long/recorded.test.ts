/**
 * A mesh whose subjects a JetStream stream records, all of them: an operator's idea of an audit. The stream answers
 * each request too, sooner than a peer, and whatever there is no peer for.
 */
import { ConclaveClient } from '@conclave/client';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Stops, until } from '../mesh/fault-mesh.js';
import { startCommand } from '../support/command.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { startPeer } from '../support/peers.js';

const betweenActors = /^conclave[.]main[.]n\d[.](node|replicator|ballot-box|log-store|feed)[.]/;
const stops = new Stops();
let server: NatsServer;
let nats: NatsConnection;
let client: ConclaveClient;

beforeAll(async () => {
  const folder = makeFolder('recorded');
  stops.add(async () => removeFolder(folder));
  server = await startNats({ configuration: `jetstream { store_dir: "${folder}" }` });
  stops.add(() => server.stop());
  nats = await connect({ servers: server.url });
  stops.add(() => nats.close());
  const stream = { name: 'ALL', subjects: ['conclave.>'], storage: 'memory', retention: 'limits', discard: 'old' };
  const made = await nats.request('$JS.API.STREAM.CREATE.ALL', JSON.stringify(stream), { timeout: 60_000 });
  expect(made.json()).not.toHaveProperty('error');
});
afterAll(() => stops.run());

const run = (...args: readonly string[]) => startCommand(server.url, args).ended;

it('a peer starts, founds its group and is commanded, and only a peer is believed', async () => {
  const peers = await Promise.all(
    ['n1', 'n2'].map((peer) => startPeer({ peer, nats: [server.url], placement: 'one' })),
  );
  for (const peer of peers) stops.add(() => peer.stop());
  expect(await run('bootstrap', '--peers', 'n1,n2')).toMatchObject({ code: 0 });
  expect(await run('kv', 'put', 'k', 'v')).toMatchObject({ code: 0 });
  expect(await run('kv', 'get', 'k')).toMatchObject({ code: 0, out: 'v\n' });
  expect(await run('status')).toMatchObject({ code: 0 });
  client = await ConclaveClient.connect({ groupId: 'main', servers: server.url });
  stops.add(() => client.close());
  const before = await client.admin.status();
  expect(await run('leader', 'transfer')).toMatchObject({ code: 0 });
  await until('the other one leads', async () => {
    const { peer_id, role } = await client.admin.status();
    return role === 'leader' && peer_id !== before.peer_id ? true : undefined;
  });
  await until('both are healthy', async () => ((await run('health', '--all-peers')).code === 0 ? true : undefined));
});

it('the client library waits for the peer’s answer', async () => {
  await client.kv.put('k', 'w');
  expect(await client.kv.get('k')).toMatchObject({ value: 'w' });
  expect(await client.admin.status()).toMatchObject({ group_id: 'main' });
  expect(client.status().dropped.foreign_reply).toBeGreaterThan(0);
});

it('a command to an absent peer gets no reply, and reports why that took so long', async () => {
  const { code, error } = await run('snapshot', '--peer', 'n9', '--timeout-ms', '500');
  expect([code, error]).toEqual([expect.any(Number), expect.stringContaining('does a JetStream stream take')]);
  expect(code).not.toBe(0);
  const health = await run('health', '--peer', 'n9', '--timeout-ms', '500');
  expect(health).toMatchObject({ code: 1, error: expect.stringContaining('does not answer within 500 ms') });
});

it('messages of peers that are played again change nothing', async () => {
  const before = await client.admin.status();
  const { state } = (await (await nats.request('$JS.API.STREAM.INFO.ALL')).json()) as { state: { last_seq: number } };
  // By a client that may publish as the peers: on an open server, any client.
  const seqs = Array.from({ length: Math.min(state.last_seq, 1000) }, (_, at) => state.last_seq - at).toReversed();
  for (const seq of seqs) {
    const got = await nats.request('$JS.API.STREAM.MSG.GET.ALL', JSON.stringify({ seq }), { timeout: 60_000 });
    const { message } = got.json<{ message?: { subject: string; data?: string } }>();
    if (message === undefined || !betweenActors.test(message.subject)) continue;
    nats.publish(message.subject, Buffer.from(message.data ?? '', 'base64'));
  }
  await nats.flush();
  expect(await client.kv.get('k')).toMatchObject({ value: 'w' });
  await client.kv.put('k', 'x');
  const { peer_id, term, group_uid } = await client.admin.status();
  expect({ peer_id, term, group_uid }).toEqual({
    peer_id: before.peer_id,
    term: before.term,
    group_uid: before.group_uid,
  });
});
