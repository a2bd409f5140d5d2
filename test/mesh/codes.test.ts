// Codes that are said only where something goes wrong at one moment; the others belong to the stories of other tests.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Level } from 'level';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { Mesh, Stops, until } from './fault-mesh.js';

const names = ['n1', 'n2', 'n3'];
/** A transfer of leadership ends after two election timeouts (decision 0147): they must be long enough to start a process meanwhile. */
const electionTimeoutMs = 6000;
const stops = new Stops();
let server: NatsServer;
let mesh: Mesh;

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  const args = ['--election-timeout-ms', String(electionTimeoutMs)];
  mesh = await Mesh.found({ servers: [server], peers: names, placement: 'four', args }, stops);
  await mesh.healthy(...names);
});

afterAll(() => stops.run());

/** Has the leader transfer its leadership to a peer whose node is paused, so that the command is in progress for a while. */
async function handOverToNobody(timeoutMs: number) {
  // A leader transfers its leadership only if it knows that a quorum stores entries: a new one has received no report yet.
  await mesh.caughtUp(...names);
  const { peer_id: leader } = await mesh.leaderStatus();
  const target = names.find((name) => name !== leader) as string;
  const frozen = mesh.peer(target).process('node');
  frozen.signal('SIGSTOP');
  const asked = mesh.plain.ask('admin.transfer_leader', { peer_id: target, timeout_ms: timeoutMs }, 60_000);
  // The leader has received that request before this one, which does nothing if the leader is not transferring its leadership.
  await until('it transfers its leadership', async () => {
    const { body } = await mesh.plain.ask('admin.transfer_leader', { peer_id: leader }, 1000);
    return JSON.stringify(body).includes('transferring its leadership') ? true : undefined;
  });
  /** It has received what it missed once it leads itself. */
  const wake = async (): Promise<void> => {
    frozen.signal('SIGCONT');
    await until(`${target} leads`, async () => {
      await mesh.plain.ask('admin.transfer_leader', { peer_id: target }, 5000);
      return (await mesh.leaderStatus()).peer_id === target ? true : undefined;
    });
    await mesh.healthy(...names);
  };
  return { leader, asked, wake };
}

it('ETIMEDOUT, unknown: the transfer target is not elected in time', async () => {
  const { asked, wake } = await handOverToNobody(1000);
  expect((await asked).body).toMatchObject({ error: { code: 'ETIMEDOUT', outcome: 'unknown' } });
  await wake();
});

it('ESHUTDOWN, unknown: the process is stopped while it has an open command', async () => {
  const { leader, asked, wake } = await handOverToNobody(60_000);
  const node = mesh.peer(leader).process('node');
  const stopped = node.stop();
  expect((await asked).body).toMatchObject({ error: { code: 'ESHUTDOWN', outcome: 'unknown' } });
  expect(await stopped).toMatchObject({ code: 0 });
  await node.start();
  await wake();
});

it('EFENCED, unknown: a second node of the peer is started while it has an open command', async () => {
  const { leader, asked, wake } = await handOverToNobody(60_000);
  const another = mesh.another(leader, 'node', '--take-over');
  await another.start();
  expect((await asked).body).toMatchObject({ error: { code: 'EFENCED', outcome: 'unknown' } });
  await mesh.peer(leader).process('node').kill();
  await wake();
});

it('ESESSION, unknown: a write in a session that does not exist', async () => {
  const { body } = await mesh.plain.ask('kv.put', { key: 'k', value: 'v', client_id: 999_999_999, sequence: 1 });
  expect(body).toMatchObject({ error: { code: 'ESESSION', outcome: 'unknown' } });
});

it('ESTATEMACHINE, not done: an application throws at a request that it does not understand', async () => {
  const folder = makeFolder('application');
  stops.add(async () => removeFolder(folder));
  const application = path.join(folder, 'application.mjs');
  writeFileSync(
    application,
    `export const application = {
      service: { parse() { throw new Error('what is that?'); } },
      makeStateMachine: () => ({ apply() {}, query() {}, *snapshot() {}, restore: () => ({ take() {}, end() {} }) }),
    };`,
  );
  const groups = ['throwing'];
  const args = ['--application', application];
  const throwing = await Mesh.found({ servers: [server], peers: ['t1'], placement: 'one', groups, args }, stops);
  await throwing.leaderStatus();
  const { body } = await throwing.plain.ask('kv.anything');
  expect(body).toMatchObject({ error: { code: 'ESTATEMACHINE', outcome: 'not_done' } });
  // A state machine without a digest cannot be compared.
  const checked = await throwing.plain.ask('admin.check');
  expect(checked.body).toMatchObject({ error: { code: 'EUNSUPPORTED', outcome: 'not_done' } });
});

it('promise 31: check compares the states of all members, and upgrade prints that all support the level', async () => {
  const compared = await until('all have answered', async () => {
    const { body } = await mesh.plain.ask('admin.check');
    return body.error === undefined && (body.unanswered as unknown[]).length === 0 ? body : undefined;
  });
  expect(compared).toMatchObject({ differing: [] });
  const { body } = await mesh.plain.ask('admin.upgrade');
  expect(body.error).toBeUndefined();
});

it('ECORRUPT: a log-store reports damaged data in its health', async () => {
  // A name of its own: on one NATS server the processes of a peer follow the list of groups of that name.
  const damaged = await Mesh.found({ servers: [server], peers: ['d1'], placement: 'four', groups: ['damaged'] }, stops);
  await damaged.plain.insist('kv.put', { key: 'k', value: 'v' });
  const logStore = damaged.peer('d1').process('log-store');
  await logStore.kill();
  const level = new Level<string, Uint8Array>(path.join(damaged.peer('d1').dataDir, 'level'), {
    valueEncoding: 'view',
  });
  const [last] = await level.iterator({ gte: '~/damaged/', lt: '~/damaged/~', reverse: true, limit: 1 }).all();
  const [key, value] = last as [string, Uint8Array];
  value[value.length - 1] = (value[value.length - 1] as number) ^ 1;
  await level.put(key, value, { sync: true });
  await level.close();
  await logStore.start();
  const reason = await until('the log-store has found it', async () => {
    const { body } = await damaged.plain.ask('d1.log-store.health', {}, 1000);
    return body.healthy === false && String(body.reason).startsWith('ECORRUPT') ? String(body.reason) : undefined;
  });
  expect(reason).toMatch(/^ECORRUPT: group damaged, key ~\/damaged\/\d+.*bad checksum/);
});
