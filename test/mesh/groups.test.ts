/** Groups that are created, deleted and listed on running peers, each with four processes and with one. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exitOf, makeFolder, removeFolder, spawnGuarded } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { type Peer, type Placement, startPeer } from '../support/peers.js';
import { PlainClient } from '../support/plain-client.js';

const command = fileURLToPath(new URL('../../packages/cli/bin/conclave.js', import.meta.url));
const peers = ['n1', 'n2', 'n3'];
let server: NatsServer;
/** Asks on the subjects that are of no group. */
let hosts: PlainClient;

beforeAll(async () => {
  server = await startNats();
  hosts = await PlainClient.open([server.url], 'admin');
});
afterAll(async () => {
  await hosts.close();
  await server.stop();
});

/** Runs the command to its end. */
async function conclave(...args: string[]): Promise<{ code: number | null; out: string; error: string }> {
  const child = spawnGuarded(process.execPath, [command, ...args, '--nats', server.url], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { out: '', error: '' };
  child.stdout?.on('data', (data: Buffer) => {
    said.out += data.toString();
  });
  child.stderr?.on('data', (data: Buffer) => {
    said.error += data.toString();
  });
  const { code } = await exitOf(child);
  return { code, ...said };
}

async function onAll(name: string, body: unknown): Promise<Record<string, unknown>[]> {
  return Promise.all(peers.map((peer) => hosts.insist(`${peer}.${name}`, body)));
}

/** Uses a group, and gives the connection back. */
async function inGroup<T>(group: string, use: (client: PlainClient) => Promise<T>): Promise<T> {
  const client = await PlainClient.open([server.url], group);
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

async function stored(peer: string, group: string): Promise<Record<string, unknown> | undefined> {
  const { groups } = await hosts.insist(`${peer}.list_groups`);
  return (groups as Record<string, unknown>[]).find(({ group_id }) => group_id === group);
}

describe.each<Placement>(['four', 'one'])('groups on running peers of %s process(es)', (placement) => {
  let started: Peer[];

  beforeAll(async () => {
    started = await Promise.all(peers.map((peer) => startPeer({ peer, nats: [server.url], placement })));
  });
  afterAll(async () => {
    await Promise.all(started.map((peer) => peer.stop()));
  });

  it('are created with plain JSON, bootstrapped, and written to', async () => {
    const created = await onAll('create_group', { group_id: 'orders' });
    const actors = ['node', 'replicator', 'ballot-box', 'log-store'];
    expect(created).toMatchObject(peers.map(() => ({ group_id: 'orders', created: true, actors })));
    const again = await onAll('create_group', { group_id: 'orders' });
    expect(again).toEqual(created.map((reply) => ({ ...reply, created: false })));
    await inGroup('orders', async (client) => {
      await client.insist('n1.admin.bootstrap', { peers });
      await client.insist('kv.put', { key: 'a', value: '1' });
      expect(await client.insist('kv.get', { key: 'a' })).toMatchObject({ value: '1' });
    });
    const { group_uid } = await inGroup('orders', (client) => client.insist('admin.status'));
    expect(await stored('n2', 'orders')).toMatchObject({ fixed: false, group_uid });
    expect(await stored('n2', 'main')).toMatchObject({ fixed: true, hosting_id: '' });
  });

  it('are restored after a kill -9 of a peer’s processes', async () => {
    const peer = started[2] as Peer;
    await peer.kill();
    await inGroup('orders', (client) => client.insist('kv.put', { key: 'b', value: '2' }));
    await peer.start();
    await inGroup('orders', async (client) => {
      const status = await client.insist('admin.status');
      for (;;) {
        const { applied_index } = await client.insist('n3.admin.status');
        if (Number(applied_index) >= Number(status.commit_index)) break;
      }
      expect(await client.insist('n3.kv.get', { key: 'b' })).toMatchObject({ value: '2' });
    });
  });

  it('stay deleted: late messages do not recreate them, and the same name is a new group', async () => {
    const before = await Promise.all(peers.map((peer) => stored(peer, 'orders')));
    const old = await inGroup('orders', (client) => client.insist('admin.status'));
    expect(await onAll('delete_group', { group_id: 'orders', group_uid: old.group_uid })).toEqual(
      peers.map(() => ({ group_id: 'orders', deleted: true, actors: [] })),
    );
    expect(await onAll('delete_group', { group_id: 'orders' })).toEqual(
      peers.map(() => ({ group_id: 'orders', deleted: false, actors: [] })),
    );
    await inGroup('orders', async (client) => {
      await expect(client.ask('n1.admin.status')).rejects.toThrow();
      await expect(client.ask('n1.log-store.health')).rejects.toThrow();
      client.nats.publish('conclave.orders.n1.log-store.hello', JSON.stringify({ group_id: 'orders', nonce: 'x' }));
      await client.nats.flush();
    });
    expect(await stored('n1', 'orders')).toBeUndefined();

    await onAll('create_group', { group_id: 'orders' });
    const after = await Promise.all(peers.map((peer) => stored(peer, 'orders')));
    await inGroup('orders', async (client) => {
      // A repeated request, after a slow reply, reports that the group exists.
      const founded = await client.insist('n1.admin.bootstrap', { peers });
      expect(founded.group_uid).not.toBe(old.group_uid);
      expect(await client.insist('kv.get', { key: 'a' })).toMatchObject({ value: null });
      const { store_id } = await client.insist('n1.admin.status');
      expect(store_id).not.toBe((before[0] as { store_id: string }).store_id);
    });
    expect(after.map((group) => group?.hosting_id)).not.toEqual(before.map((group) => group?.hosting_id));
    await onAll('delete_group', { group_id: 'orders' });
  });

  it('are rejected with a reason if the request is not valid', async () => {
    expect(await hosts.ask('n1.delete_group', { group_id: 'main' })).toMatchObject({
      body: { error: { code: 'EINVAL', message: expect.stringContaining('--groups') } },
    });
    expect(await hosts.ask('n1.create_group', { group_id: 'a.b' })).toMatchObject({
      body: { error: { code: 'EINVAL', outcome: 'not_done' } },
    });
    expect(await hosts.ask('n1.delete_group', { group_id: 'nope', group_uid: 'u' })).toMatchObject({
      body: { error: { code: 'ENOENT' } },
    });
    expect(await hosts.ask('n1.rename_group', {})).toMatchObject({ body: { error: { code: 'ENOENT' } } });
  });
});

describe('conclave groups', () => {
  let started: Peer[];

  beforeAll(async () => {
    started = await Promise.all(peers.map((peer) => startPeer({ peer, nats: [server.url], placement: 'one' })));
  });
  afterAll(async () => {
    await Promise.all(started.map((peer) => peer.stop()));
  });

  it('creates, lists and deletes groups; conclave health checks them, too', async () => {
    const made = await conclave('groups', 'create', 'bills', '--peers', peers.join());
    expect(made).toMatchObject({ code: 0, out: expect.stringContaining('group bills founded: {n1,n2,n3}') });
    const again = await conclave('groups', 'create', 'bills', '--peers', peers.join(), '--json');
    expect(JSON.parse(again.out)).toMatchObject({ group_id: 'bills', created: [], bootstrap: { founded: false } });
    const spare = await conclave('groups', 'create', 'spare', '--peers', 'n1', '--no-bootstrap');
    expect(spare.out).toBe('group spare is hosted by {n1}\n');

    const listed = await conclave('groups', 'list');
    expect(listed.code).toBe(0);
    const lines = listed.out.split('\n').map((line) => line.trim().split(/ {2,}/));
    expect(lines.filter(([group]) => group === 'bills').map(([, peer]) => peer)).toEqual(peers);
    expect(lines.find(([group]) => group === 'spare')).toEqual(['spare', 'n1', '0', 'not founded', 'created']);
    const one = await conclave('groups', 'list', '--peers', 'n2', '--json');
    expect(JSON.parse(one.out).peers[0].groups).toMatchObject([{ group_id: 'main' }, { group_id: 'bills' }]);

    for (const which of [['--groups', 'bills'], ['--all-groups']]) {
      const { code, error } = await conclave('health', '--peer', 'n2', ...which);
      expect(code, `${which.join(' ')}: ${error}`).toBe(0);
    }
    expect(await conclave('health', '--peer', 'n2', '--groups', 'spare')).toMatchObject({
      code: 1,
      error: expect.stringContaining('in group spare does not answer'),
    });

    const leader = await inGroup('bills', async (client) => String((await client.insist('admin.status')).leader_id));
    const moved = await conclave('leader', 'transfer', '--from', leader, '--all-groups');
    expect(moved, moved.error).toMatchObject({ code: 0, out: expect.stringMatching(/^bills: n\d leads now\n$/) });
    const stays = await conclave('leader', 'transfer', '--from', leader, '--all-groups');
    expect(stays.out).toMatch(new RegExp(`^bills: ${leader} does not lead: n\\d does\n$`));
    expect(await conclave('leader', 'transfer', '--all-groups')).toMatchObject({ code: 2 });

    const deleted = await conclave('groups', 'delete', 'bills', '--peers', peers.join(), '--yes');
    expect(deleted).toMatchObject({ code: 0, out: 'group bills is deleted at {n1,n2,n3}\n' });
    await conclave('groups', 'delete', 'spare', '--peers', 'n1', '--yes');
    const nobody = await conclave('groups', 'delete', 'spare', '--peers', 'n1,n9', '--timeout-ms', '300', '--yes');
    expect(nobody).toMatchObject({ code: 4, out: '', error: expect.stringContaining('n9: EUNREACHABLE') });
    const unsure = await conclave('groups', 'delete', 'spare', '--peers', 'n1');
    expect(unsure).toMatchObject({ code: 2, error: expect.stringContaining('not done without --yes') });
  });

  it('continue when conclave up in another folder would start the same peers: it refuses', async () => {
    const folder = makeFolder('second-up');
    const before = await stored('n1', 'main');
    const second = await conclave('up', '--data-dir', folder);
    removeFolder(folder);
    expect(second).toMatchObject({
      code: 3,
      out: '',
      error:
        'conclave: EBUSY: another mesh serves n1, n2, n3 on this NATS server under the prefix conclave: ' +
        'give --prefix, or another NATS server\n',
    });
    expect(await stored('n1', 'main')).toEqual(before);
  });
});

describe('a peer of several processes', () => {
  it('starts and stops groups in processes that were down when the groups were created or deleted', async () => {
    const [peer, client] = await Promise.all([
      startPeer({ peer: 'p', nats: [server.url] }),
      PlainClient.open([server.url], 'later'),
    ]);
    try {
      await peer.process('node').kill();
      const { actors } = await hosts.insist('p.create_group', { group_id: 'later' });
      expect(actors).toEqual(['replicator', 'ballot-box', 'log-store']);
      await peer.start();
      await client.insist('p.admin.bootstrap', { peers: ['p'] });
      await client.insist('kv.put', { key: 'a', value: '1' });

      // The node is not notified of the deletion, and comes back.
      peer.process('node').signal('SIGSTOP');
      expect(await hosts.insist('p.delete_group', { group_id: 'later' })).toMatchObject({ actors: ['node'] });
      await hosts.insist('p.create_group', { group_id: 'later' });
      const opened = peer
        .process('node')
        .line(({ msg, group }) => msg === 'the log-store is open' && group === 'later', false);
      peer.process('node').signal('SIGCONT');
      await opened;
      expect(await client.insist('p.admin.bootstrap', { peers: ['p'] })).toMatchObject({ peers: ['p'] });
      const status = await client.insist('admin.status');
      const { groups } = await hosts.insist('p.list_groups');
      expect((groups as Record<string, unknown>[]).find(({ group_id }) => group_id === 'later')).toMatchObject({
        group_uid: status.group_uid,
        store_id: status.store_id,
      });
    } finally {
      await client.close();
      await peer.stop();
    }
  });
});
