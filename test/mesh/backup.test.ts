/** `conclave backup` and `conclave restore`, on a live group, and what a plain NATS client can do of it. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCommand } from '../support/command.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { PlainClient } from '../support/plain-client.js';
import { Mesh, Stops, until } from './fault-mesh.js';
import { Writers } from './fault-writers.js';

const names = ['n1', 'n2', 'n3'];
const stops = new Stops();
const folder = makeFolder('backup');
/** So many of them make several chunks. */
const long = 'ü '.repeat(80_000);
const file = path.join(folder, 'main.backup');
let server: NatsServer;
let mesh: Mesh;
/** What the backup has to have. */
let before: ReadonlyMap<string, string>;

beforeAll(async () => {
  stops.add(async () => removeFolder(folder));
  server = await startNats();
  stops.add(() => server.stop());
  const groups = ['main', 'copy', 'copy-of-damaged', 'written'];
  mesh = await Mesh.found({ servers: [server], peers: names, placement: 'one', groups }, stops);
});

afterAll(() => stops.run());

function conclave(...args: readonly string[]) {
  return startCommand(server.url, args).ended;
}

function recordOf(out: string): Record<string, unknown> {
  return JSON.parse(out) as Record<string, unknown>;
}

describe('a backup', () => {
  it('is read while clients write, and has all writes acknowledged before', async () => {
    const lease = await mesh.plain.insist('kv.lease_grant', { ttl_ms: 3_600_000 });
    await mesh.plain.insist('kv.lock', { name: 'lock', owner: 'somebody', lease_id: lease.lease_id });
    for (const key of ['long-1', 'long-2', 'long-3']) await mesh.plain.insist('kv.put', { key, value: long });
    const writers = await Writers.start([server.url]);
    await writers.progress(500);
    before = new Map(writers.acknowledged);
    const { code, out, error } = await conclave('backup', file, '--json');
    await writers.stop();
    expect({ code, error, failed: writers.failed }).toEqual({ code: 0, error: '', failed: [] });
    expect(recordOf(out)).toMatchObject({ file, group_id: 'main', digest: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(Number(recordOf(out).chunks)).toBeGreaterThan(2);
  });

  it.runIf(process.getuid?.() === 0)('replaces an earlier one only if the disk has room for all of it', async () => {
    const disk = path.join(folder, 'disk');
    mkdirSync(disk);
    const exact = path.join(folder, 'exact.backup');
    expect(await conclave('backup', exact)).toMatchObject({ code: 0 });
    // The last page has no room.
    const pages = Math.ceil(statSync(exact).size / 4096) - 1;
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${(pages + 1) * 4096}`, 'tmpfs', disk]);
    stops.add(async () => void execFileSync('umount', ['-l', disk]));
    const target = path.join(disk, 'main.backup');
    writeFileSync(target, 'an earlier one');
    expect(await conclave('backup', target)).toMatchObject({
      code: 6,
      error: `conclave: ${target} cannot be written: no space left on device\n`,
    });
    expect(readFileSync(target, 'utf8')).toBe('an earlier one');
    expect(readdirSync(disk)).toEqual(['main.backup']);
  });

  it('is restored to a new group, which has its content', async () => {
    const restored = await conclave('restore', file, '--group', 'copy', '--peers', names.join(), '--json');
    expect(restored).toMatchObject({ code: 0, error: '' });
    expect(recordOf(restored.out)).toMatchObject({ group_id: 'copy', peers: names });
    const copy = await PlainClient.open([server.url], 'copy');
    stops.add(() => copy.close());
    for (const [key, value] of before) expect((await copy.insist('kv.get', { key })).value, key).toBe(value);
    expect((await copy.insist('kv.lock_get', { name: 'lock' })).holder).toMatchObject({ owner: 'somebody' });
    expect((await copy.insist('kv.get', { key: 'long-3' })).value).toBe(long);
    // It is a group of its own, and goes on.
    const [one, other] = [await mesh.plain.insist('admin.status'), await copy.insist('admin.status')];
    expect(other.group_uid).not.toBe(one.group_uid);
    await copy.insist('kv.put', { key: 'new', value: 'v' });
  });

  it('is restored although leases of it end and clients write as soon as the new group has a leader', async () => {
    const early = path.join(folder, 'early.backup');
    const { lease_id } = await mesh.plain.insist('kv.lease_grant', { ttl_ms: 1000 });
    await mesh.plain.insist('kv.put', { key: 'leased', value: 'x', lease_id });
    expect(await conclave('backup', early)).toMatchObject({ code: 0 });
    const group = await PlainClient.open([server.url], 'written');
    stops.add(() => group.close());
    const { child, ended } = startCommand(server.url, [
      ...['restore', early, '--group', 'written', '--peers', names.join()],
    ]);
    // Between the founding and the comparison.
    await until('n1 has founded the group', async () =>
      (await group.ask('n1.admin.status', {}, 1000)).body.group_uid === '' ? undefined : true,
    );
    child.kill('SIGSTOP');
    try {
      await group.insist('kv.put', { key: 'written', value: 'early' });
      await until('the lease has ended', async () =>
        (await group.insist('kv.get', { key: 'leased' })).value === null ? true : undefined,
      );
    } finally {
      child.kill('SIGCONT');
    }
    expect(await ended).toMatchObject({ code: 0, error: '' });
    const [key, value] = [...before][0] as [string, string];
    expect((await group.insist('kv.get', { key })).value).toBe(value);
    expect((await group.insist('admin.status')).configuration).toMatchObject({
      peers: names.map((peer_id) => ({ peer_id })),
    });
  });

  it('is not restored over an existing group', async () => {
    const { code, error } = await conclave('restore', file, '--group', 'main', '--peers', names.join(), '--json');
    expect(code).toBe(3);
    expect(JSON.parse(error)).toMatchObject({ error: { code: 'ENOTEMPTY', outcome: 'not_done' } });
  });

  it('is not restored if no process hosts the group, and the error contains what to do', async () => {
    const { code, error } = await conclave('restore', file, '--group', 'nowhere', '--peers', names.join(), '--json');
    expect(code).toBe(4);
    expect(JSON.parse(error)).toMatchObject({
      error: {
        code: 'EUNREACHABLE',
        message: expect.stringContaining('`conclave groups create nowhere --peers n1,n2,n3 --no-bootstrap`'),
        outcome: 'not_done',
      },
    });
  });

  it('is rejected before anything is done if it is damaged', async () => {
    const bytes = readFileSync(file);
    for (const at of [5, 40, Math.floor(bytes.length / 2), bytes.length - 1]) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      const damagedFile = path.join(folder, 'damaged.backup');
      writeFileSync(damagedFile, damaged);
      const { code, error } = await conclave(
        ...['restore', damagedFile, '--group', 'copy-of-damaged', '--peers', 'n1', '--json'],
      );
      expect({ at, code }).toEqual({ at, code: 3 });
      expect(JSON.parse(error)).toMatchObject({ error: { code: 'ECORRUPT' } });
    }
    const group = await PlainClient.open([server.url], 'copy-of-damaged');
    stops.add(() => group.close());
    expect((await group.insist('n1.admin.status')).group_uid).toBe('');
  });
});

it('can be read and restored by a plain NATS client in JSON', async () => {
  const damaged = await PlainClient.open([server.url], 'copy-of-damaged');
  stops.add(() => damaged.close());
  await mesh.plain.insist('n2.admin.snapshot');
  const first = await mesh.plain.insist('n2.admin.read_snapshot', { number: 0 });
  const { snapshot_id, head } = first as { snapshot_id: string; head: { chunks: number } };
  for (let number = 0; number < head.chunks; number++) {
    const { chunk } = await mesh.plain.insist('n2.admin.read_snapshot', { snapshot_id, number });
    const given = await damaged.insist('n1.admin.restore_chunk', { restore_id: 'mine', number, chunk });
    expect(given.stored).toBe(number + 1);
  }
  const other = await mesh.plain.ask('n2.admin.read_snapshot', { snapshot_id: 'another', number: 0 });
  expect(other.body).toMatchObject({ error: { code: 'ENOENT' } });

  const restore = { restore_id: 'mine', head };
  const wrong = await damaged.ask('n1.admin.bootstrap', {
    peers: ['n1'],
    restore: { ...restore, head: { ...head, checksum: 1 } },
  });
  expect(wrong.body).toMatchObject({ error: { code: 'EINVAL', outcome: 'not_done' } });
  const founded = await damaged.ask('n1.admin.bootstrap', { peers: ['n1'], restore }, 60_000);
  expect(founded.body).toMatchObject({ error: { code: 'EBUSY', outcome: 'unknown' } });
  await damaged.insist('n1.admin.bootstrap', { peers: ['n1'] });
  const [key, value] = [...before][0] as [string, string];
  expect((await damaged.insist('kv.get', { key })).value).toBe(value);
});
