import { cpSync, rmSync } from 'node:fs';
import { type BootstrapReply, decode, messages } from '@conclave/protocol';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Mesh, Stops, until } from '../mesh/fault-mesh.js';
import { Writers } from '../mesh/fault-writers.js';
import { type NatsServer, startNats } from '../support/nats.js';

const names = ['n1', 'n2', 'n3'];
const server = new Stops();
const stops = new Stops();
let nats: NatsServer;
let mesh: Mesh;
let acknowledged: ReadonlyMap<string, string>;
let groupUid: string;
let term: number;

beforeAll(async () => {
  nats = await startNats();
  server.add(() => nats.stop());
});

afterAll(() => server.run());

/** A group with writes in it, all of whose processes have been killed. */
beforeEach(async () => {
  mesh = await Mesh.found({ servers: [nats], peers: names, placement: 'one' }, stops);
  const writers = await Writers.start([nats.url]);
  await writers.progress(200);
  await writers.stop();
  expect(writers.failed).toEqual([]);
  acknowledged = writers.acknowledged;
  for (const name of names) await mesh.caughtUp(name);
  ({ group_uid: groupUid, term } = await mesh.leaderStatus());
  await mesh.kill(...names);
});

afterEach(() => stops.run());

/** Requests from n1 to found the group, once its log-store has replied. @returns the reply of n1 */
function foundByN1(): Promise<Record<string, unknown>> {
  return until('n1 has started', async () => {
    const { body } = await mesh.plain.ask('n1.admin.bootstrap', { peers: names, timeout_ms: 1000 });
    return (body.error as { code?: string } | undefined)?.code === 'EBUSY' ? undefined : body;
  });
}

function loseVolume(name: string): void {
  rmSync(mesh.peer(name).dataDir, { recursive: true });
}

/** `bootstrap`, as a deployment runs it at each start: again until there is an answer. */
async function bootstrap(name: string): Promise<BootstrapReply> {
  const reply = await mesh.plain.insist(`${name}.admin.bootstrap`, { peers: names, timeout_ms: 5000 });
  return reply as unknown as BootstrapReply;
}

/** No peer reports another group under the name, and the group has all that it acknowledged. */
async function expectSameGroup(holders: readonly string[]): Promise<void> {
  for (const name of names) {
    const { group_uid } = await mesh.status(name);
    expect(holders.includes(name) ? [groupUid] : ['', groupUid]).toContain(group_uid);
  }
  for (const name of holders) expect(await mesh.missing(name, acknowledged), `missing at ${name}`).toEqual([]);
}

describe('a volume is lost, and everything is restarted with bootstrap:', () => {
  it.each(names)(
    'if %s loses its volume, bootstrap creates no second group, the new store is reported, and the leader replaces the lost store (promise 6)',
    async (lost) => {
      loseVolume(lost);
      const left = names.filter((name) => name !== lost);
      await mesh.start(...names);
      // The very first one that bootstrap asks is n1, be it the one that has lost everything.
      expect(await bootstrap('n1')).toMatchObject({ founded: false, group_uid: groupUid });
      expect(await bootstrap(lost)).toMatchObject({ founded: false, group_uid: groupUid });
      const { peer_id: leader } = await mesh.leaderAfter(term);
      expect(left).toContain(leader);
      await mesh.plain.event('peer_refused', (body) => body.refused_peer === lost);
      await expectSameGroup(left);
      // Without an operator, and without a write.
      await mesh.replaced(lost);
      await mesh.healthy(...names);
      await expectSameGroup(names);
    },
  );

  it('if n1 loses its volume while n3 is down, the vote of n1 does not count, and there is no leader until n3 is back', async () => {
    loseVolume('n1');
    await mesh.start('n1', 'n2');
    const body = await foundByN1();
    expect(body).toMatchObject({ error: { code: 'ENOTEMPTY', message: expect.stringContaining('held by n2') } });
    await elections('n2', 3);
    expect(await mesh.status('n2')).toMatchObject({ leader_id: '', group_uid: groupUid });
    expect(await mesh.status('n1')).toMatchObject({ leader_id: '', group_uid: '', last_index: 0 });
    await expect(mesh.plain.ask('admin.status')).rejects.toThrow('no responders');
    expect(
      mesh.plain.events.filter((event) => event.name === 'leader_elected' && Number(event.body.term) > term),
    ).toEqual([]);

    await mesh.start('n3');
    const { peer_id: leader } = await mesh.leaderAfter(term);
    expect(['n2', 'n3']).toContain(leader);
    await mesh.plain.insist('kv.put', { key: 'after', value: 'the third is back' });
    await expectSameGroup(['n2', 'n3']);
  });

  it('if n1 loses its volume while all others are down, bootstrap creates nothing, and finds the group when they are back', async () => {
    loseVolume('n1');
    await mesh.start('n1');
    await mesh.healthy('n1');
    const body = await foundByN1();
    expect(body).toMatchObject({ error: { code: 'EUNREACHABLE', outcome: 'not_done' } });
    expect(await mesh.status('n1')).toMatchObject({ group_uid: '', last_index: 0 });
    await mesh.start('n2', 'n3');
    expect(await bootstrap('n1')).toMatchObject({ founded: false, group_uid: groupUid });
    await mesh.leaderAfter(term);
    await expectSameGroup(['n2', 'n3']);
  });
});

it('a volume that is copied to another peer is rejected there with its owner’s name, and the group continues (promise 6)', async () => {
  cpSync(mesh.peer('n1').dataDir, mesh.peer('n7').dataDir, { recursive: true });
  await mesh.start('n7', ...names);
  const reason = await until('n7 reports what is wrong', async () => {
    const { body } = await mesh.plain.ask('n7.log-store.health', {}, 1000);
    return body.healthy === false && String(body.reason).startsWith('EINVAL') ? String(body.reason) : undefined;
  });
  expect(reason).toContain('this data was made for the peer n1, and this is n7');
  await mesh.leaderAfter(term);
  await mesh.healthy(...names);
  await expectSameGroup(names);
  const { configuration } = await mesh.leaderStatus();
  expect(configuration?.peers.map(({ peer_id }) => peer_id)).toEqual(names);
});

/** Settled when this peer has asked for votes in so many elections. */
async function elections(candidate: string, howMany: number): Promise<void> {
  const ids = new Set<number>();
  const subscription = mesh.plain.nats.subscribe('conclave.main.*.node.request_vote.*', {
    callback: (_error, message) => {
      const body = messages['node.request_vote'].schema.parse(decode(message.data));
      if (body.candidate_id === candidate) ids.add(body.election_id);
    },
  });
  await until(`${candidate} has stood ${howMany} times`, async () => (ids.size >= howMany ? true : undefined));
  subscription.unsubscribe();
}
