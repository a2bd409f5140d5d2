/** A state machine of one's own: the example of the jobs, on real processes. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type NatsServer, startNats } from '../support/nats.js';
import { ActorProcess } from '../support/peers.js';
import { Mesh, Stops, until } from './fault-mesh.js';

const jobs = fileURLToPath(new URL('../../examples/jobs/jobs.js', import.meta.url));
const peers = ['n1', 'n2', 'n3'];

const stops = new Stops();
let server: NatsServer;
let mesh: Mesh;

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  const args = ['--application', jobs, '--snapshot-margin-entries', '0'];
  mesh = await Mesh.found({ servers: [server], peers, placement: 'four', args }, stops);
});
afterAll(() => stops.run());

describe('the jobs example', () => {
  it('writes, takes a snapshot, is restarted, and has all of its data', async () => {
    const { plain } = mesh;
    const added = await Promise.all(
      Array.from({ length: 20 }, (_, index) => plain.insist('kv.add', { job: `job ${index}` })),
    );
    expect(new Set(added.map(({ number }) => number)).size).toBe(20);
    const first = await plain.insist('kv.take');
    expect(first).toEqual({ number: 1, job: expect.stringMatching(/^job \d+$/) });

    for (const peer of peers) await plain.insist(`${peer}.admin.snapshot`);
    const second = await plain.insist('kv.take');
    const { commit_index } = await plain.insist('admin.status');
    for (const name of peers) await mesh.peer(name).kill();
    await mesh.start(...peers);

    expect(await plain.insist('kv.count')).toEqual({ taken: 2, waiting: 18 });
    const rest = [first, second];
    for (let left = 18; left > 0; left--) rest.push(await plain.insist('kv.take'));
    expect(rest.map(({ number }) => number)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
    expect(new Set(rest.map(({ job }) => job)).size).toBe(20);
    expect(await plain.insist('kv.take')).toEqual({ number: 0, job: null });

    // Each peer has come back by its snapshot and what is behind it: what is before it is gone.
    const status = await plain.insist('n2.admin.status');
    expect(status.first_index).toBeGreaterThan(1);
    expect(status.first_index).toBeLessThanOrEqual(Number(commit_index));
    await until('n3 has applied all', async () => {
      const { body } = await plain.ask('n3.kv.count');
      return body.taken === 20 ? true : undefined;
    });
  });

  it('rejects an unknown command with its own message', async () => {
    expect(await mesh.plain.ask('kv.add', { job: 7 })).toMatchObject({
      body: { error: { code: 'EINVAL', message: 'a job is a text', outcome: 'not_done' } },
      errorCode: 400,
    });
    expect((await mesh.plain.ask('kv.put', { key: 'a', value: 'b' })).body).toMatchObject({
      error: { code: 'ENOENT', message: 'there is no operation put' },
    });
  });
});

describe('conclave run --application', () => {
  it.each([
    ['./no-such-file.js', 'no-such-file.js'],
    [`${jobs}#nothing`, 'exports no nothing'],
    ['no-such-package', 'no-such-package'],
    ['@conclave/protocol', 'exports no application'],
  ])('refuses %s before it does anything', async (application, why) => {
    const args = ['--peer', 'x', '--actors', 'node', '--nats', server.url, '--application', application];
    const made = new ActorProcess('x', args, {});
    await expect(made.start()).rejects.toThrow(why);
    expect(await made.ended()).toMatchObject({ code: 6 });
  });
});
