import { rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Mesh, Stops, until } from '../mesh/fault-mesh.js';
import { startNats } from '../support/nats.js';

const listed = ['n1', 'n2', 'n3'];
const names = [...listed, 'n4', 'n5'];
let stops: Stops;
let mesh: Mesh;

beforeEach(async () => {
  stops = new Stops();
  const nats = await startNats();
  stops.add(() => nats.stop());
  const placement = (name: string) => (name === 'n4' || name === 'n5' ? 'four' : 'one');
  // All are asked for three election timeouts each time.
  const args = ['--election-timeout-ms', '500', '--heartbeat-interval-ms', '50'];
  mesh = await Mesh.open({ servers: [nats], peers: names, placement, args });
  stops.add(() => mesh.stop());
  await mesh.start(...names);
});

afterEach(() => stops.run());

/** As `docker compose down -v` does with all but the peers of the profile `spare`, and `up` after it. */
async function loseVolumesOf(...lost: readonly string[]): Promise<void> {
  await mesh.kill(...lost);
  for (const name of lost) rmSync(mesh.peer(name).dataDir, { recursive: true });
  await mesh.start(...lost);
}

/** Asks n1 to found the group, once its log-store has answered. */
function bootstrap(timeout_ms: number, more: object = {}) {
  return until('n1 has started', async () => {
    const body = { peers: listed, timeout_ms, ...more };
    const answer = await mesh.plain.ask('n1.admin.bootstrap', body, timeout_ms + 10_000);
    return answer.errorCode === 429 ? undefined : answer;
  });
}

async function uids(...of: readonly string[]): Promise<string[]> {
  const statuses = await Promise.all(of.map((name) => mesh.status(name)));
  return statuses.map(({ group_uid }) => group_uid);
}

describe('bootstrap next to a live group', () => {
  it('bootstrap creates nothing while n4 and n5 have the group of five and three volumes are lost, and reports what to do (promise 29)', async () => {
    const founded = await mesh.plain.insist('n1.admin.bootstrap', { peers: names });
    await mesh.plain.insist('kv.put', { key: 'kept', value: 'by n4 and n5' });
    for (const name of names) await mesh.caughtUp(name);
    await loseVolumesOf(...listed);

    const refused = await bootstrap(5000);
    expect(refused.errorCode).toBe(412);
    expect(refused.body).toMatchObject({ error: { code: 'ENOTEMPTY', outcome: 'not_done' } });
    const { message } = refused.body.error as { message: string };
    expect(message).toMatch(/n4 \(history .*n5 \(history .*it has no leader/);
    expect(message).toContain(`history ${founded.group_uid}`);
    expect(message).toContain('conclave bootstrap --new');
    expect(await uids(...listed)).toEqual(['', '', '']);

    // Their nodes are down: their log-stores reply.
    await Promise.all(['n4', 'n5'].map((name) => mesh.peer(name).process('node').kill()));
    const asked = (await bootstrap(5000)).body.error as { code: string; message: string };
    expect(asked).toMatchObject({ code: 'ENOTEMPTY', message: expect.stringContaining('n5 (history') });

    // A node that does not know yet what it holds may hold anything.
    await mesh.kill('n4', 'n5');
    await mesh.peer('n4').process('node').start();
    const opening = (await bootstrap(5000)).body.error as { code: string; message: string };
    expect(opening).toMatchObject({ code: 'EUNREACHABLE', message: expect.stringMatching(/n4.* may hold data/) });

    // What is meant is asked for. The old group has no quorum, and stays as it is.
    await mesh.start('n4', 'n5');
    expect((await bootstrap(20_000, { new: true })).body).toMatchObject({ founded: true, peers: listed });
    await mesh.plain.insist('kv.put', { key: 'new', value: 'group' });
    expect((await bootstrap(5000)).body).toMatchObject({ founded: false, peers: listed });
    expect(await uids('n4', 'n5')).toEqual([founded.group_uid, founded.group_uid]);
    expect(new Set(await uids(...listed)).size).toBe(1);
    expect(await mesh.plain.insist('kv.get', { key: 'kept' })).toMatchObject({ value: null });
  });

  it('answers what is there when n1, n2 and n3 come back empty at once and the group is n1, n4 and n5, as after `docker compose down -v` without the profile spare', async () => {
    const founded = await mesh.plain.insist('n1.admin.bootstrap', { peers: listed });
    await mesh.plain.insist('admin.change_peers', { new_peers: ['n1', 'n4', 'n5'] });
    await mesh.plain.insist('kv.put', { key: 'kept', value: 'by n4 and n5' });
    await loseVolumesOf(...listed);
    const reply = await until('bootstrap is answered', async () => {
      const { body, errorCode } = await bootstrap(8000);
      return errorCode === 0 ? body : undefined;
    });
    expect(reply).toMatchObject({ founded: false, group_uid: founded.group_uid, peers: ['n1', 'n4', 'n5'] });
    expect(['n4', 'n5']).toContain(reply.leader_id);
    expect(await mesh.plain.insist('kv.get', { key: 'kept' })).toMatchObject({ value: 'by n4 and n5' });
    // A new group beside it would stop both.
    const second = await bootstrap(8000, { new: true });
    expect(second.body).toMatchObject({ error: { code: 'ENOTEMPTY', outcome: 'not_done' } });
    for (const uid of await uids(...names)) expect(['', founded.group_uid]).toContain(uid);
  });
});
