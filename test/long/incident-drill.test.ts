/**
 * An incident drill: what goes wrong in practice, on real processes, each resolved by an operator who has only
 * docs/operations.md and the output of the commands. Each command that is used, and each symptom that the output shows,
 * has to be in that page.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Mesh, Stops, until } from '../mesh/fault-mesh.js';
import { startCommand } from '../support/command.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { type NatsServer, startNatsCluster } from '../support/nats.js';
import { buildPreviousRelease } from '../upgrade/previous-build.js';

const names = ['n1', 'n2', 'n3'];
const page = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
const stops = new Stops();
/** Peers that run the previous release at their next start. */
const older = new Set(names);
/** Peers whose disk has less room than the reserve, at their next start. */
const full = new Set<string>();
let folder: string;
let servers: NatsServer[];
let mesh: Mesh;
let acknowledged = 0;

beforeAll(async () => {
  const previous = buildPreviousRelease();
  servers = await startNatsCluster(3);
  for (const server of servers) stops.add(() => server.stop());
  folder = makeFolder('drill');
  stops.add(async () => removeFolder(folder));
  mesh = await Mesh.found(
    {
      servers,
      peers: names,
      placement: 'four',
      dataDir: (name) => `${folder}/${name}`,
      env: { CONCLAVE_RAISE_LEVEL: 'manual' },
      envOf: (name): Record<string, string> => (full.has(name) ? { CONCLAVE_DISK_RESERVE_MB: '1000000000' } : {}),
      command: (name) => (older.has(name) ? previous : undefined),
    },
    stops,
  );
  await write();
}, 300_000);
afterAll(() => stops.run());

/** Runs a command of the page. @param as how the page has it, where its names are others */
async function conclave(words: string, as = words): Promise<{ code: number | null; out: string; error: string }> {
  expect(page, 'operations.md has the command').toContain(`npx conclave ${as}`);
  return startCommand(servers.map(({ url }) => url).join(), words.split(' ')).ended;
}

/** Looks at the status until it shows this, as an operator does. */
function shows(symptom: RegExp, documented: string, command = 'status'): Promise<string> {
  expect(page, 'operations.md has the symptom').toContain(documented);
  return until(`${command} shows ${symptom}`, async () => {
    const { out, error } = await conclave(command, command.replace(/n\d/, 'n2'));
    if (!symptom.test(out + error)) throw new Error(out + error);
    return out + error;
  });
}

async function write(): Promise<void> {
  acknowledged += 1;
  await mesh.plain.insist('kv.put', { key: `drill ${acknowledged}`, value: 'kept' }, 60_000);
}

/** Nothing that was acknowledged is lost, all peers are healthy, and each may be restarted. */
async function expectWhole(): Promise<void> {
  await shows(/^(n\d .* may .*\n){3}/m, '| `restart` |');
  await until('all are healthy', async () => {
    const { code, error } = await conclave('health --all-peers');
    if (code !== 0) throw new Error(error);
    return true;
  });
  await write();
  for (let number = 1; number <= acknowledged; number++) {
    expect(await mesh.plain.insist('kv.get', { key: `drill ${number}` })).toMatchObject({ value: 'kept' });
  }
}

async function leaderOf(): Promise<string> {
  const { out } = await conclave('status');
  return /^leader +(n\d)$/m.exec(out)?.[1] ?? '';
}

async function deleteData(name: string): Promise<void> {
  await mesh.kill(name);
  removeFolder(`${folder}/${name}`);
}

describe('an operator who follows docs/operations.md resolves', () => {
  it('an upgrade: one peer after the other, the leader last, then the level', async () => {
    const leader = await leaderOf();
    for (const name of [...names.filter((each) => each !== leader), leader]) {
      await shows(new RegExp(`^${name} .* may `, 'm'), '| `restart` |');
      if ((await leaderOf()) === name) expect((await conclave('leader transfer')).code).toBe(0);
      await Promise.all(mesh.peer(name).processes.map((each) => each.stop()));
      older.delete(name);
      await mesh.start(name);
      await write();
    }
    await until('no peer keeps the level back', async () => {
      const { out } = await conclave('upgrade --raise', 'upgrade');
      return /feature level +[1-9]/.test(out) ? true : undefined;
    });
    await expectWhole();
  }, 240_000);

  it('one stuck actor: status reports what is wrong, health names the process, and it is restarted', async () => {
    const leader = await leaderOf();
    const stuck = names.find((name) => name !== leader) as string;
    const process = mesh.peer(stuck).process('log-store');
    process.signal('SIGSTOP');
    await shows(new RegExp(`^${stuck} .* stores nothing for \\d+ s`, 'm'), '`stores nothing for');
    await shows(/^n\d must not be restarted now: /m, '`must not`');
    const said = await conclave(`health --peer ${stuck}`, 'health --peer n2');
    expect(said).toMatchObject({ code: 1, error: expect.stringContaining(`the log-store of ${stuck}`) });
    expect(said.error).not.toContain(`the replicator of ${stuck}`);
    await write();
    expect(page).toContain('`kill -9`');
    await process.kill();
    await process.start();
    await expectWhole();
  }, 120_000);

  it('a lost NATS server: nothing is lost meanwhile, and it is restarted', async () => {
    const [first] = servers as [NatsServer];
    await first.kill();
    await write();
    await shows(/^(n\d .* healthy\n){3}/m, '## NATS');
    await first.restart();
    await expectWhole();
  }, 120_000);

  it('a full disk: status names it and prints how much is free; with free space it accepts entries again', async () => {
    const leader = await leaderOf();
    const name = names.find((each) => each !== leader) as string;
    await mesh.kill(name);
    full.add(name);
    await mesh.start(name);
    await shows(new RegExp(`^${name} .* read-only: disk full, .* free`, 'm'), '`read-only: disk full');
    await shows(/read-only: disk/, 'read-only: disk', 'health --all-peers');
    await write();
    await mesh.kill(name);
    full.delete(name);
    await mesh.start(name);
    await expectWhole();
  }, 120_000);

  it('a lost volume: the peer is started with an empty one, and nothing else', async () => {
    const leader = await leaderOf();
    const lost = names.find((name) => name !== leader) as string;
    await deleteData(lost);
    await shows(new RegExp(`^${lost} .* down `, 'm'), '`down`');
    await write();
    await mesh.start(lost);
    await shows(/^heal: .* done /m, '`heal`');
    await expectWhole();
  }, 120_000);

  it('a quorum that is lost for good: the survivor continues, and the others are added again', async () => {
    const survivor = await leaderOf();
    const lost = names.filter((name) => name !== survivor);
    await mesh.caughtUp(survivor);
    await Promise.all(lost.map(deleteData));
    const said = await shows(/nobody leads/, '`nobody leads`');
    expect(said).toMatch(/1 of 3 are available, and 2 are needed: 1 more must come back; missing: n\d, n\d/);
    expect(said).toContain('section "The group has no leader"');
    expect(page).toContain('## The group has no leader');
    const reset = `peers reset --peer ${survivor} --new-peers ${survivor} --yes`;
    await until('the survivor is reset', async () => {
      const { code, error } = await conclave(reset, 'peers reset --peer n1 --new-peers n1');
      if (code !== 0) throw new Error(error);
      return true;
    });
    await write();
    for (const name of lost) {
      await mesh.start(name);
      const added = await conclave(`peers add ${name}`, 'peers add n4');
      expect(added, added.error).toMatchObject({ code: 0 });
    }
    await expectWhole();
  }, 120_000);
});
