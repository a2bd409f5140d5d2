/** `conclave demo` and `conclave bench` on a NATS server that is there, with a login, and the bench over TLS. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCommand } from '../support/command.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';

const folder = makeFolder('named-nats');
const passwordFile = path.join(folder, 'password');
const few = ['--rows', 'one-64', '--seconds', '1', '--warm-up-seconds', '0', '--data-dir', folder, '--json'];
let server: NatsServer;
let login: string[];

beforeAll(async () => {
  server = await startNats({ configuration: 'authorization { user: founder, password: "secret-81" }' });
  writeFileSync(passwordFile, 'secret-81\n');
  login = ['--nats', server.url, '--nats-user', 'founder', '--nats-password-file', passwordFile];
});

afterAll(async () => {
  await server.stop();
  removeFolder(folder);
});

/** What a command prints as lines of JSON, once it has ended well. */
async function records(args: readonly string[]): Promise<Record<string, unknown>[]> {
  const { code, out, error } = await startCommand('', [...args]).ended;
  expect({ code, out }, error).toMatchObject({ code: 0 });
  return out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('a NATS server that is set by options', () => {
  it('serves the demo, which loses no write', async () => {
    const said = await records(['demo', ...login, '--seconds', '0', '--writers', '8', '--placement', 'one', '--json']);
    expect(said.at(-1)).toMatchObject({ summary: { ok: true, failed: 0 } });
  });

  it('serves the bench, its bare requests included', async () => {
    const rows = await records(['bench', ...few, ...login]);
    expect(rows.map(({ row }) => row)).toEqual(['fdatasync', 'request-64', 'request-64', 'one-64']);
    expect(rows.at(-1)).toMatchObject({ failed: 0 });
  });

  it('rejects a wrong login, with the exit code of that', async () => {
    const { code, error } = await startCommand('', ['demo', '--nats', server.url, '--json']).ended;
    expect({ code, error }).toMatchObject({ code: 7, error: expect.stringContaining('ELOGIN') });
  });

  it('is not used by the bench with TLS, which has a server of its own', async () => {
    const { code, error } = await startCommand('', ['bench', ...few, ...login, '--tls']).ended;
    expect({ code, error }).toMatchObject({ error: expect.stringContaining('--tls') });
    expect(code).not.toBe(0);
  });
});

it('the bench measures over TLS what it measures without', async () => {
  const rows = await records(['bench', ...few, '--tls']);
  expect(rows.map(({ row }) => row)).toEqual(['fdatasync', 'request-64', 'request-64', 'one-64']);
  expect(rows.at(-1)).toMatchObject({ failed: 0 });
});
