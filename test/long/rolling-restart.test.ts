/** `conclave restart` on real processes that take writes all the while. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { ConclaveClient } from '@conclave/client';
import { asGroupId } from '@conclave/protocol';
import { connect } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Mesh, Stops } from '../mesh/fault-mesh.js';
import { startCommand } from '../support/command.js';
import { exitOf, spawnGuarded } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';

const peers = ['n1', 'n2', 'n3'];
const stops = new Stops();
let server: NatsServer;
let mesh: Mesh;
/** Restarts a peer when it is asked to, as a supervisor does. */
let supervisor: Server;
let restarted: string[] = [];

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  mesh = await Mesh.found({ servers: [server], peers, placement: 'one' }, stops);
  supervisor = createServer((request, response) => {
    const name = request.url?.slice(1) ?? '';
    restarted.push(name);
    mesh
      .kill(name)
      .then(() => mesh.start(name))
      .then(() => response.end());
  });
  await new Promise<void>((resolve) => supervisor.listen(0, '127.0.0.1', resolve));
  stops.add(async () => {
    supervisor.close();
  });
});
afterAll(() => stops.run());

function run(script: string) {
  return startCommand(server.url, ['restart', '--run', `'${process.execPath}' -e '${script}'`]).ended;
}

describe('conclave restart', () => {
  it('promise 23: restarts each member once, the leader last and after a transfer, and no write fails', async () => {
    const { leader_id } = await mesh.plain.insist('admin.status');
    const connection = await connect({ servers: [server.url] });
    const client = await ConclaveClient.connect({ connection, groupId: asGroupId('main'), timeoutMs: 30_000 });
    let written = 0;
    let isOver = false;
    const writer = (async () => {
      while (!isOver) {
        await client.kv.put(`key-${written % 10}`, `${written}`);
        written += 1;
      }
    })();
    restarted = [];
    const { port } = supervisor.address() as AddressInfo;
    const ended = await run(`fetch("http://127.0.0.1:${port}/{peer}")`);
    isOver = true;
    await writer;
    await client.close();
    await connection.close();
    expect(ended).toMatchObject({
      code: 0,
      out: expect.stringContaining(`${leader_id}: has transferred the leadership of main to `),
    });
    expect(restarted.toSorted()).toEqual(peers);
    expect(restarted.at(-1)).toBe(leader_id);
    expect(written).toBeGreaterThan(0);
    expect((await mesh.plain.insist('kv.get', { key: `key-${(written - 1) % 10}` })).value).toBe(`${written - 1}`);
  });

  it('restarts all even if nobody reads its output, and a peer that still hosts a group from which it was removed', async () => {
    // Three members are left, of which one can be spared.
    await mesh.start('n4');
    const hosts = [...peers, 'n4'].join();
    const hosted = await startCommand(server.url, ['groups', 'create', 'orders', '--peers', hosts]).ended;
    expect(hosted).toMatchObject({ code: 0 });
    const removed = await startCommand(server.url, ['peers', 'remove', 'n1', '--group', 'orders', '--yes']).ended;
    expect(removed).toMatchObject({ code: 0 });
    restarted = [];
    const { port } = supervisor.address() as AddressInfo;
    const RUN = `'${process.execPath}' -e 'fetch("http://127.0.0.1:${port}/{peer}")'`;
    const line = 'set -o pipefail; "$0" "$1" restart --timeout-ms 30000 --run "$RUN" | head -1';
    const command = path.resolve('packages/cli/bin/conclave.js');
    const child = spawnGuarded('bash', ['-c', line, process.execPath, command], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, NATS_URL: server.url, RUN },
    });
    expect(await exitOf(child)).toMatchObject({ code: 0 });
    expect(restarted.toSorted()).toEqual(peers);
  });

  it('stops if the command fails, or a peer has not restarted', async () => {
    const failed = await run('process.exit(9)');
    expect(failed).toMatchObject({ code: 6, error: expect.stringContaining('ended with 9') });
    const idle = await startCommand(server.url, ['restart', '--run', 'true', '--timeout-ms', '1500']).ended;
    expect(idle).toMatchObject({ code: 3, error: expect.stringContaining('still runs as before') });
    expect(await startCommand(server.url, ['restart']).ended).toMatchObject({ code: 2 });
  });
});
