import { afterAll, beforeAll, expect, it } from 'vitest';
import { Mesh, Stops, until } from '../mesh/fault-mesh.js';
import { type NatsServer, startNatsCluster } from '../support/nats.js';

/**
 * A leader whose process has ended is replaced before the election timeout, which is so long here that a leader elected within it
 * was elected early.
 */
const names = ['n1', 'n2', 'n3'];
const electionTimeoutMs = 8000;
const stops = new Stops();
let mesh: Mesh;

beforeAll(async () => {
  const servers: NatsServer[] = await startNatsCluster(3);
  for (const server of servers) stops.add(() => server.stop());
  const args = ['--election-timeout-ms', String(electionTimeoutMs)];
  mesh = await Mesh.found({ servers, peers: names, placement: 'four', args }, stops);
});

afterAll(() => stops.run());

/** No vote counts before: a node that has started waits for an election timeout. */
async function waitUntilAllMayVote(): Promise<void> {
  await mesh.start(...names);
  await mesh.healthy(...names);
  const sinceMs = performance.now();
  await until('the nodes have run for an election timeout', async () =>
    performance.now() - sinceMs > electionTimeoutMs ? true : undefined,
  );
}

async function expectEarlySuccessor(kill: (leader: string) => Promise<void>): Promise<void> {
  await waitUntilAllMayVote();
  const { peer_id: leader, term } = await mesh.leaderStatus();
  await mesh.plain.insist('kv.put', { key: 'before', value: leader });
  await kill(leader);
  const successor = await until(
    'a successor before the election timeout',
    async () => {
      const { body, errorCode } = await mesh.plain.ask('admin.status', {}, 1000);
      return errorCode === 0 && Number(body.term) > term ? String(body.peer_id) : undefined;
    },
    electionTimeoutMs * 0.75,
  );
  expect(successor).not.toBe(leader);
  expect(await mesh.plain.insist('kv.get', { key: 'before' })).toMatchObject({ value: leader });
  const reports = names.flatMap((name) => mesh.peer(name).process('node').lines);
  expect(reports.some(({ msg }) => msg === 'NATS reports that nobody leads the group')).toBe(true);
}

it('the node of the leader is killed: another peer leads before the election timeout', () =>
  expectEarlySuccessor((leader) => mesh.peer(leader).process('node').kill()));

it('all processes of the leader are killed: another peer leads before the election timeout', () =>
  expectEarlySuccessor((leader) => mesh.kill(leader)));
