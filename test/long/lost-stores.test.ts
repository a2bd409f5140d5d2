import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Mesh, Stops } from '../mesh/fault-mesh.js';
import { Writers } from '../mesh/fault-writers.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { Peer } from '../support/peers.js';

const server = new Stops();
const stops = new Stops();
let nats: NatsServer;

beforeAll(async () => {
  nats = await startNats();
  server.add(() => nats.stop());
});

afterAll(() => server.run());
afterEach(() => stops.run());

/** A group of these with writes in it, all of which each of them has. */
async function founded(...names: string[]): Promise<{ mesh: Mesh; acknowledged: ReadonlyMap<string, string> }> {
  const mesh = await Mesh.found({ servers: [nats], peers: names, placement: 'one' }, stops);
  const writers = await Writers.start([nats.url]);
  await writers.progress(200);
  await writers.stop();
  expect(writers.failed).toEqual([]);
  for (const name of names) await mesh.caughtUp(name);
  return { mesh, acknowledged: writers.acknowledged };
}

/** A peer that does not lead. */
async function follower(mesh: Mesh, among: readonly string[]): Promise<string> {
  const { peer_id: leader } = await mesh.leaderStatus();
  return among.find((name) => name !== leader) as string;
}

describe('promise 6: lost stores are replaced without an operator and without a write', () => {
  it('two of five at once, while clients write: no write fails', async () => {
    const names = ['n1', 'n2', 'n3', 'n4', 'n5'];
    const { mesh, acknowledged } = await founded(...names);
    const { peer_id: leader, term } = await mesh.leaderStatus();
    const writers = await Writers.start([nats.url]);
    const lost = names.filter((name) => name !== leader).slice(0, 2);
    await mesh.kill(...lost);
    for (const name of lost) rmSync(mesh.peer(name).dataDir, { recursive: true });
    await mesh.start(...lost);
    for (const name of lost) await mesh.replaced(name);
    await writers.progress();
    await writers.stop();
    expect(writers.failed).toEqual([]);
    expect(await mesh.leaderStatus()).toMatchObject({ peer_id: leader, term });
    // They count: without two others the group goes on.
    const others = names.filter((name) => name !== leader && !lost.includes(name));
    await mesh.kill(...others);
    await mesh.plain.insist('kv.put', { key: 'after', value: 'with replaced stores' });
    for (const name of [leader, ...lost]) expect(await mesh.missing(name, acknowledged), name).toEqual([]);
  });

  it('if the leader is killed meanwhile, the next one replaces the store', async () => {
    const names = ['n1', 'n2', 'n3'];
    const { mesh, acknowledged } = await founded(...names);
    const { peer_id: leader, term } = await mesh.leaderStatus();
    const lost = await follower(mesh, names);
    await mesh.kill(lost);
    rmSync(mesh.peer(lost).dataDir, { recursive: true });
    await mesh.start(lost);
    await mesh.plain.event('stage_changed', (body) => body.kind === 'heal' && body.stage === 'catching_up');
    await mesh.kill(leader);
    await mesh.start(leader);
    await mesh.leaderAfter(term);
    await mesh.replaced(lost);
    await mesh.healthy(...names);
    for (const name of names) expect(await mesh.missing(name, acknowledged), name).toEqual([]);
  });
});

describe('promise 17: a peer with a corrupt store stops, and is replaced once its data is deleted', () => {
  it('one flipped bit: the peer reports where it is and how to repair it; deleting the folder and a restart are enough', async () => {
    const names = ['n1', 'n2', 'n3'];
    const { mesh, acknowledged } = await founded(...names);
    const victim = await follower(mesh, names);
    const { dataDir } = mesh.peer(victim);
    await mesh.kill(victim);
    flipBit(path.join(dataDir, 'level'));
    const [process] = mesh.peer(victim).processes;
    await expect(mesh.start(victim)).rejects.toThrow(/delete its data folder and start it again, nothing else/);
    expect(process?.isRunning).toBe(false);
    rmSync(dataDir, { recursive: true });
    await mesh.start(victim);
    await mesh.replaced(victim);
    await mesh.healthy(...names);
    expect(await mesh.missing(victim, acknowledged)).toEqual([]);
  });
});

describe('a copied store', () => {
  it('under its own name is rejected while the first one runs, which continues', async () => {
    const names = ['n1', 'n2', 'n3'];
    const { mesh, acknowledged } = await founded(...names);
    const from = await follower(mesh, names);
    await mesh.kill(from);
    const folder = makeFolder('copy');
    cpSync(mesh.peer(from).dataDir, folder, { recursive: true });
    await mesh.start(from);
    await mesh.healthy(from);
    const copy = new Peer({ peer: from, nats: [nats.url], placement: 'one', dataDir: folder });
    stops.add(async () => {
      await copy.kill();
      removeFolder(folder);
    });
    await expect(copy.start()).rejects.toThrow(`another process serves the log-stores of ${from} already`);
    await mesh.healthy(...names);
    for (const name of names) expect(await mesh.missing(name, acknowledged), name).toEqual([]);
  });

  it('under another name is rejected, and the error names its peer', async () => {
    const names = ['n1', 'n2', 'n3'];
    const { mesh } = await founded(...names);
    const from = await follower(mesh, names);
    await mesh.kill(from);
    const copy = mesh.peer('n4').dataDir;
    cpSync(mesh.peer(from).dataDir, copy, { recursive: true });
    await mesh.start('n4').catch(() => undefined);
    const said = await mesh.plain.ask('n4.log-store.health', {}).then(({ body }) => body, String);
    expect(JSON.stringify([said, mesh.peer('n4').processes[0]?.lines])).toContain(from);
  });
});

/** Flips a bit in the middle of LevelDB's write-ahead log, with writes behind it. */
function flipBit(folder: string): void {
  const logs = readdirSync(folder).filter((name) => name.endsWith('.log'));
  const [file] = logs.map((name) => path.join(folder, name));
  const bytes = readFileSync(file as string);
  const at = Math.floor(bytes.length / 2);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at);
  writeFileSync(file as string, bytes);
}
