import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type NatsServer, startNatsCluster } from '../support/nats.js';
import { type ActorKind, actorKinds } from '../support/peers.js';
import { Mesh, Stops } from './fault-mesh.js';
import { Writers } from './fault-writers.js';

/** Four processes a peer, three NATS servers, each peer preferring its own; under writes from the first test to the last. */
const names = ['n1', 'n2', 'n3'];
const stops = new Stops();
let servers: NatsServer[];
let mesh: Mesh;
let writers: Writers;

beforeAll(async () => {
  servers = await startNatsCluster(3);
  for (const server of servers) stops.add(() => server.stop());
  mesh = await Mesh.found({ servers, peers: names, placement: 'four' }, stops);
  writers = await Writers.start(
    servers.map(({ url }) => url),
    8,
    'main',
    10,
  );
  stops.add(() => writers.stop());
  await writers.progress();
});

afterEach(async () => {
  // Whatever a test has left dead.
  await mesh.start(...names);
  await mesh.healthy(...names);
});

afterAll(() => stops.run());

/** How many of the acknowledged writes have been read back: those stand first. */
let readBack = 0;

/** Reads back what was acknowledged since it did so last; `all`: from the first test on. */
async function expectNothingLost(all = false): Promise<void> {
  const acknowledged = [...writers.acknowledged];
  const writes = new Map(acknowledged.slice(all ? 0 : readBack));
  await Promise.all(
    names.map(async (name) => expect(await mesh.missing(name, writes), `missing at ${name}`).toEqual([])),
  );
  readBack = acknowledged.length;
}

describe('one actor is killed with kill -9', () => {
  it.each(actorKinds)(
    'if the %s of a follower dies, no write fails, and the follower recovers by itself',
    async (actor: ActorKind) => {
      const { peer_id: leader, term } = await mesh.leaderStatus();
      const follower = names.find((name) => name !== leader) as string;
      const failed = writers.failed.length;
      const victim = mesh.peer(follower).process(actor);
      await victim.kill();
      // The two others serve, with the same leader.
      await writers.progress();
      expect(await mesh.leaderStatus()).toMatchObject({ peer_id: leader, term });
      await victim.start();
      await mesh.healthy(follower);
      await writers.progress();
      await expectNothingLost();
      expect(writers.failed.slice(failed)).toEqual([]);
    },
  );

  it.each(actorKinds)(
    'if the %s of the leader dies and is not restarted, another peer becomes leader, and the service continues',
    async (actor: ActorKind) => {
      const { peer_id: leader, term } = await mesh.leaderStatus();
      const failed = writers.failed.length;
      const victim = mesh.peer(leader).process(actor);
      await victim.kill();
      const next = await mesh.leaderAfter(term, leader);
      await writers.progress();
      // It does not lead while one of its actors is down, although its node runs (if another actor was killed).
      expect((await mesh.leaderStatus()).peer_id).not.toBe(leader);
      expect(next.peer_id).not.toBe(leader);
      await victim.start();
      await mesh.healthy(leader);
      await writers.progress();
      await expectNothingLost();
      expect(writers.failed.slice(failed)).toEqual([]);
    },
  );

  it.each(actorKinds)(
    'if the %s of the leader dies and is restarted at once, no write fails',
    async (actor: ActorKind) => {
      const { peer_id: leader } = await mesh.leaderStatus();
      const failed = writers.failed.length;
      const victim = mesh.peer(leader).process(actor);
      await victim.kill();
      await victim.start();
      await mesh.healthy(...names);
      await writers.progress();
      await expectNothingLost();
      expect(writers.failed.slice(failed)).toEqual([]);
    },
  );
});

describe('NATS servers are killed with kill -9', () => {
  it('if the leader’s NATS server dies, the leader’s processes connect to another server', async () => {
    const { peer_id: leader } = await mesh.leaderStatus();
    const failed = writers.failed.length;
    const server = servers[names.indexOf(leader)] as NatsServer;
    await server.kill();
    await writers.progress();
    await mesh.healthy(...names);
    await writers.progress();
    await server.restart();
    await writers.progress();
    await expectNothingLost();
    expect(writers.failed.slice(failed)).toEqual([]);
  });

  it('if all NATS servers die, writes wait, and the group recovers by itself when the servers are back', async () => {
    const { peer_id: leader } = await mesh.leaderStatus();
    const steppedDown = mesh
      .peer(leader)
      .process('node')
      .line(({ msg }) => msg === 'steps down', false);
    await Promise.all(servers.map((server) => server.kill()));
    // Long enough that nobody leads any more.
    await steppedDown;
    await Promise.all(servers.map((server) => server.restart()));
    await writers.progress();
    await mesh.healthy(...names);
    await expectNothingLost();
  });
});

describe('everything is killed at once with kill -9', () => {
  it('if all processes of all peers and all NATS servers die, no acknowledged write is lost, and the group continues after the restart', async () => {
    const before = new Map(writers.acknowledged);
    const { group_uid, term } = await mesh.leaderStatus();
    await Promise.all([mesh.kill(...names), ...servers.map((server) => server.kill())]);
    await Promise.all([...servers.map((server) => server.restart()), mesh.start(...names)]);
    const again = await mesh.leaderAfter(term);
    expect(again.group_uid).toBe(group_uid);
    await writers.progress();
    await mesh.healthy(...names);
    expect(before.size).toBeGreaterThan(0);
    await expectNothingLost(true);
  });
});
