import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect as connectPlain, createServer as createPlainServer, type Server } from 'node:net';
import path from 'node:path';
import { createServer } from 'node:tls';
import { createUser } from '@nats-io/nkeys';
import { type Authenticator, credsAuthenticator, type NatsConnection, nkeyAuthenticator } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority } from '../../../test/support/certificates.js';
import { makeFolder, removeFolder } from '../../../test/support/leftovers.js';
import { freePorts, type NatsServer, startNats } from '../../../test/support/nats.js';
import { Operator } from '../../../test/support/nats-jwt.js';
import {
  connectWith,
  inboxOf,
  LoginError,
  type LoginSettings,
  NatsLogin,
  settingsFromEnvironment,
  violationOf,
} from '../src/login/index.js';

const password = 'sesame-9b1f';
const folder = makeFolder('login');
const file = (name: string, text: string): string => {
  const at = path.join(folder, name);
  writeFileSync(at, text);
  return at;
};
const seeds = [createUser(), createUser()];
const seed = (at: number): string => new TextDecoder().decode(seeds[at]?.getSeed());
const users = `authorization { timeout: 60, users: [
  { user: ann, password: "${password}" }
  { nkey: ${seeds[0]?.getPublicKey()} }
  { user: bob, password: "${password}", permissions: { publish: ">", subscribe: "_INBOX_bob.>" } }
] }`;
const servers: NatsServer[] = [];
const proxies: Server[] = [];
let plain: NatsServer;

beforeAll(async () => {
  plain = await server(users);
});

afterAll(async () => {
  for (const proxy of proxies) proxy.close();
  await Promise.all(servers.map((one) => one.stop()));
  removeFolder(folder);
});

async function server(configuration: string): Promise<NatsServer> {
  const started = await startNats({ configuration });
  servers.push(started);
  return started;
}

/** Connects, and has the server answer. */
async function logIn(...layers: readonly LoginSettings[]): Promise<NatsConnection> {
  const connection = await connectWith(NatsLogin.of(...layers), { timeout: 60_000 });
  await connection.flush();
  return connection;
}

async function succeeds(...layers: readonly LoginSettings[]): Promise<void> {
  await (await logIn(...layers)).close();
}

/** Code and message of what it fails with. */
async function failure(...layers: readonly LoginSettings[]): Promise<{ code: string; message: string }> {
  try {
    await succeeds(...layers);
  } catch (error) {
    expect(error).toBeInstanceOf(LoginError);
    const { code, message } = error as LoginError;
    expect(message).not.toContain(password);
    return { code, message };
  }
  throw new Error('it succeeded');
}

/** The type of a TLS record whose content is encrypted. In TLS 1.3 the client's certificate is in one, in TLS 1.2 it is not. */
const encryptedRecord = 0x17;

/** A server's URL through a proxy that loses what the server sends in TLS 1.3 when it closes the connection, and resets it. */
async function losingReasons(port: number): Promise<string> {
  const proxy = createPlainServer((client) => {
    const target = connectPlain(port, '127.0.0.1');
    let encrypted = false;
    let unread = Buffer.alloc(0);
    client.on('data', (bytes) => {
      unread = Buffer.concat([unread, bytes]);
      // A record begins with its type, its version, and the length of its content.
      while (unread.length >= 5 && unread.length >= 5 + unread.readUInt16BE(3)) {
        encrypted ||= unread[0] === encryptedRecord;
        unread = unread.subarray(5 + unread.readUInt16BE(3));
      }
      target.write(bytes);
    });
    target.on('data', (bytes) => encrypted || client.write(bytes));
    target.on('end', () => (encrypted ? client.resetAndDestroy() : client.end()));
    client.on('close', () => target.destroy());
    for (const socket of [client, target]) socket.on('error', () => {});
  });
  proxies.push(proxy);
  await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening));
  return `nats://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}

const withUser = (url: string, user: string): string => url.replace('://', `://${user}@`);

