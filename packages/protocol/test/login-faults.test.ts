/** Whatever is wrong with a login is an error with a code at once, says which file or setting it is about, and shows no secret. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { createAccount, createUser } from '@nats-io/nkeys';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority, encryptKey } from '../../../test/support/certificates.js';
import { makeFolder, removeFolder } from '../../../test/support/leftovers.js';
import { type NatsServer, startNats } from '../../../test/support/nats.js';
import { Operator } from '../../../test/support/nats-jwt.js';
import { connectWith, LoginError, type LoginSettings, NatsLogin } from '../src/login/index.js';

const password = 'sesame-4c1e';
const token = 'tulip-58ae';
const odd = { user: 'a@b:c/d e%', password: `ß%?#[x]@:${password}` };
const user = createUser();
const seed = new TextDecoder().decode(user.getSeed());
const operator = new Operator();
const secrets = [password, token, seed];
const folder = makeFolder('login-faults');
const at = (name: string): string => path.join(folder, name);
const file = (name: string, text: string): string => {
  writeFileSync(at(name), text);
  return at(name);
};
const listeners: Server[] = [];
const sockets = new Set<Socket>();
const servers: NatsServer[] = [];
let url: string;
let tokenUrl: string;
let operatorUrl: string;

beforeAll(async () => {
  const entries = [{ user: 'ann', password }, odd].map((one) => JSON.stringify(one));
  url = await server(`authorization { timeout: 60, users: [${entries.join(', ')}, { nkey: ${user.getPublicKey()} }] }`);
  tokenUrl = await server(`authorization { timeout: 60, token: "${token}" }`);
  operatorUrl = await server(operator.configuration);
});

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  for (const listener of listeners) listener.close();
  await Promise.all(servers.map((one) => one.stop()));
  removeFolder(folder);
});

async function server(configuration: string): Promise<string> {
  const started = await startNats({ configuration });
  servers.push(started);
  return started.url;
}

/** A server of the test's own, which is closed at the end. @returns its port */
async function listen(listener: Server, host = '127.0.0.1'): Promise<number> {
  listeners.push(listener);
  listener.on('connection', (socket) => {
    sockets.add(socket.on('error', () => undefined));
  });
  await new Promise<void>((resolve) => listener.listen(0, host, resolve));
  return (listener.address() as { readonly port: number }).port;
}

/** Passes connections to `::1` on to a server. @returns its URL */
async function atIpv6(to: string, scheme = 'nats'): Promise<string> {
  const relay = createTcpServer((near) => {
    const far = connectTcp(Number(new URL(to).port), '127.0.0.1');
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.pipe(other);
      one.on('error', () => other.destroy());
    }
  });
  return `${scheme}://[::1]:${await listen(relay, '::1')}`;
}

async function succeeds(settings: LoginSettings): Promise<void> {
  const connection = await connectWith(NatsLogin.of(settings), { timeout: 60_000 });
  await connection.flush();
  await connection.close();
}

/** Code and message of the failure. @param timeout for servers that say nothing */
async function failure(settings: LoginSettings, timeout = 60_000): Promise<{ code: string; message: string }> {
  try {
    const login = NatsLogin.of(settings);
    login.checkInbox('conclave');
    await (await connectWith(login, { timeout })).close();
  } catch (error) {
    expect(error).toBeInstanceOf(LoginError);
    const { code, message } = error as LoginError;
    for (const secret of secrets) expect(message).not.toContain(secret);
    return { code, message };
  }
  throw new Error('it succeeded');
}

