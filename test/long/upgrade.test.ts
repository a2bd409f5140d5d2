/**
 * Promise 31 with real processes: three peers of four processes each go from the previous release to this build, one peer at a
 * time, and back, and forward again; then the feature level is raised. Clients write and read all the while.
 */
import { ConclaveClient } from '@conclave/client';
import { type KvReply, supportedLevels, type UpgradeReply } from '@conclave/protocol';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Mesh, Stops, until } from '../mesh/fault-mesh.js';
import { Writers } from '../mesh/fault-writers.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { buildPreviousRelease, previousRelease } from '../upgrade/previous-build.js';

const names = ['n1', 'n2', 'n3'] as const;
type Name = (typeof names)[number];
type Build = 'previous' | 'this';

const stops = new Stops();
/** Which build each peer runs at its next start. */
const builds = new Map<Name, Build>(names.map((name) => [name, 'previous']));
let servers: NatsServer[];
let mesh: Mesh;
let writers: Writers;
let readers: Readers;

beforeAll(async () => {
  const previous = buildPreviousRelease();
  const server = await startNats();
  stops.add(() => server.stop());
  servers = [server];
  const folder = makeFolder('upgrade');
  stops.add(async () => removeFolder(folder));
  mesh = await Mesh.found(
    {
      servers,
      peers: names,
      placement: 'four',
      env: { CONCLAVE_RAISE_LEVEL: 'manual' },
      dataDir: (name) => `${folder}/${name}`,
      command: (name) => (builds.get(name as Name) === 'previous' ? previous : undefined),
    },
    stops,
  );
  writers = await Writers.start([server.url], 4);
  readers = await Readers.start(server.url, writers);
}, 240_000);
afterAll(() => stops.run());

/** Reads what was acknowledged, over and over, and compares. */
class Readers {
  readonly wrong: unknown[] = [];
  reads = 0;
  private going = true;
  private readonly all: Promise<unknown>;

  private constructor(
    private readonly client: ConclaveClient,
    private readonly writers: Writers,
  ) {
    this.all = Promise.all([this.read(), this.read()]);
  }

  static async start(url: string, of: Writers): Promise<Readers> {
    return new Readers(await ConclaveClient.connect({ groupId: 'main', servers: [url] }), of);
  }

  async stop(): Promise<void> {
    this.going = false;
    await this.all;
    await this.client.close();
  }

  private async read(): Promise<void> {
    while (this.going) {
      const { acknowledged } = this.writers;
      const keys = [...acknowledged.keys()];
      const key = keys[(this.reads * 7919) % Math.max(keys.length, 1)] ?? 'none';
      try {
        const { value } = await this.client.kv.get(key);
        if ((value ?? undefined) !== acknowledged.get(key)) this.wrong.push({ key, value });
        this.reads += 1;
      } catch (error) {
        this.wrong.push({ key, error: String(error) });
      }
    }
  }
}

/** Has a peer run this build from now on, as `docs/operations.md` says: not the leader, and not before the others are well. */
async function run(name: Name, build: Build): Promise<void> {
  if ((await mesh.leaderStatus()).peer_id === name) await mesh.plain.insist('admin.transfer_leader', {});
  await until(`another peer than ${name} leads`, async () =>
    (await mesh.leaderStatus()).peer_id === name ? undefined : true,
  );
  builds.set(name, build);
  const peer = mesh.peer(name);
  await Promise.all(peer.processes.map((each) => each.stop()));
  await peer.start();
  await mesh.healthy(...names);
  await mesh.caughtUp(name);
  await writers.progress(50);
}

const upgrade = async (raise: boolean) => mesh.plain.ask('admin.upgrade', { raise });

/** All keys of a peer with their revisions, once it has applied all. */
async function stateOf(name: Name): Promise<string> {
  const rows: unknown[] = [];
  for (let start_after: unknown; ; ) {
    const page = await mesh.plain.insist(`${name}.kv.range`, {
      prefix: '',
      consistency: 'stale',
      ...(start_after === undefined ? {} : { start_after }),
    });
    const { found, more } = page as unknown as KvReply<'range'>;
    rows.push(...found);
    if (!more) return JSON.stringify(rows);
    start_after = found.at(-1)?.[0];
  }
}

it('promise 31: peers of two builds serve one group, upgraded and downgraded, and nothing is lost when the level is raised', async () => {
  await writers.progress(100);
  await run('n1', 'this');
  await run('n2', 'this');
  // Whoever leads, the previous release keeps the level back: it knows no such command itself.
  await until('a leader of this build', async () => {
    if ((await mesh.leaderStatus()).peer_id !== 'n3') return true;
    await mesh.plain.insist('admin.transfer_leader', { peer_id: 'n1' });
    return undefined;
  });
  const kept = (await upgrade(true)).body as { error?: { code: string; outcome: string; message: string } };
  expect(kept.error).toMatchObject({ code: 'EUNSUPPORTED', outcome: 'not_done' });
  expect(kept.error?.message).toMatch(/n3 (supports levels 0 to 0|has not reported|is silent)/);

  await run('n1', 'previous');
  await run('n2', 'previous');
  for (const name of names) await run(name, 'this');

  const reply = await until('all support the level', async () => {
    const { body, errorCode } = await upgrade(true);
    return errorCode === 0 ? (body as unknown as UpgradeReply) : undefined;
  });
  expect(reply).toMatchObject({ level: supportedLevels.highest, raised: true });
  expect((await mesh.leaderStatus()).level).toBe(supportedLevels.highest);
  await writers.progress(100);

  if (previousRelease.level < supportedLevels.highest) await refusesTheStore('n3');

  await writers.stop();
  await readers.stop();
  expect(writers.failed).toEqual([]);
  expect(readers.wrong).toEqual([]);
  expect(readers.reads).toBeGreaterThan(100);
  for (const name of names) expect(await mesh.missing(name, writers.acknowledged)).toEqual([]);
  const [first, ...others] = await Promise.all(names.map(stateOf));
  for (const other of others) expect(other).toBe(first);
}, 290_000);

/** There is no way back: the previous release does not open the store, and this build goes on with it. */
async function refusesTheStore(name: Name): Promise<void> {
  if ((await mesh.leaderStatus()).peer_id === name) await mesh.plain.insist('admin.transfer_leader', {});
  const peer = mesh.peer(name);
  await Promise.all(peer.processes.map((each) => each.stop()));
  builds.set(name, 'previous');
  await peer.start();
  await until('the log-store of the previous release refuses the store', async () => {
    const { body } = await mesh.plain.ask(`${name}.log-store.health`, {}, 1000);
    return /stored in version 3, not 2/.test(String(body.reason)) ? true : undefined;
  });
  await writers.progress(50);
  await Promise.all(peer.processes.map((each) => each.stop()));
  builds.set(name, 'this');
  await peer.start();
  await mesh.healthy(...names);
  await mesh.caughtUp(name);
}
