import { decode, type HealthReply, HealthReply as HealthSchema } from '@conclave/protocol';
import { createInbox } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Mesh, Stops, until } from '../mesh/fault-mesh.js';
import { Writers } from '../mesh/fault-writers.js';
import { startNats } from '../support/nats.js';
import type { ActorProcess } from '../support/peers.js';

const names = ['n1', 'n2', 'n3'];
const stops = new Stops();
let mesh: Mesh;
let writers: Writers;

beforeAll(async () => {
  const server = await startNats();
  stops.add(() => server.stop());
  const placement = (name: string) => (name === 'n1' ? 'four' : 'one');
  mesh = await Mesh.found({ servers: [server], peers: names, placement }, stops);
  writers = await Writers.start([server.url], 8, 'main', 10);
  stops.add(() => writers.stop());
  await writers.progress();
  await mesh.healthy(...names);
});

afterAll(() => stops.run());

/** The health that each node with the name n1 reports. */
async function nodesOfN1(howMany: number): Promise<HealthReply[]> {
  const { nats } = mesh.plain;
  const inbox = createInbox();
  const replies: HealthReply[] = [];
  const all = new Promise<void>((resolve) => {
    nats.subscribe(inbox, {
      max: howMany,
      callback: (_error, message) => {
        replies.push(HealthSchema.parse(message.json()));
        if (replies.length === howMany) resolve();
      },
    });
  });
  nats.publish('conclave.main.n1.node.health', '{}', { reply: inbox });
  await all;
  return replies;
}

/** Counts messages to an actor of n1; `reached` is settled at so many. */
function countMessages(message: string): { count: () => number; reached: (count: number) => Promise<void> } {
  let count = 0;
  let waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  const subscription = mesh.plain.nats.subscribe(`conclave.main.n1.${message}.*`, {
    callback: () => {
      count += 1;
      for (const { resolve } of waiting.filter((one) => one.count <= count)) resolve();
      waiting = waiting.filter((one) => one.count > count);
    },
  });
  stops.add(async () => subscription.unsubscribe());
  return { count: () => count, reached: (until) => new Promise((resolve) => waiting.push({ count: until, resolve })) };
}

/** The sessions that n1's log-store reports as opened; one may be reported twice, because its opening may be requested twice. */
function noteOpenings(): ReadonlySet<number> {
  const sessions = new Set<number>();
  const subscription = mesh.plain.nats.subscribe('conclave.main.n1.node.opened.n1', {
    callback: (_error, message) => {
      sessions.add((decode(message.data) as { session: number }).session);
    },
  });
  stops.add(async () => subscription.unsubscribe());
  return sessions;
}

/** Starts another node for n1 and shows that it takes the place of the first, once and for good. */
async function expectTakenOver(first: ActorProcess, another: ActorProcess): Promise<void> {
  const { session } = await mesh.status('n1');
  const processId = first.processId;
  const opened = noteOpenings();
  const ticks = countMessages('log-store.tick');
  const fenced = mesh.plain.event('peer_fenced', (body) => body.peer_id === 'n1' && body.session === session + 1);
  await another.start();
  await fenced;

  // The second serves, in the next session.
  await until('n1 serves', async () => {
    const status = await mesh.statusOnce('n1');
    return status.session === session + 1 && status.health.healthy ? true : undefined;
  });
  await writers.progress();

  // The first is unhealthy, reports why, and keeps running.
  const [sick, well] = (await nodesOfN1(2)).sort((a, b) => Number(a.healthy) - Number(b.healthy));
  expect(sick).toMatchObject({ healthy: false, reason: expect.stringContaining('fenced: another node has opened') });
  expect(well).toMatchObject({ healthy: true, reason: '' });
  expect(sick?.incarnation).not.toBe(well?.incarnation);

  // The nodes do not fence each other in turn: after the ticks of three seconds none has opened the log-store again.
  await ticks.reached(ticks.count() + 30);
  expect((await mesh.status('n1')).session).toBe(session + 1);
  expect([...opened]).toEqual([session + 1]);
  expect(first.isRunning).toBe(true);
  expect(first.processId).toBe(processId);
}

describe('two nodes are started for one peer', () => {
  it('a follower: the first is fenced, the second serves, and they do not alternate', async () => {
    const { peer_id: leader } = await mesh.leaderStatus();
    if (leader === 'n1') {
      const { term } = await mesh.leaderStatus();
      await mesh.plain.insist('admin.transfer_leader', { peer_id: 'n2' });
      await mesh.leaderAfter(term, 'n1');
      await mesh.healthy('n1');
    }
    const first = mesh.peer('n1').process('node');
    const another = mesh.another('n1', 'node', '--take-over');
    await expectTakenOver(first, another);
    expect(await mesh.missing('n1', writers.acknowledged)).toEqual([]);

    // The fenced one, started again, ends because there is another one; with the option to take over, the newer one wins.
    await first.kill();
    await expect(first.start()).rejects.toThrow('another process serves the node of n1 already');
    const third = mesh.another('n1', 'node', '--take-over');
    await expectTakenOver(another, third);
    await Promise.all([another.kill(), third.kill()]);
    await first.start();
  });

  it('the leader: another peer or the second node is elected, and nothing is lost', async () => {
    const { term } = await mesh.leaderStatus();
    if ((await mesh.leaderStatus()).peer_id !== 'n1') {
      await mesh.plain.insist('admin.transfer_leader', { peer_id: 'n1' });
      await until('n1 leads', async () => ((await mesh.leaderStatus()).peer_id === 'n1' ? true : undefined));
    }
    await expectTakenOver(mesh.peer('n1').process('node'), mesh.another('n1', 'node', '--take-over'));
    expect((await mesh.leaderStatus()).term).toBeGreaterThan(term);
    await writers.progress();
    for (const name of names) expect(await mesh.missing(name, writers.acknowledged)).toEqual([]);
    expect(writers.failed).toEqual([]);
  });
});
