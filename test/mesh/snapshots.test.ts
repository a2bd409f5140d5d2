/** Snapshots on real processes, while the group is written to: taking them, restarting from one, and installing one. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startCommand } from '../support/command.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { Mesh, Stops } from './fault-mesh.js';
import { Writers } from './fault-writers.js';
import { fill } from './snapshot-transfers.js';

const names = ['n1', 'n2', 'n3'];
const margin = 100;
const stops = new Stops();
let server: NatsServer;
let mesh: Mesh;
let writers: Writers;

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  const args = ['--snapshot-log-mb', '2', '--snapshot-margin-entries', String(margin)];
  const placement = (name: string) => (name === 'n4' ? 'four' : 'one');
  mesh = await Mesh.found({ servers: [server], peers: names, placement, args }, stops);
  writers = await Writers.start([server.url]);
  stops.add(() => writers.stop());
});

afterAll(() => stops.run());

it('are taken by each peer as its log grows, the log before them is compacted, and no write fails', async () => {
  const put = await fill(mesh, 'large', 40, 64 * 1024);
  await Promise.all(names.map((name) => mesh.plain.event('snapshot_taken', (body) => body.peer_id === name)));
  await writers.progress(4 * margin);
  for (const name of names) {
    const { snapshot } = await mesh.status(name);
    expect(snapshot?.bytes, name).toBeGreaterThan(64 * 1024);
  }
  expect(await mesh.missing('n1', put)).toEqual([]);
  expect(writers.failed).toEqual([]);
});

it('are taken on command, and then the log has little more than the margin', async () => {
  const { code, out, error } = await startCommand(server.url, ['snapshot', '--json']).ended;
  expect({ code, error }).toEqual({ code: 0, error: '' });
  const replies = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(replies.map(({ peer_id }) => peer_id).toSorted()).toEqual(names);
  for (const reply of replies) {
    expect(reply).toMatchObject({ taken: true });
    // The leader keeps what a follower has not got yet.
    expect(Number(reply.first_index), String(reply.peer_id)).toBeGreaterThan(Number(reply.index) - 20 * margin);
  }
  expect(writers.failed).toEqual([]);
});

it('promise 19: a restart restores the snapshot and applies the entries after it', async () => {
  const leader = (await mesh.leaderStatus()).peer_id;
  const follower = names.find((name) => name !== leader) as string;
  const { snapshot } = await mesh.status(follower);
  await mesh.kill(follower);
  await writers.progress();
  await mesh.start(follower);
  const restored = await mesh
    .peer(follower)
    .process('node')
    .line(({ msg }) => msg === 'has restored the state');
  expect(restored.index).toBeGreaterThanOrEqual(Number(snapshot?.index));
  expect(await mesh.missing(follower, new Map(writers.acknowledged))).toEqual([]);
  expect(writers.failed).toEqual([]);
});

it('promise 12: a new peer receives a snapshot during a change, and all entries after it', async () => {
  await mesh.start('n4');
  const reply = await mesh.plain.ask(
    'admin.change_peers',
    { new_peers: ['n1', 'n2', 'n4'], timeout_ms: 60_000 },
    70_000,
  );
  expect(reply.body).toEqual({ old_peers: names, new_peers: ['n1', 'n2', 'n4'] });
  expect(mesh.plain.events).toContainEqual(
    expect.objectContaining({
      name: 'catchup_progress',
      body: expect.objectContaining({ new_peer: 'n4', state: 'installing' }),
    }),
  );
  const { body } = await mesh.plain.event('snapshot_installed', ({ peer_id }) => peer_id === 'n4');
  expect(body.leader_id).toMatch(/^n[123]$/);
  expect((await mesh.status('n4')).first_index).toBeGreaterThan(1);
  expect(await mesh.missing('n4', new Map(writers.acknowledged))).toEqual([]);
  expect(writers.failed).toEqual([]);
});

it('promise 14: members and changes survive a restart of all peers, although their log is compacted', async () => {
  const before = await mesh.leaderStatus();
  await writers.stop();
  for (const name of ['n1', 'n2', 'n4']) await mesh.plain.insist(`${name}.admin.snapshot`);
  await mesh.kill('n1', 'n2', 'n4');
  await mesh.start('n1', 'n2', 'n4');
  const after = await mesh.leaderAfter(before.term);
  expect(after.configuration?.peers.map(({ peer_id }) => peer_id)).toEqual(['n1', 'n2', 'n4']);
  expect(after.changes.map(({ new_peers, state }) => ({ new_peers, state }))).toEqual(
    before.changes.map(({ new_peers, state }) => ({ new_peers, state })),
  );
  for (const name of ['n1', 'n2', 'n4']) {
    expect(await mesh.missing(name, writers.acknowledged), name).toEqual([]);
  }
  await mesh.healthy('n1', 'n2', 'n4');
});
