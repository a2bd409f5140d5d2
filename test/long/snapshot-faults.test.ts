/** Processes that are killed in the middle of an install: the transfer continues, and no write fails (promise 19). */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Mesh, Stops, until } from '../mesh/fault-mesh.js';
import { Writers } from '../mesh/fault-writers.js';
import { fill, installing, noteChunks, timesSent } from '../mesh/snapshot-transfers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import type { ActorKind } from '../support/peers.js';

const names = ['n1', 'n2', 'n3'];
const stops = new Stops();
let server: NatsServer;
let mesh: Mesh;
let writers: Writers;
let large: ReadonlyMap<string, string>;

/** A group with a state of some size, whose log begins behind it, and which is written to. */
async function found(...more: readonly string[]): Promise<void> {
  server = await startNats();
  stops.add(() => server.stop());
  // So slow that there is time to kill something on the way.
  const args = ['--snapshot-mb-per-second', '3', '--snapshot-margin-entries', '0', ...more];
  mesh = await Mesh.found({ servers: [server], peers: names, placement: 'four', args }, stops);
  large = await fill(mesh, 'large', 150, 100 * 1024);
  for (const name of names) await mesh.plain.insist(`${name}.admin.snapshot`);
  writers = await Writers.start([server.url]);
  stops.add(() => writers.stop());
  await writers.progress();
}

async function expectNoFailure(): Promise<void> {
  await writers.progress();
  expect(writers.failed).toEqual([]);
}

/** Adds a new peer; settled when its snapshot has come so far that it is worth going on with. */
async function beginInstall(newPeer: string) {
  await mesh.start(newPeer);
  await mesh.healthy(newPeer);
  const sent = await noteChunks(mesh, newPeer);
  const answer = mesh.plain.ask('admin.add_peer', { peer_id: newPeer, timeout_ms: 120_000 }, 130_000);
  const stored = await installing(mesh, newPeer, 12);
  return { sent, answer, stored };
}

async function expectAllOn(newPeer: string): Promise<void> {
  expect(await mesh.missing(newPeer, large)).toEqual([]);
  expect(await mesh.missing(newPeer, new Map(writers.acknowledged))).toEqual([]);
}

describe('promise 19: sending a snapshot resumes after its last stored chunk when a process is killed with kill -9', () => {
  // A leader is to live through the restart of its replicator, however busy the machine is.
  beforeAll(() => found('--election-timeout-ms', '5000'));
  afterEach(expectNoFailure);
  afterAll(() => stops.run());

  it.each([
    ['n4', 'of the leader’s replicator', 'leader', 'replicator'],
    ['n5', 'of the new peer’s node', 'new peer', 'node'],
    ['n6', 'of the new peer’s log-store', 'new peer', 'log-store'],
  ] as const)('%s: %s', async (newPeer, _what, whose, actor) => {
    const { sent, answer, stored } = await beginInstall(newPeer);
    const { peer_id: leader } = await mesh.leaderStatus();
    await killAndStart(whose === 'leader' ? leader : newPeer, actor);
    expect(await answer).toMatchObject({ errorCode: 0 });
    const times = timesSent(sent);
    expect(times.length).toBeGreaterThan(stored);
    // What was stored before is not sent again.
    expect(times.slice(0, stored)).toEqual(Array<number>(stored).fill(1));
    await expectAllOn(newPeer);
    expect(await mesh.plain.ask('admin.remove_peer', { peer_id: newPeer })).toMatchObject({ errorCode: 0 });
    await mesh.kill(newPeer);
  });

  it.each(['node', 'log-store'] as const)(
    'and a snapshot that is being taken is dropped without harm at a kill -9 of the %s',
    async (actor) => {
      const { peer_id: leader } = await mesh.leaderStatus();
      const follower = names.find((name) => name !== leader) as string;
      const begun = mesh
        .peer(follower)
        .process('node')
        .line(({ msg }) => msg === 'takes a snapshot', false);
      // It may be answered or not, as it is killed meanwhile.
      mesh.plain.ask(`${follower}.admin.snapshot`, {}, 1000).catch(() => undefined);
      await begun;
      await killAndStart(follower, actor);
      await mesh.healthy(follower);
      expect(await mesh.missing(follower, large)).toEqual([]);
      const again = await mesh.plain.insist(`${follower}.admin.snapshot`);
      expect(again).toMatchObject({ taken: true });
      expect(Number(again.first_index)).toBe(Number(again.index) + 1);
    },
  );

  async function killAndStart(peer: string, actor: ActorKind): Promise<void> {
    const process = mesh.peer(peer).process(actor);
    await process.kill();
    await process.start();
  }
});

describe('promise 19: after kill -9 of the leader’s node during a transfer', () => {
  beforeAll(() => found());
  afterEach(expectNoFailure);
  afterAll(() => stops.run());

  it('when the leader died while it sent a snapshot, the next leader sends its own once the change is requested again', async () => {
    const { sent, answer } = await beginInstall('n4');
    // Nobody is left to answer it.
    answer.catch(() => undefined);
    const before = await mesh.leaderStatus();
    const first = sent.at(-1)?.snapshotId;
    const node = mesh.peer(before.peer_id).process('node');
    await node.kill();
    const after = await mesh.leaderAfter(before.term, before.peer_id);
    await node.start();
    expect(after).toMatchObject({ stage: 'none', configuration: { peers: before.configuration?.peers } });
    await until('the change is taken, and done', async () => {
      const again = { peer_id: 'n4', timeout_ms: 90_000 };
      const { body, errorCode } = await mesh.plain.ask('admin.add_peer', again, 100_000);
      if (errorCode !== 0) throw new Error(JSON.stringify(body));
      return body;
    });
    expect(sent.at(-1)?.snapshotId).not.toBe(first);
    await expectAllOn('n4');
  });
});