describe('a URL', () => {
  it('may name an IPv6 address', async () => {
    const servers = await atIpv6(url);
    expect(NatsLogin.of({ servers }).servers).toEqual([servers]);
    await succeeds({ servers, user: 'ann', password });
    const { code, message } = await failure({ servers, user: 'ann', password: 'wrong' });
    expect([code, message]).toEqual(['ELOGIN', expect.stringContaining(`NATS at ${servers} rejects the login`)]);
  });

  it('may have any characters in user and password, as %XX', async () => {
    const login = [odd.user, odd.password].map(encodeURIComponent).join(':');
    await succeeds({ servers: url.replace('://', `://${login}@`) });
  });

  it('may have an empty password, which is not a token then', async () => {
    const { code, message } = await failure({ servers: url.replace('://', '://ann:@') });
    expect([code, message]).toEqual(['ELOGIN', expect.stringContaining('rejects the login with the user ann')]);
  });

  it('may have the login in one of several, for all of them', async () => {
    await succeeds({ servers: [url, url.replace('://', `://ann:${password}@`)] });
  });

  it.each<[string, string]>([
    ['ws://h', 'is a WebSocket'],
    [`WSS://ann:${password}@h`, 'is a WebSocket'],
    [`http://ann:${password}@h`, 'has the scheme http'],
    [`nats://ann:${password}@a, nats://bob:${password}@b`, 'different logins'],
    [`nats://ann:${password}@a, nats://ann:@b`, 'different logins'],
    [`nats://ann:${password}@a, nats://${token}@b`, 'different logins'],
    [`nats://:${password}@h`, 'a password without a user'],
    [`nats://ann:${password}%@h`, '%XX make no sense'],
    [`nats://ann:${password}/@h`, 'is no URL'],
    [`nats://ann:${password}@`, 'is no URL'],
    ['nats://::1:4222', 'is no URL'],
    ['nats://[::1', 'is no URL'],
    ['nats://h:99999', 'has a port that is not from 1 to 65535'],
    [`nats://ann:${password}@h:70000`, 'has a port that is not from 1 to 65535'],
    ['nats://h:port', 'is no URL'],
    ['nats://h h', 'is no URL'],
    ['nats://', 'names no host'],
    [' , ', 'the list of NATS servers is empty'],
    ['', 'the list of NATS servers is empty'],
  ])('is refused if it makes no sense: %#', async (servers, words) => {
    expect(await failure({ servers })).toEqual({ code: 'EINVAL', message: expect.stringContaining(words) });
  });
});

describe('settings', () => {
  it.each<[LoginSettings, string]>([
    [{ user: 'ann', password, token }, 'several ways to log in to NATS (the user ann and a token)'],
    [{ user: 'ann', nkey: seed }, 'several ways'],
    [{ creds: 'c', nkeyFile: 'n' }, 'several ways'],
    [{ creds: 'c', token }, 'several ways'],
    [{ user: '', password }, 'the user for NATS is empty'],
    [{ token: '' }, 'the token for NATS is empty'],
    [{ passwordFile: 'p' }, 'a password for NATS needs a user'],
    [{ tlsKey: 'k' }, 'given together'],
    ...['', 'a b', 'a.*', '>', 'a..b', 'a.', '.a', 'a\r\nb'].map(
      (inboxPrefix) => [{ inboxPrefix }, 'is no inbox prefix'] as [LoginSettings, string],
    ),
  ])('that contradict each other, or make no sense, are refused: %#', async (settings, words) => {
    expect(await failure(settings)).toEqual({ code: 'EINVAL', message: expect.stringContaining(words) });
  });
});