describe('a login to NATS', () => {
  it('reads user and password from settings, a file, the URL and the environment', async () => {
    const { url } = plain;
    await succeeds({ servers: url, user: 'ann', password });
    await succeeds({ servers: url, user: 'ann', passwordFile: file('password', `${password}\n`) });
    await succeeds({ servers: withUser(url, `ann:${password}`) });
    const environment = { NATS_URL: url, CONCLAVE_NATS_USER: 'ann', CONCLAVE_NATS_PASSWORD: password };
    await succeeds(settingsFromEnvironment(environment));
    await succeeds({ user: 'ann' }, settingsFromEnvironment({ NATS_URL: url, CONCLAVE_NATS_PASSWORD: password }));
  });

  it('reads a token from settings, a file and the URL', async () => {
    const { url } = await server(`authorization { timeout: 60, token: "${password}" }`);
    await succeeds({ servers: url, token: password });
    await succeeds({ servers: url, tokenFile: file('token', password) });
    await succeeds({ servers: withUser(url, password) });
    expect((await failure({ servers: withUser(url, 'another') })).code).toBe('ELOGIN');
  });

  it('reads the seed of an nkey from settings and a file', async () => {
    await succeeds({ servers: plain.url, nkey: seed(0) });
    await succeeds({ servers: plain.url, nkeyFile: file('nkey', `${seed(0)}\n`) });
    expect(await failure({ servers: plain.url, nkeyFile: file('other', seed(1)) })).toMatchObject({ code: 'ELOGIN' });
  });

  it('signs for an nkey and for a credentials file as the library does', () => {
    const { authenticator } = NatsLogin.of({ nkey: seed(0) }).connectOptions();
    const ofLibrary = nkeyAuthenticator(new TextEncoder().encode(seed(0)));
    const sign = authenticator as typeof ofLibrary;
    for (const nonce of ['a', 'nonce-2', undefined]) expect(sign(nonce)).toEqual(ofLibrary(nonce));
    const file = path.join(folder, 'signed.creds');
    new Operator().writeUser(file);
    const ofCreds = credsAuthenticator(readFileSync(file));
    const signCreds = NatsLogin.of({ creds: file }).connectOptions().authenticator as typeof ofCreds;
    for (const nonce of ['a', 'nonce-2', undefined]) expect(signCreds(nonce)).toEqual(ofCreds(nonce));
  });

  it('reads a credentials file, and reports if its JWT has expired', async () => {
    const operator = new Operator();
    const { url } = await server(operator.configuration);
    const creds = path.join(folder, 'user.creds');
    operator.writeUser(creds);
    await succeeds({ servers: url, creds });
    operator.writeUser(creds, Math.floor(Date.now() / 1000) - 60);
    const { code, message } = await failure({ servers: url, creds });
    expect(code).toBe('ELOGIN');
    expect(message).toContain('its JWT expired at 20');
  });

  it('reports that a JWT is too long for the server, as one with the permissions for many groups may be', async () => {
    const operator = new Operator();
    const subjects = Array.from({ length: 200 }, (_, at) => `conclave.group-number-${at}.kv.*`);
    const creds = path.join(folder, 'long.creds');
    operator.writeUser(creds, undefined, { pub: { allow: subjects } });
    // Also if the server expects each login within a second.
    for (const settings of ['', 'authorization { timeout: 1 }\n']) {
      const strict = await server(`${settings}${operator.configuration}`);
      const { code, message } = await failure({ servers: strict.url, creds });
      expect([code, message]).toEqual(['ELOGIN', expect.stringMatching(/its JWT has \d+ bytes: set max_control_line/)]);
    }
    const patient = await server(`max_control_line: 65536\n${operator.configuration}`);
    await succeeds({ servers: patient.url, creds });
  });

  it('reads settings for which there is no option from a context of the nats command, by name or file', async () => {
    const context = { url: plain.url, user: 'ann', password, inbox_prefix: '_INBOX_ann' };
    mkdirSync(path.join(folder, 'nats/context'), { recursive: true });
    const at = file('nats/context/test.json', JSON.stringify(context));
    const before = process.env.XDG_CONFIG_HOME;
    process.env.XDG_CONFIG_HOME = folder;
    try {
      const connection = await logIn({ context: 'test' });
      expect(inboxOf(connection)).toMatch(/^_INBOX_ann\./);
      await connection.close();
      await succeeds({ context: at });
      await succeeds({ servers: plain.url, nkey: seed(0) }, { context: 'test' });
      expect(await failure({ context: 'none' })).toMatchObject({ code: 'ELOGIN' });
      // A parser's message would quote what it read.
      file('nats/context/bad.json', `{"password": ${password}`);
      expect((await failure({ context: 'bad' })).code).toBe('EINVAL');
      file('nats/context/nsc.json', '{"nsc": "nsc://o/a/u"}');
      expect((await failure({ context: 'nsc' })).message).toContain('nsc, which is not supported');
    } finally {
      if (before === undefined) delete process.env.XDG_CONFIG_HOME;
      else process.env.XDG_CONFIG_HOME = before;
    }
  });

  it('reports that a login is rejected, and how it was tried', async () => {
    const { code, message } = await failure({ servers: plain.url, user: 'ann', password: 'wrong' });
    expect(code).toBe('ELOGIN');
    expect(message).toMatch(/rejects the login with the user ann: .*Authorization Violation/);
    expect((await failure({ servers: plain.url })).message).toContain('rejects the login with no login');
  });

  it('reports the server that rejects the login before those that cannot be reached', async () => {
    const [port] = await freePorts(1);
    const gone = `nats://127.0.0.1:${port}`;
    for (const both of [`${plain.url},${gone}`, `${gone},${plain.url}`]) {
      expect(await failure({ servers: both, token: 'wrong' })).toMatchObject({ code: 'ELOGIN' });
      await succeeds({ servers: both, user: 'ann', password });
    }
    expect(await failure({ servers: gone })).toMatchObject({ code: 'EUNREACHABLE' });
  });

  it.each<[LoginSettings, string]>([
    [{ passwordFile: '/nowhere/p', user: 'ann' }, 'password for NATS cannot be read'],
    [{ tokenFile: '/nowhere/t' }, '/nowhere/t'],
    [{ nkeyFile: '/nowhere/n' }, '/nowhere/n'],
    [{ nkey: 'no seed' }, 'holds no seed'],
    [{ creds: '/nowhere/c' }, '/nowhere/c'],
    [{ creds: '/etc/hostname' }, '/etc/hostname holds no credentials'],
    [{ tlsCa: '/nowhere/ca' }, '/nowhere/ca'],
  ])('says which file cannot be used: %j', async (settings, words) => {
    const { code, message } = await failure({ servers: plain.url, ...settings });
    expect([code, message]).toEqual(['ELOGIN', expect.stringContaining(words)]);
  });

  it.each<[LoginSettings]>([
    [{ user: 'ann', password, token: 't' }],
    [{ password }],
    [{ tlsCert: 'cert' }],
    [{ servers: `nats://a:${password}@one,nats://b:${password}@two` }],
    [{ servers: `http://a:${password}@one` }],
    [{ servers: `nats://a:${password}/x@one` }],
    [{ servers: `nats://a:${password}@` }],
    [{ servers: `nats://to/${password}@one` }],
  ])('refuses what makes no sense, without its secrets: %#', async (settings) => {
    expect((await failure(settings)).code).toBe('EINVAL');
  });

  it('shows nothing of the secrets of its URLs', () => {
    const login = NatsLogin.of({ servers: ['nats://ann:p%40ss@a:1', 'b'] });
    expect(login.servers).toEqual(['nats://a:1', 'nats://b:4222']);
    expect(login.kind).toBe('the user ann');
    expect(login.environment).toMatchObject({
      NATS_URL: 'nats://a:1,nats://b:4222',
      CONCLAVE_NATS_USER: 'ann',
      CONCLAVE_NATS_PASSWORD: 'p@ss',
      CONCLAVE_NATS_TOKEN: '',
    });
    expect(NatsLogin.of(settingsFromEnvironment(login.environment)).servers).toEqual(login.servers);
  });

  it('has replies go below its inbox prefix, and reports what NATS does not permit', async () => {
    const connection = await logIn({ servers: plain.url, user: 'bob', password, inboxPrefix: '_INBOX_bob' });
    connection.subscribe(inboxOf(connection), { callback: () => undefined });
    expect(inboxOf(connection)).toMatch(/^_INBOX_bob\.\w+$/);
    const refused = new Promise<unknown>((resolve) => connection.subscribe('x', { callback: resolve }));
    expect(violationOf(await refused)).toEqual({
      operation: 'subscription',
      subject: 'x',
      message: 'NATS does not permit this login to subscribe to x',
    });
    expect(violationOf(new Error('another'))).toBeUndefined();
    await connection.close();
  });

  it('reads its files again at each connection, so that a password is changed without a restart', async () => {
    const configured = (secret: string) => `authorization { timeout: 60, user: ann, password: "${secret}" }`;
    const rotated = await server(configured('first'));
    const passwordFile = file('rotated', 'first');
    const options = { reconnectTimeWait: 20, maxReconnectAttempts: -1 };
    const login = NatsLogin.of({ servers: rotated.url, user: 'ann', passwordFile });
    const connection = await connectWith(login, options);
    const seen = (type: string) =>
      (async () => {
        for await (const status of connection.status()) if (status.type === type) return;
      })();
    // The server changes first: the old password is rejected for a while, more than once.
    const rejected = [seen('error'), seen('disconnect')];
    await rotated.reload(configured('second'));
    await Promise.all(rejected);
    await seen('error');
    await seen('error');
    // A file that is gone for a moment ends nothing.
    rmSync(passwordFile);
    await seen('error');
    const again = seen('reconnect');
    writeFileSync(passwordFile, 'second');
    await again;
    await connection.flush();
    await connection.close();
  });
});

