/** Commands to running processes: `conclave log-level` and `conclave profile`. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { limits } from '@conclave/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exitOf, makeFolder, removeFolder, spawnGuarded } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { type ActorProcess, actorKinds, type Peer, startPeer } from '../support/peers.js';
import { PlainClient } from '../support/plain-client.js';
import { Stops } from './fault-mesh.js';

const command = fileURLToPath(new URL('../../packages/cli/bin/conclave.js', import.meta.url));
const stops = new Stops();
let server: NatsServer;
let peer: Peer;
/** Sends on `conclave.admin.`. */
let host: PlainClient;
let group: PlainClient;
let folder: string;

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  host = await PlainClient.open([server.url], 'admin');
  group = await PlainClient.open([server.url]);
  stops.add(() => Promise.all([host.close(), group.close()]));
  peer = await startPeer({ peer: 'n1', nats: [server.url], placement: 'two' });
  stops.add(() => peer.stop());
  folder = makeFolder('profiles');
  stops.add(async () => removeFolder(folder));
});
afterAll(() => stops.run());

async function conclave(...args: string[]): Promise<{ code: number | null; out: string; error: string }> {
  const child = spawnGuarded(process.execPath, [command, ...args, '--nats', server.url], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const found = { out: '', error: '' };
  child.stdout?.on('data', (data: Buffer) => {
    found.out += data;
  });
  child.stderr?.on('data', (data: Buffer) => {
    found.error += data;
  });
  const { code } = await exitOf(child);
  return { code, ...found };
}

describe('conclave log-level', () => {
  it('prints the level of each actor’s process, and changes it at run time, with an event for it', async () => {
    const levels = async () =>
      JSON.parse((await conclave('log-level', '--peer', 'n1', '--json')).out).actors as object[];
    expect(await levels()).toHaveLength(actorKinds.length);
    expect(await levels()).toContainEqual({ actor: 'node', level: 'info' });
    expect((await host.ask('n1.node.log_level')).body).toMatchObject({ level: 'info', before: 'info' });
    const [store, others] = peer.processes as [ActorProcess, ActorProcess];
    const changed = group.event('admin_command', ({ command: name }) => name === 'log_level');
    const { code, out } = await conclave('log-level', 'debug', '--peer', 'n1', '--actor', 'node');
    expect({ code, out }).toEqual({ code: 0, out: 'the node of n1 logs debug and above\n' });
    expect((await changed).body).toMatchObject({ outcome: 'done', caller: { source: 'named' } });
    // It asks for a leader, and there is none.
    await group.insist('n1.admin.bootstrap', { peers: ['n1'] });
    await others.line(({ level }) => level === 20);
    expect(store.lines.filter(({ level }) => level === 20)).toEqual([]);
    // The node shares its process with two others.
    expect(await levels()).toEqual(
      expect.arrayContaining([
        { actor: 'replicator', level: 'debug' },
        { actor: 'log-store', level: 'info' },
      ]),
    );
    await conclave('log-level', 'info', '--peer', 'n1');
    expect(await levels()).not.toContainEqual(expect.objectContaining({ level: 'debug' }));
  });

  it('refuses what is no level, and a peer that does not run', async () => {
    expect(await conclave('log-level', 'loud', '--peer', 'n1')).toMatchObject({ code: 2 });
    expect(await conclave('log-level', 'info')).toMatchObject({ code: 2 });
    expect(await conclave('log-level', '--peer', 'n9')).toMatchObject({
      code: 4,
      error: expect.stringContaining('n9'),
    });
    expect(await host.ask('n1.node.log_level', { level: 'loud' })).toMatchObject({
      body: { error: { code: 'EINVAL' } },
    });
  });
});

it('conclave log-level prints which processes it has changed, if others do not answer', async () => {
  const [store] = peer.processes as [ActorProcess];
  store.signal('SIGSTOP');
  const { code, out, error } = await conclave('log-level', 'debug', '--peer', 'n1', '--timeout-ms', '1000');
  store.signal('SIGCONT');
  expect({ code, out: out.split('\n').length - 1 }).toEqual({ code: 5, out: 3 });
  expect(out).not.toContain('log-store');
  expect(error).toMatch(/^conclave: the log-store of n1: ETIMEDOUT: /);
  expect(await conclave('log-level', 'info', '--peer', 'n1')).toMatchObject({ code: 0 });
});

describe('conclave profile', () => {
  it.each([
    ['cpu', 'nodes'],
    ['heap', 'head'],
  ])('writes a %s profile of a running process', async (kind, field) => {
    const file = path.join(folder, `test.${kind}profile`);
    const { code, out } = await conclave('profile', kind, '--peer', 'n1', '--seconds', '1', '--out', file, '--json');
    expect(code).toBe(0);
    const profile = readFileSync(file, 'utf8');
    expect(JSON.parse(out)).toEqual({ peer_id: 'n1', actor: 'node', kind, file, bytes: Buffer.byteLength(profile) });
    expect(JSON.parse(profile)).toHaveProperty(field);
    // In pieces that fit into a message.
    expect(limits.profileChunkBytes * 1.4).toBeLessThan(limits.messageBytes);
  });

  it('is not taken if its file cannot be written', async () => {
    const profile = (out: string) => conclave('profile', 'cpu', '--peer', 'n1', '--seconds', '60', '--out', out);
    const file = path.join(folder, 'none', 'test.cpuprofile');
    expect(await profile(file)).toEqual({
      code: 6,
      out: '',
      error: `conclave: ${file} cannot be written: there is no folder ${path.dirname(file)}\n`,
    });
    expect(await profile(folder)).toMatchObject({ code: 6, error: `conclave: ${folder} is a folder: name a file\n` });
  });

  it('one at a time: a second one is refused, and the process works meanwhile', async () => {
    const first = host.ask('n1.node.profile', { kind: 'cpu', seconds: 1 });
    await expect(host.ask('n1.replicator.profile', { kind: 'cpu', seconds: 1 })).resolves.toMatchObject({
      body: { error: { code: 'EBUSY', outcome: 'not_done' } },
    });
    expect((await group.ask('n1.node.health')).body).toMatchObject({ healthy: true });
    const { body } = await first;
    expect(body).toMatchObject({ bytes: expect.any(Number), profile_id: expect.any(String) });
    const profile_id = body.profile_id as string;
    expect((await host.ask('n1.node.profile_chunk', { profile_id, number: 0 })).body).toHaveProperty('chunk');
    for (const wrong of [
      { profile_id, number: body.chunks },
      { profile_id: 'other', number: 0 },
    ]) {
      expect((await host.ask('n1.node.profile_chunk', wrong)).body).toMatchObject({ error: { code: 'ENOENT' } });
    }
  });

  it('has a bound: a longer one, and another kind, are refused', async () => {
    for (const wrong of [
      { kind: 'cpu', seconds: limits.profileSeconds + 1 },
      { kind: 'cpu', seconds: 0 },
      { kind: 'snapshot', seconds: 1 },
      { kind: 'heap' },
      { kind: 'cpu', seconds: 1, more: true },
    ]) {
      expect((await host.ask('n1.node.profile', wrong)).body).toMatchObject({ error: { code: 'EINVAL' } });
    }
  });

  it('ends with its process, which stops at once', async () => {
    const profile = host.ask('n1.node.profile', { kind: 'cpu', seconds: limits.profileSeconds }, 50_000);
    // Both arrive in this order: once the second one is refused, the first one has begun.
    await expect(host.ask('n1.node.profile', { kind: 'cpu', seconds: 1 })).resolves.toMatchObject({
      body: { error: { code: 'EBUSY' } },
    });
    const [, others] = peer.processes as [ActorProcess, ActorProcess];
    expect(await others.stop()).toEqual({ code: 0, signal: null });
    expect((await profile).body).toHaveProperty('profile_id');
  });
});