describe('a file with a secret', () => {
  const kinds: Readonly<Record<string, (name: string) => LoginSettings>> = {
    password: (name) => ({ user: 'ann', passwordFile: at(name) }),
    token: (name) => ({ tokenFile: at(name) }),
    nkey: (name) => ({ nkeyFile: at(name) }),
    credentials: (name) => ({ creds: at(name) }),
    context: (name) => ({ context: at(name) }),
    'TLS certificate': (name) => ({ tlsCa: at(name) }),
  };

  beforeAll(() => {
    file('empty', '');
    file('lines', '\r\n\n');
    mkdirSync(at('folder'));
    execFileSync('mkfifo', [at('pipe')]);
    file('huge', password);
    truncateSync(at('huge'), 2 ** 24 + 1);
    operator.writeUser(at('user.creds'));
    secrets.push(
      ...readFileSync(at('user.creds'), 'utf8')
        .split('\n')
        .filter((line) => line.length > 40),
    );
  });

  it.each(Object.entries(kinds))('that is missing, empty, a folder, a pipe or huge is named: %s', async (what, of) => {
    for (const name of ['missing', 'folder', 'pipe', 'huge']) {
      const { code, message } = await failure({ servers: url, ...of(name) });
      expect([name, code, message]).toEqual([name, 'ELOGIN', expect.stringContaining(`the ${what}`)]);
      expect(message).toMatch(/cannot be read: /);
      expect(message).toContain(at(name));
    }
    for (const name of ['empty', 'lines']) {
      const { code, message } = await failure({ servers: url, ...of(name) });
      expect(code).toBe(what === 'context' ? 'EINVAL' : 'ELOGIN');
      expect(message).toContain(at(name));
    }
  });

  it('of which the content was passed instead of its name is not shown', async () => {
    const creds = readFileSync(at('user.creds'), 'utf8');
    const [jwt] = creds.split('\n').filter((line) => line.startsWith('ey')) as [string];
    const { certificate, key } = new Authority(folder, 'mistaken').sign('mistaken-client', ['DNS:a']);
    const wrong: [LoginSettings, string][] = [
      [{ user: 'ann', passwordFile: password }, 'the password'],
      [{ tokenFile: token }, 'the token'],
      [{ tokenFile: `${token}${'x'.repeat(300)}` }, 'the token'],
      [{ tokenFile: `a/${token}` }, 'the token'],
      [{ nkeyFile: seed }, 'the nkey'],
      [{ creds }, 'the credentials'],
      [{ creds: creds.replaceAll('\n', ' ') }, 'the credentials'],
      [{ creds: jwt }, 'the credentials'],
      [{ tlsCert: certificate, tlsKey: readFileSync(key, 'utf8') }, 'the TLS key'],
    ];
    for (const [settings, what] of wrong) {
      const { code, message } = await failure({ servers: url, ...settings });
      expect([code, message]).toEqual(['ELOGIN', expect.stringContaining(`${what} for NATS cannot be read: `)]);
      expect(message).not.toContain('PRIVATE KEY');
    }
    // `failure` searches for the secrets.
    expect(await failure({ servers: url, creds, token })).toMatchObject({ code: 'EINVAL' });
  });

  it('may have line breaks of any kind at its end', async () => {
    file('password', `${password}\r\n`);
    file('token', `${token}\n\n`);
    file('nkey', `${seed}\r\n`);
    file('credentials', readFileSync(at('user.creds'), 'utf8').replaceAll('\n', '\r\n'));
    await succeeds({ servers: url, user: 'ann', passwordFile: at('password') });
    await succeeds({ servers: tokenUrl, tokenFile: at('token') });
    await succeeds({ servers: url, nkeyFile: at('nkey') });
    await succeeds({ servers: operatorUrl, creds: at('credentials') });
    const withoutEnd = file('without-end', readFileSync(at('user.creds'), 'utf8').trimEnd());
    await succeeds({ servers: operatorUrl, creds: withoutEnd });
  });

  it('that holds something else is named', async () => {
    const creds = readFileSync(at('user.creds'), 'utf8');
    const [jwt, ownSeed] = creds.split('\n').filter((line) => line.length > 40 && !line.startsWith('-')) as [
      string,
      string,
    ];
    const [jwtAlone, seedAlone] = [creds.replace(ownSeed, ''), creds.replace(jwt, '')];
    // Not its last character, of which only some bits count.
    const damaged = `${seed.slice(0, 20)}${seed[20] === 'A' ? 'B' : 'A'}${seed.slice(21)}`;
    const wrong: [LoginSettings, string][] = [
      [{ nkeyFile: file('public', user.getPublicKey()) }, 'holds no seed of a user'],
      [{ nkeyFile: file('account', new TextDecoder().decode(createAccount().getSeed())) }, 'holds no seed of a user'],
      [{ nkeyFile: file('damaged', damaged) }, 'or damaged ones'],
      [{ creds: file('jwt', jwtAlone) }, 'holds no credentials'],
      [{ creds: file('seed', seedAlone) }, 'holds no credentials'],
      [{ creds: file('half', creds.slice(0, creds.length / 2)) }, 'holds no credentials'],
    ];
    for (const [settings, words] of wrong) {
      const { code, message } = await failure({ servers: operatorUrl, ...settings });
      expect([code, message]).toEqual(['ELOGIN', expect.stringContaining(words)]);
      expect(message).toContain(Object.values(settings)[0]);
    }
    // Only the server can tell that the JWT is another user's.
    const others = creds.replace(ownSeed, seed);
    const { code, message } = await failure({ servers: operatorUrl, creds: file('others', others) });
    expect([code, message]).toEqual(['ELOGIN', expect.stringContaining(`the credentials file ${at('others')}`)]);
  });
});

