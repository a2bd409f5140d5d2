/** What each role must not do, tried on a NATS server with the permissions that `conclave permissions` prints. */
import { ConclaveClient } from '@conclave/client';
import {
  decode,
  encode,
  HealthReply,
  type MessageName,
  MetricsReply,
  messages,
  type StatusReply,
} from '@conclave/protocol';
import { Random } from '@conclave/simulator';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { peerUser, roleUser, SecuredNats, testUser } from '../support/secured-nats.js';
import { ViewProcess } from '../support/view.js';
import { Mesh, Stops, until } from './fault-mesh.js';
import { sample } from './garbage-samples.js';

const names = ['n1', 'n2', 'n3'];
const others = ['operator', 'client', 'reader', 'observer'];
const stops = new Stops();
let nats: SecuredNats;
let mesh: Mesh;
const connections = new Map<string, NatsConnection>();

beforeAll(async () => {
  const ofMain = (role: string) => roleUser(role, '--group', 'main', ...(role === 'client' ? ['--owner', 'me'] : []));
  nats = await SecuredNats.start([testUser, ...names.map(peerUser), ...others.map(ofMain)]);
  stops.add(() => nats.server.stop());
  const envOf = (name: string) => nats.environment(name);
  mesh = await Mesh.found(
    { servers: [nats.server], peers: names, placement: 'one', envOf, login: nats.login('test') },
    stops,
  );
  for (const name of ['n3', ...others]) {
    const connection = await connect(nats.login(name));
    connections.set(name, connection);
    stops.add(() => connection.close());
  }
  await mesh.healthy(...names);
});
afterAll(() => stops.run());

let before: StatusReply;
beforeEach(async () => {
  before = await mesh.leaderStatus();
});

const as = (name: string): NatsConnection => connections.get(name) as NatsConnection;

/** Whoever leads still does, and nothing was changed. */
async function expectUnmoved(): Promise<void> {
  const { peer_id, term, configuration } = await mesh.leaderStatus();
  expect({ peer_id, term, configuration }).toEqual({
    peer_id: before.peer_id,
    term: before.term,
    configuration: before.configuration,
  });
}

async function dropped(peer: string): Promise<Readonly<Record<string, number>>> {
  const { body } = await mesh.plain.ask(`${peer}.node.health`);
  return HealthReply.parse(body).dropped;
}

/** Tries to publish, and waits until the server has noted each as a violation. */
async function expectForbidden(user: string, subjects: readonly string[]): Promise<void> {
  const had = nats.violations.length;
  for (const subject of subjects) as(user).publish(subject, '{}');
  await as(user).flush();
  const wanted = subjects.map((subject) => `${user} ${subject}`);
  await until(`the server refuses ${user}`, async () => {
    const refused = nats.violations.slice(had);
    expect(wanted.filter((one) => !refused.includes(one))).toEqual([]);
    return true;
  });
}

it('promise 37: only a peer can send as a peer, and none as another peer', async () => {
  const random = new Random(1);
  const sentBy = (from: string) => [
    ...(Object.keys(messages) as MessageName[]).map((name) => `conclave.main.n1.${name}.${from}`),
    `conclave.main.event.leader_elected.${from}`,
    `conclave.main.history.${from}`,
    `conclave.admin.n1.node.bundle.${from}`,
    `conclave.admin.${from}.groups.${from}`,
  ];
  const unsigned = [
    ...(Object.keys(messages) as MessageName[]).map((name) => `conclave.main.n1.${name}`),
    'conclave.main.event.leader_elected',
    'conclave.admin.n1.node.bundle',
    'conclave.admin.n2.groups',
  ];
  for (const user of ['n3', ...others]) {
    await expectForbidden(user, [...sentBy('n2'), ...unsigned, ...(user === 'n3' ? [] : sentBy('n3'))]);
  }
  // In its own name, of another: a stolen credential.
  const [victim] = names.filter((name) => name !== 'n3' && name !== before.peer_id) as [string];
  const had = await dropped(victim);
  const fields = { group_id: 'main', group_uid: before.group_uid, term: 2 ** 40, leader_term: 2 ** 40 };
  const lies = { leader_id: before.peer_id, peer_id: before.peer_id, candidate_id: before.peer_id };
  const sent = Object.keys(messages) as MessageName[];
  for (const name of sent) {
    const body = sample(messages[name].schema, random, { ...fields, ...lies, store_id: 's', session: 1 });
    as('n3').publish(`conclave.main.${victim}.${name}.n3`, encode(body));
  }
  await as('n3').flush();
  await until('all of them are dropped and counted', async () => {
    const has = await dropped(victim);
    for (const name of sent)
      expect(has[`other_sender:${name}`] ?? 0, name).toBeGreaterThan(had[`other_sender:${name}`] ?? 0);
    return true;
  });
  await expectUnmoved();
});