describe('a context that changes', () => {
  it('is read again at each connection, and by child processes, without a restart', async () => {
    const configured = (secret: string) => `authorization { timeout: 60, user: ann, password: "${secret}" }`;
    const rotated = await server(configured('first'));
    const contextOf = (secret: string) =>
      file('rotated.json', JSON.stringify({ url: rotated.url, user: 'ann', password: secret }));
    const login = NatsLogin.of({ context: contextOf('first') });
    const child = NatsLogin.of(settingsFromEnvironment(login.environment));
    const options = { reconnectTimeWait: 20, maxReconnectAttempts: -1 };
    const connections = await Promise.all([login, child].map((one) => connectWith(one, options)));
    const seen = (type: string) =>
      connections.map(async (connection) => {
        for await (const status of connection.status()) if (status.type === type) return;
      });
    const lost = seen('disconnect');
    const again = seen('reconnect');
    await rotated.reload(configured('second'));
    await Promise.all(lost);
    // One that is half written changes nothing.
    file('rotated.json', '{"user": "ann", "pass');
    contextOf('second');
    await Promise.all(again);
    for (const connection of connections) {
      await connection.flush();
      await connection.close();
    }
  });

  it('is passed to child processes only if it contains their login', () => {
    const context = file('named.json', JSON.stringify({ url: 'nats://a:1', user: 'ann', password }));
    const named = { CONCLAVE_NATS_CONTEXT: context, CONCLAVE_NATS_PASSWORD: '', NATS_URL: 'nats://a:1' };
    expect(NatsLogin.of({ context }).environment).toMatchObject({ ...named, CONCLAVE_NATS_USER: '' });
    expect(NatsLogin.of({ user: 'ann' }, { context }).environment).toMatchObject({
      ...named,
      CONCLAVE_NATS_USER: 'ann',
    });
    expect(NatsLogin.of({ token: 't' }, { context }).environment).toMatchObject({
      CONCLAVE_NATS_CONTEXT: '',
      CONCLAVE_NATS_TOKEN: 't',
    });
  });

  it('logs a child process in as its parent, even if sources of lower priority have other credentials', () => {
    const context = file('counts.json', JSON.stringify({ url: 'nats://a:1', user: 'ann', password }));
    const userAlone = file('user-alone.json', JSON.stringify({ user: 'ann' }));
    const inUrl = file('in-url.json', JSON.stringify({ url: `nats://ann:${password}@a:1` }));
    const bob = { user: 'bob', password: 'other' };
    for (const layers of [
      [{ context }, bob],
      [{ context: inUrl }, bob],
      [bob, { context }],
      [{ context }, { context: userAlone, password: 'other' }],
      [{ context: userAlone }, { password: 'other' }],
      [{ password: 'other' }, { context: userAlone }],
      [{ user: 'ann' }, { context: userAlone }, { context }],
    ]) {
      const login = NatsLogin.of(...layers);
      const child = NatsLogin.of(settingsFromEnvironment(login.environment));
      expect(shown(child), JSON.stringify(layers)).toEqual(shown(login));
    }
  });

  function shown(login: NatsLogin): unknown {
    const { authenticator } = login.connectOptions();
    return (authenticator as Authenticator)('nonce');
  }
});

