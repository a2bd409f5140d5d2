/**
 * Two deployments on one NATS with the same prefix and peer names: the second one does not start, and the first is not
 * disturbed.
 */
import type { HealthReply } from '@conclave/protocol';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Mesh, Stops, until } from '../mesh/fault-mesh.js';
import { Writers } from '../mesh/fault-writers.js';
import { startNats } from '../support/nats.js';
import { Peer, type PeerOptions } from '../support/peers.js';

const names = ['n1', 'n2', 'n3'];
const stops = new Stops();
let url: string;
let mesh: Mesh;
let writers: Writers;

beforeAll(async () => {
  const server = await startNats();
  url = server.url;
  stops.add(() => server.stop());
  mesh = await Mesh.found(
    { servers: [server], peers: names, placement: (name) => (name === 'n1' ? 'four' : 'one') },
    stops,
  );
  writers = await Writers.start([url], 8, 'main', 10);
  stops.add(() => writers.stop());
  await writers.progress();
  await mesh.healthy(...names);
});
afterAll(() => stops.run());

/** A peer of the other deployment, with a data folder of its own. */
function other(options: Pick<PeerOptions, 'peer' | 'placement' | 'groups'>): Peer {
  const peer = new Peer({ nats: [url], ...options });
  stops.add(() => peer.stop());
  return peer;
}

/** Each of its processes ends by itself, with the exit code of what was refused. */
async function expectRefused(peer: Peer): Promise<void> {
  for (const [at, started] of (await Promise.allSettled(peer.processes.map((each) => each.start()))).entries()) {
    const process = peer.processes[at];
    expect(String((started as PromiseRejectedResult).reason), process?.name).toMatch(
      /ended with 3:.*another process serves the [a-z-]+ of n\d already.* the prefix conclave .*--prefix/s,
    );
  }
}

it('each process of the second deployment refuses to start and prints why, whatever the names of its groups', async () => {
  const before = await Promise.all(names.map((name) => mesh.status(name)));
  await Promise.all([
    expectRefused(other({ peer: 'n1', placement: 'four' })),
    expectRefused(other({ peer: 'n2', placement: 'one' })),
    expectRefused(other({ peer: 'n3', placement: 'two', groups: ['orders'] })),
  ]);
  await writers.progress();
  await mesh.healthy(...names);
  const after = await Promise.all(names.map((name) => mesh.status(name)));
  const kept = ({ session, store_id, term, leader_id }: (typeof after)[number]) => ({
    session,
    store_id,
    term,
    leader_id,
  });
  expect(after.map(kept)).toEqual(before.map(kept));
  expect(writers.failed).toEqual([]);
});

it('a killed peer can be started again, in four processes or one', async () => {
  for (const name of ['n1', 'n2']) {
    await mesh.kill(name);
    await mesh.start(name);
  }
  await mesh.healthy(...names);
});

it('of two that start at the same time one serves, and the other refuses to start', async () => {
  const twins = [1, 2].map(() => other({ peer: 'n9', placement: 'one' }));
  const started = await Promise.allSettled(twins.map((twin) => twin.start()));
  const refused = started.filter((one) => one.status === 'rejected');
  expect(refused.map(({ reason }) => String(reason))).toEqual([expect.stringContaining('another process serves')]);
});

it('a paused node is replaced, and is fenced when it resumes', async () => {
  const first = mesh.peer('n1').process('node');
  first.signal('SIGSTOP');
  const fenced = mesh.plain.event('peer_fenced', ({ peer_id }) => peer_id === 'n1');
  const another = mesh.another('n1', 'node');
  await another.start();
  await until('n1 serves', async () => ((await mesh.statusOnce('n1')).health.healthy ? true : undefined));
  first.signal('SIGCONT');
  await fenced;

  // The fenced one still replies, and prevents no other process from starting in its place.
  await another.kill();
  const third = mesh.another('n1', 'node');
  await third.start();
  await until('n1 serves', async () => {
    const answers = await mesh.plain.nats.requestMany('conclave.main.n1.node.health', '{}', {
      strategy: 'timer',
      maxWait: 500,
    });
    for await (const answer of answers) if (answer.json<HealthReply>().healthy) return true;
    return undefined;
  });
  await writers.progress();
});