describe('TLS', () => {
  const names = ['IP:127.0.0.1', 'IP:::1', 'DNS:localhost'];
  const authority = new Authority(folder, 'authority');
  const own = authority.sign('server', names);
  const client = authority.sign('client', ['DNS:client']);
  const other = authority.sign('other', ['DNS:client']);
  const tlsCa = authority.certificate;
  const verified = { tlsCa, tlsCert: client.certificate, tlsKey: client.key };
  let tlsUrl: string;

  const configured = ({ certificate, key } = own): string =>
    `tls { cert_file: "${certificate}", key_file: "${key}", ca_file: "${tlsCa}", verify: true, timeout: 60 }`;

  beforeAll(async () => {
    tlsUrl = await server(configured());
    encryptKey(client.key, at('encrypted.pem'), password);
    secrets.push(readFileSync(client.key, 'utf8').split('\n')[1] as string);
  });

  it('works with a server at an IPv6 address', async () => {
    await succeeds({ servers: await atIpv6(tlsUrl, 'tls'), ...verified });
  });

  it('names the file that cannot be used', async () => {
    const text = readFileSync(client.certificate, 'utf8');
    const damaged = text.replace(/\n[^\n-]{20}/, '\n'.padEnd(21, 'A'));
    const wrong: [Partial<typeof verified>, string][] = [
      [{ tlsCa: file('no-ca.pem', 'no certificate') }, `${at('no-ca.pem')} holds no certificate`],
      [{ tlsCa: file('empty.pem', '') }, `${at('empty.pem')} holds no certificate`],
      [{ tlsCa: client.key }, `${client.key} holds no certificate`],
      [{ tlsCa: file('damaged.pem', damaged) }, `${at('damaged.pem')} holds a damaged certificate`],
      [{ tlsCert: client.key, tlsKey: client.certificate }, `${client.key} holds no certificate`],
      [{ tlsKey: client.certificate }, `${client.certificate} holds no private key`],
      [{ tlsKey: other.key }, `${other.key} does not belong to the certificate in ${client.certificate}`],
      [{ tlsKey: at('encrypted.pem') }, `${at('encrypted.pem')} holds an encrypted key`],
    ];
    for (const [settings, words] of wrong) {
      const found = await failure({ servers: tlsUrl, ...verified, ...settings });
      expect(found).toEqual({ code: 'ELOGIN', message: expect.stringContaining(words) });
    }
  });

  it.each([
    ['expired', [2020, 2021]],
    ['not yet valid', [2090, 2091]],
  ] as const)('is refused where a certificate is %s, the server’s or the client’s', async (what, years) => {
    const ofServer = authority.sign(`server ${what}`, names, years);
    const code = what === 'expired' ? 'CERT_HAS_EXPIRED' : 'CERT_NOT_YET_VALID';
    const strange = await failure({ servers: await server(configured(ofServer)), ...verified });
    expect(strange).toEqual({ code: 'ELOGIN', message: expect.stringContaining(code) });
    const { certificate, key } = authority.sign(`client ${what}`, ['DNS:client'], years);
    const refused = await failure({ servers: tlsUrl, tlsCa, tlsCert: certificate, tlsKey: key });
    expect(refused).toEqual({
      code: 'ELOGIN',
      message: expect.stringContaining('does not accept the client certificate'),
    });
  });

  it('is refused if only one side demands it, or begins with it', async () => {
    const withoutTls = { user: 'ann', password };
    const [noCa, notFirst] = [
      await failure({ servers: tlsUrl }),
      await failure({ servers: url, ...withoutTls, tlsCa }),
    ];
    expect(noCa).toEqual({ code: 'ELOGIN', message: expect.stringContaining('--nats-tls-ca') });
    expect(notFirst).toEqual({ code: 'ELOGIN', message: expect.stringContaining('the server has none') });
    const first = await failure({ servers: url, ...withoutTls, tlsFirst: true });
    expect(first).toEqual({ code: 'ELOGIN', message: expect.stringContaining('no TLS connection') });
    // As a server with handshake_first: it waits for the client's TLS.
    const waiting = createTlsServer({ cert: readFileSync(own.certificate), key: readFileSync(own.key) });
    waiting.on('tlsClientError', () => undefined);
    const late = await failure({ servers: `nats://127.0.0.1:${await listen(waiting)}`, ...verified }, 500);
    expect(late).toEqual({ code: 'EUNREACHABLE', message: expect.stringContaining('--nats-tls-first') });
  });
});

describe('a server of something else', () => {
  it.each<[string, string]>([
    ['sends nothing', ''],
    ['sends its own first line', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['sends a first line that is no JSON', 'INFO {\r\n'],
    ['sends no end of a line', 'x'.repeat(100_000)],
  ])('that %s is not reached, and nothing waits for it without end', async (_, greeting) => {
    const port = await listen(createTcpServer((socket) => void socket.write(greeting)));
    const servers = `nats://127.0.0.1:${port}`;
    const { code, message } = await failure({ servers, user: 'ann', password }, 500);
    expect([code, message]).toEqual(['EUNREACHABLE', expect.stringContaining(`no NATS server at ${servers}`)]);
  });

  it('is named with its reason, as is each other server of the list', async () => {
    const silent = `nats://127.0.0.1:${await listen(createTcpServer(() => undefined))}`;
    const closed = 'nats://127.0.0.1:1';
    const { code, message } = await failure({ servers: `${closed},${silent}` }, 500);
    expect([code, message]).toEqual([
      'EUNREACHABLE',
      expect.stringMatching(`^no NATS server at ${closed}: connection refused; no NATS server at ${silent}: timeout`),
    ]);
  });

  it('that ends the connection is not reached', async () => {
    const port = await listen(createTcpServer((socket) => void socket.destroy()));
    expect(await failure({ servers: `nats://127.0.0.1:${port}` })).toMatchObject({ code: 'EUNREACHABLE' });
  });
});