it('promise 37: each role is denied the subjects of the others', async () => {
  const commands = [
    'admin.change_peers',
    'admin.transfer_leader',
    'n1.admin.snapshot',
    'n1.admin.reset_peer',
    'n1.admin.bootstrap',
  ];
  const command = commands.map((rest) => `conclave.main.${rest}`);
  const hosts = ['create_group', 'delete_group', 'node.log_level', 'node.profile', 'node.profile_chunk'].map(
    (name) => `conclave.admin.n1.${name}`,
  );
  const writes = ['put', 'delete', 'txn', 'batch', 'lease_grant', 'lock', 'open_session'].map(
    (name) => `conclave.main.kv.${name}`,
  );
  const reads = ['conclave.main.kv.get', 'conclave.main.n1.kv.get', 'conclave.main.kv.watch'];
  const elsewhere = [
    'conclave.other.kv.put',
    'conclave.other.admin.status',
    '_INBOX.operator.x',
    '$SYS.REQ.SERVER.PING',
    'x',
  ];
  await expectForbidden('client', [
    ...command,
    ...hosts,
    ...elsewhere,
    'conclave.main.watch.me.x',
    'conclave.main.admin.status',
    'conclave.main.n1.node.metrics',
  ]);
  await expectForbidden('reader', [...command, ...hosts, ...elsewhere, ...writes, 'conclave.main.n1.kv.put']);
  await expectForbidden('observer', [...command, ...hosts, ...elsewhere, ...writes, ...reads]);
  await expectForbidden('operator', [...writes, ...reads, '_INBOX.client.x', 'x']);
  await expectForbidden('n3', [
    ...command,
    ...hosts,
    ...writes,
    ...reads,
    'conclave.main.n1.node.health',
    'conclave.main.n1.node.metrics',
    'x',
  ]);
  await expectUnmoved();
});

it('operators, readers and observers read metrics', async () => {
  for (const user of ['operator', 'reader', 'observer']) {
    const { data } = await as(user).request('conclave.main.n1.log-store.metrics', encode({}), { timeout: 10_000 });
    expect(MetricsReply.safeParse(decode(data)).success, user).toBe(true);
  }
});

it('promise 37: each role receives only its own subjects', async () => {
  const replies = ['_INBOX.>', '_INBOX.test.>', '_INBOX.peer.n1.>', '>', 'conclave.>'];
  const requests = [
    'conclave.main.kv.put',
    'conclave.main.admin.*',
    'conclave.main.n1.>',
    'conclave.main.n1.kv.*',
    '$SRV.INFO',
  ];
  const messagesOf = ['conclave.main.*.*.*.*', 'conclave.admin.*.*.bundle.*'];
  const events = ['conclave.main.event.>', 'conclave.main.event.stage_changed.*'];
  const forbidden: Record<string, readonly string[]> = {
    client: [...replies, ...requests, ...messagesOf, ...events, 'conclave.main.watch.you.*', 'conclave.main.watch.>'],
    reader: [...replies, ...requests, ...messagesOf, ...events],
    observer: [...replies, ...requests, ...messagesOf, 'conclave.main.watch.me.*'],
    operator: [...replies, ...requests, 'conclave.main.watch.me.*', '_INBOX.client.>'],
    n3: [...replies, 'conclave.main.n1.>', 'conclave.main.n1.node.*.*', 'conclave.main.watch.me.*', '_INBOX.client.>'],
  };
  for (const [user, subjects] of Object.entries(forbidden)) {
    for (const subject of subjects) {
      for (const queue of [undefined, 'q']) {
        const refused = new Promise<Error>((resolve) => {
          const callback = (error: Error | null) => void (error !== null && resolve(error));
          as(user).subscribe(subject, queue === undefined ? { callback } : { callback, queue });
        });
        expect(String(await refused), `${user} ${subject} ${queue}`).toMatch(/permission/i);
      }
    }
  }
});

