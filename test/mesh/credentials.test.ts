/** A mesh on a NATS server whose configuration `conclave credentials` has made. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCommand } from '../support/command.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { startPeer } from '../support/peers.js';
import { Stops } from './fault-mesh.js';

const stops = new Stops();
const folder = makeFolder('credentials');
const peers = ['n1', 'n2', 'n3'];
let server: NatsServer;

/** The server of the test has an address, a name and no monitor of its own. */
const configuration = (): string =>
  readFileSync(path.join(folder, 'nats', 'nats.conf'), 'utf8').replaceAll(/^(server_name|listen|http):.*$/gm, '');

const credentials = (...names: readonly string[]) =>
  startCommand('', ['credentials', '--out', folder, '--peers', names.join()]).ended;

const loginOf = (user: string): Record<string, string> => ({
  CONCLAVE_NATS_NKEY_FILE: path.join(folder, user, 'login.nk'),
  CONCLAVE_NATS_TLS_CA: path.join(folder, user, 'ca.pem'),
});

const run = (user: string, ...args: readonly string[]) =>
  startCommand(server.url, args, { ...loginOf(user), CONCLAVE_NATS_INBOX_PREFIX: `_INBOX.${user}` }).ended;

async function startWithLogin(peer: string): Promise<void> {
  const started = await startPeer({ peer, nats: [server.url], placement: 'one', env: loginOf(`peer-${peer}`) });
  stops.add(() => started.stop());
}

beforeAll(async () => {
  stops.add(async () => removeFolder(folder));
  expect(await credentials(...peers)).toMatchObject({ code: 0 });
  server = await startNats({ configuration: configuration() });
  stops.add(() => server.stop());
  await Promise.all(peers.map(startWithLogin));
});
afterAll(() => stops.run());

describe('with credentials created by the command', () => {
  it('each command works under its role, and NATS rejects nothing', async () => {
    expect(await run('operator', 'bootstrap', '--peers', peers.join())).toMatchObject({ code: 0 });
    expect(await run('client', 'kv', 'put', 'a', '1')).toMatchObject({ code: 0 });
    expect(await run('reader', 'kv', 'get', 'a')).toMatchObject({ code: 0, out: '1\n' });
    expect(await run('observer', 'status')).toMatchObject({ code: 0 });
    expect(server.log.filter((line) => line.includes('Violation'))).toEqual([]);
  });

  it('NATS rejects what a role does not permit, and any connection without a login', async () => {
    const refused = await run('reader', 'kv', 'put', 'a', '2');
    expect(refused).toMatchObject({ code: 3, error: expect.stringContaining('EPERM') });
    const outside = await startCommand(server.url, ['status'], {
      CONCLAVE_NATS_TLS_CA: loginOf('reader').CONCLAVE_NATS_TLS_CA ?? '',
    }).ended;
    expect(outside.error).toContain('ELOGIN');
  });

  it('a second run creates a login for a further peer, which joins after the server has reloaded its configuration', async () => {
    expect(await credentials(...peers, 'n4')).toMatchObject({ code: 0 });
    await server.reload(configuration());
    await startWithLogin('n4');
    expect(await run('operator', 'peers', 'add', 'n4')).toMatchObject({ code: 0 });
  });
});
