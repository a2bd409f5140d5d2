/** The instructions at the top of docker-compose.yml: how to restart its peers, and what `up` and `down` do to a running group. */
import { randomBytes } from 'node:crypto';
import { ConclaveClient } from '@conclave/client';
import { asGroupId } from '@conclave/protocol';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFailed, test } from 'vitest';
import { ComposeProject, freePorts, openFiles } from './docker.js';
import { PlainClient } from './plain-client.js';
import { until } from './until.js';

const name = `conclave-restart-${randomBytes(4).toString('hex')}`;
const members = ['n1', 'n4', 'n5'];
const actors = ['node', 'log-store', 'replicator', 'ballot-box'];
const withinMs = 240_000;
const writers = 16;

let project: ComposeProject;
let ports: number[];
let servers: string;
let plain: PlainClient;
let connection: NatsConnection;
let client: ConclaveClient;
let failed = false;

beforeAll(async () => {
  ports = await freePorts(3);
  servers = ports.map((port) => `nats://127.0.0.1:${port}`).join();
  project = await ComposeProject.make(name, {
    COMPOSE_FILE: openFiles,
    ...Object.fromEntries(ports.map((port, at) => [`CONCLAVE_NATS${at + 1}_PORT`, String(port)])),
    CONCLAVE_IMAGE: inject('image'),
    CONCLAVE_HEALTH_INTERVAL: '30s',
  });
  await project.compose('--profile', 'spare', 'up', '-d');
  plain = await PlainClient.connect(ports);
  await until('a write is acknowledged', withinMs, async () => {
    await plain.put('first', '1');
    return true;
  });
  await until('n4 and n5 have taken the places of n2 and n3', withinMs, async () => {
    const reply = await plain.request('conclave.main.admin.change_peers', { new_peers: members }, 60_000);
    if (reply.error !== undefined) throw new Error(reply.error.message);
    return true;
  });
  connection = await connect({ servers: servers.split(','), maxReconnectAttempts: -1 });
  client = await ConclaveClient.connect({ connection, groupId: asGroupId('main'), timeoutMs: 60_000 });
});

afterAll(async () => {
  await client?.close();
  await connection?.close();
  await plain?.close();
  await project?.remove();
});

/** Writes with many writers while something is done; a write that fails fails the test. @returns how many were acknowledged */
async function underLoad(work: () => Promise<void>): Promise<number> {
  let isOver = false;
  const written = Array.from({ length: writers }, () => 0);
  const all = written.map(async (_, writer) => {
    while (!isOver) {
      const value = String((written[writer] ?? 0) + 1);
      await client.kv.put(`load-${writer}`, value);
      written[writer] = Number(value);
    }
  });
  try {
    await Promise.race([work(), Promise.all(all)]);
  } finally {
    isOver = true;
  }
  await Promise.all(all);
  for (const [writer, last] of written.entries()) expect(await plain.get(`load-${writer}`)).toBe(String(last));
  return written.reduce((sum, count) => sum + count, 0);
}

const containersOf = async (peers: readonly string[]): Promise<string[]> =>
  Promise.all(peers.flatMap((peer) => actors.map((actor) => project.containerOf(`${peer}-${actor}`))));

const leader = (): Promise<string> =>
  until('a peer leads', withinMs, async () => {
    const { leader_id: leaderId } = await plain.request('conclave.main.admin.status');
    return typeof leaderId === 'string' && leaderId !== '' ? leaderId : undefined;
  });

describe('docker-compose.yml', () => {
  beforeEach((context) => {
    context.skip(failed, 'an earlier step failed');
    onTestFailed(async () => {
      failed = true;
      console.error(await project.describe());
    });
  });

  test('promise 23: `conclave restart --compose` applies a new setting to all members, and no write fails', async () => {
    const [before, others] = [await containersOf(members), await containersOf(['n2', 'n3'])];
    const first = await leader();
    project.settings = { CONCLAVE_LOG_LEVEL: 'warn' };
    const written = await underLoad(async () => {
      const { code, out, error } = await project.restart(servers);
      expect(code, out + error).toBe(0);
      const order = [...out.matchAll(/^(n\d): is back/gm)].map(([, peer]) => peer);
      expect(order.toSorted()).toEqual(members);
      expect(order.at(-1), out).toBe(first);
      expect(out).toContain(`${first}: has transferred the leadership of main to `);
    });
    expect(written).toBeGreaterThan(0);
    const after = await containersOf(members);
    expect(after.filter((id) => before.includes(id))).toEqual([]);
    for (const id of after) expect(await project.environmentOf(id)).toContain('CONCLAVE_LOG_LEVEL=warn');
    expect(await containersOf(['n2', 'n3'])).toEqual(others);
  });

  test('`conclave restart --compose` stops at the first failure, and restarts nothing else', async () => {
    const broken = members.find((member) => member !== 'n1') as string;
    await project.kill(`${broken}-log-store`);
    const before = await containersOf(members);
    const { code, out, error } = await project.restart(servers, '--peers', 'n1', '--timeout-ms', '5000');
    expect({ code, error }, out).toEqual({
      code: 3,
      error: expect.stringMatching(/n1 may be restarted .*: without it/),
    });
    expect(await containersOf(members)).toEqual(before);
    await project.startAgain(`${broken}-log-store`);
    await project.untilHealth(`${broken}-node`, 'healthy', withinMs);
  });

  test('`up -d` with the same settings changes no running container', async () => {
    const before = await containersOf(members);
    const written = await underLoad(() => project.compose('--profile', 'spare', 'up', '-d').then(() => undefined));
    expect(written).toBeGreaterThan(0);
    expect(await containersOf(members)).toEqual(before);
    await until('bootstrap has found the group', withinMs, async () => {
      const { Status, ExitCode } = await project.stateOf('bootstrap');
      return Status === 'exited' && ExitCode === 0 ? true : undefined;
    });
  });
});