it('promise 37: a client cannot send a command as the reply to a request', async () => {
  const had = await dropped(before.peer_id);
  const events: string[] = [];
  const observer = as('observer').subscribe('conclave.main.event.*.*', {
    callback: (error, { subject }) => {
      if (error === null) events.push(subject);
    },
  });
  await as('observer').flush();
  const [other] = names.filter((name) => name !== before.peer_id) as [string];
  const attacks = [
    ...Array.from({ length: 6 }, () => 'conclave.main.admin.transfer_leader'),
    `conclave.main.${other}.admin.snapshot`,
    `conclave.main.event.leader_elected.${before.peer_id}`,
    '$SRV.STATS.conclave',
  ];
  for (const reply of attacks) as('client').publish('conclave.main.kv.get', '{"key":"k"}', { reply });
  for (const reply of attacks) as('observer').publish(`conclave.main.${before.peer_id}.node.health`, '{}', { reply });
  for (const reply of attacks) as('observer').publish(`conclave.admin.${before.peer_id}.list_groups`, '{}', { reply });
  await Promise.all([as('client').flush(), as('observer').flush()]);
  await until('all are counted', async () => {
    expect((await dropped(before.peer_id)).reply_to_no_inbox ?? 0).toBe(
      (had.reply_to_no_inbox ?? 0) + 3 * attacks.length,
    );
    return true;
  });
  await expectUnmoved();
  expect((await mesh.statusOnce(other)).snapshot).toBe(null);
  expect(events).toEqual([]);
  observer.unsubscribe();
});

it('promise 37: each role can do its work without a violation', async () => {
  const had = nats.violations.length;
  // Who sees messages may share them out among his own programs, and takes none of them from the peers.
  const seen = as('operator').subscribe('conclave.main.*.*.*.*', { queue: 'q', callback: () => undefined });
  const client = await ConclaveClient.connect({ connection: as('client'), groupId: 'main', owner: 'me' });
  await client.kv.put('a', '1');
  const reader = await ConclaveClient.connect({ connection: as('reader'), groupId: 'main' });
  expect(await reader.kv.get('a')).toMatchObject({ value: '1' });
  expect(await reader.kv.get('a', { peerId: 'n2', consistency: 'linearizable' })).toMatchObject({ value: '1' });
  for await (const event of client.watch('', { state: true })) if (event.type === 'current') break;
  for await (const event of reader.watch('', { state: true })) if (event.type === 'current') break;
  const transferred = await as('operator').request('conclave.main.admin.transfer_leader', '{}', { timeout: 20_000 });
  expect(transferred.json()).toEqual({});
  await mesh.leaderAfter(before.term);
  await client.kv.put('a', '2');
  expect(await reader.kv.get('a')).toMatchObject({ value: '2' });
  await client.close();
  await reader.close();
  expect(seen.getReceived()).toBeGreaterThan(0);
  seen.unsubscribe();
  expect(nats.violations.slice(had)).toEqual([]);
  // Nor did the peers ever; the connection of n3 was the thief's.
  expect(nats.violations.filter((line) => /^n[12] /.test(line))).toEqual([]);
});

it('the page of an observer shows events and states, and names the roles for messages and keys', async () => {
  const view = await ViewProcess.start(nats.server.url, { env: nats.environment('observer') });
  stops.add(() => view.stop());
  await view.streams(/"peer":"n1","status":\{/, /this login needs the role operator/);
  const keys = await fetch(`${view.url}api/keys?prefix=`);
  expect(await keys.json()).toMatchObject({ error: { code: 'EPERM' } });
});