describe('a login to a server that accepts no more connections', () => {
  it('names the reason, not a server that is missing', async () => {
    const { url } = await server('max_connections: 1');
    const first = await logIn({ servers: url });
    const { code, message } = await failure({ servers: url });
    await first.close();
    expect(code).toBe('EUNREACHABLE');
    expect(message).toMatch(/^NATS at \S+ accepts no more connections: .*maximum connections exceeded/i);
  });
});

describe('a login over TLS', () => {
  const authority = new Authority(folder, 'authority');
  const stranger = new Authority(folder, 'stranger');
  const own = authority.sign('server', ['IP:127.0.0.1', 'DNS:localhost']);
  const client = authority.sign('client', ['DNS:client']);
  const tlsCa = authority.certificate;
  const tls = (more = '') => `tls { cert_file: "${own.certificate}", key_file: "${own.key}", timeout: 60 ${more} }`;

  it('verifies the server by the configured authority, also by its address', async () => {
    const { url, port } = await server(tls());
    await succeeds({ servers: url, tlsCa });
    await succeeds({ servers: `tls://localhost:${port}`, tlsCa });
    const strangers = await failure({ servers: url, tlsCa: stranger.certificate });
    expect(strangers).toEqual({ code: 'ELOGIN', message: expect.stringContaining('not signed by an authority') });
    const demanded = await failure({ servers: url });
    expect(demanded).toEqual({ code: 'ELOGIN', message: expect.stringContaining('--nats-tls-ca') });
  });

  it('refuses a certificate that is for another server', async () => {
    const other = authority.sign('other', ['DNS:localhost', 'IP:127.0.0.2']);
    const { url } = await server(`tls { cert_file: "${other.certificate}", key_file: "${other.key}" }`);
    const { code, message } = await failure({ servers: url, tlsCa });
    expect(code).toBe('ELOGIN');
    expect(message).toContain('for another name');
  });

  it('sends its own certificate if the server requires one', async () => {
    const { url } = await server(tls(`, ca_file: "${tlsCa}", verify: true`));
    await succeeds({ servers: url, tlsCa, tlsCert: client.certificate, tlsKey: client.key });
    const { code, message } = await failure({ servers: url, tlsCa });
    expect([code, message]).toEqual(['ELOGIN', expect.stringContaining('--nats-tls-cert')]);
  });

  it('finds why the server does not accept its certificate if the reason is lost', async () => {
    const { port } = await server(tls(`, ca_file: "${tlsCa}", verify: true`));
    const { code, message } = await failure({ servers: await losingReasons(port), tlsCa });
    expect([code, message]).toEqual(['ELOGIN', expect.stringContaining('--nats-tls-cert')]);
  });

  it('reports that the server has no TLS although it is required', async () => {
    const { url } = await server('');
    expect(await failure({ servers: url, tlsCa })).toEqual({
      code: 'ELOGIN',
      message: expect.stringContaining('the server has none'),
    });
    await succeeds({ servers: url });
  });

  it('starts with TLS if the server does', async () => {
    const { port } = await server('');
    // As a server with handshake_first does: TLS, then its first line, which says that TLS is required.
    const options = { cert: readFileSync(own.certificate), key: readFileSync(own.key) };
    const first = createServer(options, (socket) => {
      const behind = connectPlain(port, '127.0.0.1');
      behind.once('data', (line) => {
        socket.write(line.toString().replace('INFO {', 'INFO {"tls_required":true,'));
        behind.pipe(socket);
        socket.pipe(behind);
      });
      for (const one of [socket, behind]) one.on('error', () => undefined).on('close', () => behind.destroy());
    });
    await new Promise<void>((resolve) => first.listen(0, '127.0.0.1', resolve));
    const url = `tls://127.0.0.1:${(first.address() as { port: number }).port}`;
    try {
      await succeeds({ servers: url, tlsCa, tlsFirst: true });
    } finally {
      first.close();
    }
  });

  it('cannot be without a readable key', async () => {
    const locked = file('locked', readFileSync(client.key, 'utf8'));
    chmodSync(locked, 0o000);
    const { url } = await server(tls(`, ca_file: "${tlsCa}", verify: true`));
    const settings = { servers: url, tlsCa, tlsCert: client.certificate };
    // The administrator may read all files.
    if (process.getuid?.() !== 0) expect((await failure({ ...settings, tlsKey: locked })).code).toBe('ELOGIN');
    expect((await failure({ ...settings, tlsKey: path.join(folder, 'none') })).code).toBe('ELOGIN');
  });
});
