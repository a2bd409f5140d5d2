/** `conclave kv` and `conclave lock` as processes, on a group of one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CommandRun, startCommand } from '../support/command.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { Mesh, Stops, until } from './fault-mesh.js';

const stops = new Stops();
let server: NatsServer;
let mesh: Mesh;

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  mesh = await Mesh.found({ servers: [server], peers: ['n1'], placement: 'one' }, stops);
  await mesh.plain.insist('kv.put', { key: 'first', value: 'v' });
});
afterAll(() => stops.run());

function start(...args: readonly string[]): CommandRun {
  return startCommand(server.url, args);
}

function holderOf(name: string): Promise<unknown> {
  return mesh.plain.insist('kv.lock_get', { name }).then(({ holder }) => holder);
}

describe('conclave kv range', () => {
  it('lists keys in order, with revision and value, or alone', async () => {
    const { revision } = await mesh.plain.insist('kv.put', { key: 'list/b', value: 'two' });
    await mesh.plain.insist('kv.put', { key: 'list/a', value: 'one' });
    const listed = await start('kv', 'range', 'list/').ended;
    expect(listed).toMatchObject({ code: 0, out: `list/a\t${Number(revision) + 1}\tone\nlist/b\t${revision}\ttwo\n` });
    expect(await start('kv', 'range', 'list/', '--keys', '--limit', '1').ended).toMatchObject({
      code: 0,
      out: 'list/a\n',
    });
    const json = await start('kv', 'range', 'list/b', '--json').ended;
    expect(JSON.parse(json.out)).toEqual({ key: 'list/b', value: 'two', revision });
    expect(await start('kv', 'range', 'nothing').ended).toMatchObject({ code: 0, out: '' });
  });
});

describe('conclave lock', () => {
  const node = process.execPath;

  it('runs a command while it holds the lock, and ends as that does', async () => {
    const run = start('lock', 'l', '--', node, '-e', 'console.log(process.env.CONCLAVE_LOCK_TOKEN); process.exit(7)');
    const { code, out } = await run.ended;
    expect(code).toBe(7);
    expect(Number(out)).toBeGreaterThan(0);
    expect(await holderOf('l')).toBe(null);
  });

  it('does not run it where another holds the lock, and runs it after that one', async () => {
    const stay = 'process.stdin.resume(); setInterval(() => undefined, 1000)';
    const first = start('lock', 'l', '--owner', 'first', '--', node, '-e', stay);
    await until('it is held', async () => (await holderOf('l')) ?? undefined);
    const refused = await start('lock', 'l', '--wait-ms', '0', '--', node, '-e', 'console.log(1)').ended;
    expect(refused).toMatchObject({ code: 1, out: '', error: 'conclave: EBUSY: first holds "l"\n' });
    const next = start('lock', 'l', '--', node, '-e', 'console.log("ran")');
    await until('the next one waits', async () => {
      const { waiting } = await mesh.plain.insist('kv.lock_get', { name: 'l' });
      return waiting === 1 ? true : undefined;
    });
    first.child.kill('SIGTERM');
    expect((await first.ended).code).toBe(128 + 15);
    expect(await next.ended).toMatchObject({ code: 0, out: 'ran\n' });
  });

  it('stops the command when the lock is lost', async () => {
    const stay = 'setInterval(() => undefined, 1000)';
    const run = start('lock', 'l', '--ttl-ms', '1000', '--', node, '-e', stay);
    const { lease_id } = await until('it is held', async () => {
      const holder = (await holderOf('l')) as { lease_id: number } | null;
      return holder ?? undefined;
    });
    await mesh.plain.insist('kv.lease_revoke', { lease_id });
    const { code, error } = await run.ended;
    expect(code).toBe(1);
    expect(error).toContain('ENOENT');
  });

  it('says what it cannot run, and leaves the lock free', async () => {
    const { code, error } = await start('lock', 'l', 'no-such-command-anywhere').ended;
    expect(code).toBe(1);
    expect(error).toContain('no-such-command-anywhere');
    expect(await holderOf('l')).toBe(null);
  });
});
