/** Each fault of a login ends commands, a peer's process and the health check at once, with the exit code for logins. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createUser } from '@nats-io/nkeys';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { exitCodes } from '../../packages/cli/src/exit-codes.js';
import { Authority } from '../support/certificates.js';
import { startCommand } from '../support/command.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { Stops } from './fault-mesh.js';

const password = 'sesame-18c2';
const seed = new TextDecoder().decode(createUser().getSeed());
const stops = new Stops();
const folder = makeFolder('login-faults');
const at = (name: string): string => path.join(folder, name);
const file = (name: string, text: string): string => {
  writeFileSync(at(name), text);
  return at(name);
};
const authority = new Authority(folder, 'authority');
const own = authority.sign('server', ['IP:127.0.0.1']);
const client = authority.sign('client', ['DNS:client']);
const other = authority.sign('other', ['DNS:other']);
const expired = authority.sign('expired', ['IP:127.0.0.1'], [2020, 2021]);
const secrets = [password, seed, readFileSync(client.key, 'utf8').split('\n')[1] as string];
const servers = {} as Record<'users' | 'tls' | 'expired', NatsServer>;

beforeAll(async () => {
  stops.add(async () => removeFolder(folder));
  const tls = ({ certificate, key } = own): string =>
    `tls { cert_file: "${certificate}", key_file: "${key}", ca_file: "${authority.certificate}", timeout: 60 }`;
  const configurations = {
    users: `authorization { timeout: 60, users: [{ user: ann, password: "${password}" }] }`,
    tls: tls(),
    expired: tls(expired),
  };
  for (const [name, configuration] of Object.entries(configurations)) {
    const server = await startNats({ configuration });
    servers[name as keyof typeof servers] = server;
    stops.add(() => server.stop());
  }
  execFileSync('mkfifo', [at('pipe')]);
});
afterAll(() => stops.run());

interface Fault {
  readonly server?: keyof typeof servers;
  readonly url?: (url: string) => string;
  readonly args?: () => readonly string[];
  readonly code: 'ELOGIN' | 'EINVAL';
  readonly words: string;
}

const options =
  (...args: readonly string[]) =>
  () =>
    args;
const ca = ['--nats-tls-ca', authority.certificate];

const faults: Readonly<Record<string, Fault>> = {
  'a WebSocket': { url: (url) => url.replace('nats', 'ws'), code: 'EINVAL', words: 'is a WebSocket' },
  'different logins in the URLs': {
    url: (url) => `${url.replace('://', `://ann:${password}@`)},${url.replace('://', `://bob:${password}@`)}`,
    code: 'EINVAL',
    words: 'different logins',
  },
  'an empty password in the URL': {
    url: (url) => url.replace('://', '://ann:@'),
    code: 'ELOGIN',
    words: 'rejects the login with the user ann',
  },
  'an empty list of servers': { url: () => ' , ', code: 'EINVAL', words: 'the list of NATS servers is empty' },
  'two ways to log in': {
    args: () => ['--nats-user', 'ann', '--nats-nkey-file', file('seed', seed)],
    code: 'EINVAL',
    words: 'several ways to log in',
  },
  'an inbox prefix with a wildcard': {
    args: options('--nats-inbox-prefix', '_INBOX.*'),
    code: 'EINVAL',
    words: 'is no inbox prefix',
  },
  'a certificate without its key': {
    args: options('--nats-tls-cert', client.certificate),
    code: 'EINVAL',
    words: 'given together',
  },
  'an empty password file': {
    args: () => ['--nats-user', 'ann', '--nats-password-file', file('empty', '')],
    code: 'ELOGIN',
    words: 'empty is empty',
  },
  'a pipe as a token file': {
    args: options('--nats-token-file', at('pipe')),
    code: 'ELOGIN',
    words: 'no regular file',
  },
  'a credentials file that is missing': {
    args: options('--nats-creds', at('missing')),
    code: 'ELOGIN',
    words: 'the credentials for NATS cannot be read',
  },
  'an authority that is no certificate': {
    server: 'tls',
    args: options('--nats-tls-ca', client.key),
    code: 'ELOGIN',
    words: 'holds no certificate',
  },
  'a key of another certificate': {
    server: 'tls',
    args: options(...ca, '--nats-tls-cert', client.certificate, '--nats-tls-key', other.key),
    code: 'ELOGIN',
    words: 'does not belong to the certificate',
  },
  'an expired certificate of the server': {
    server: 'expired',
    args: options(...ca),
    code: 'ELOGIN',
    words: 'CERT_HAS_EXPIRED',
  },
  'no authority for a server that requires TLS': { server: 'tls', code: 'ELOGIN', words: '--nats-tls-ca' },
  'TLS for a server without it': { args: options(...ca), code: 'ELOGIN', words: 'the server has none' },
};

it.each(Object.entries(faults))(
  '%s',
  async (_, { server = 'users', url = (same) => same, args = () => [], code, words }) => {
    const urls = url(servers[server].url);
    const more = args();
    const runs = [
      ['status'],
      ['kv', 'get', 'k'],
      ['watch'],
      ['run', '--peer', 'n7', '--data-dir', at('data'), '--nats-login-attempts', '1'],
      ['health', '--peer', 'n1'],
    ].map((words) => [words[0] as string, startCommand(urls, [...words, ...more]).ended] as const);
    for (const [name, ended] of runs) {
      const { code: exitCode, out, error } = await ended;
      // A health check is negative unless NATS rejects the login.
      const misused = name === 'health' ? exitCodes.negative : exitCodes.usage;
      expect([name, exitCode]).toEqual([name, code === 'ELOGIN' ? exitCodes.login : misused]);
      expect(error, name).toContain(name === 'run' ? `"code":"${code}"` : `${code}: `);
      expect(error, name).toContain(words);
      for (const secret of secrets) expect(out + error).not.toContain(secret);
    }
  },
);
