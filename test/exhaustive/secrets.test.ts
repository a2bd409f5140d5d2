/**
 * No secret of a login is in an output, a log, an event, a file of data or the list of processes: each command, with logins of each kind, of
 * which NATS accepts some and rejects others.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { connectWith, NatsLogin } from '@conclave/protocol/login';
import { createUser } from '@nats-io/nkeys';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { exitCodes } from '../../packages/cli/src/exit-codes.js';
import { Stops } from '../mesh/fault-mesh.js';
import { Authority } from '../support/certificates.js';
import { type CommandRun, startCommand } from '../support/command.js';
import { commandsThatLogIn } from '../support/commands.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { Operator } from '../support/nats-jwt.js';
import { startPeer } from '../support/peers.js';

/** How a command is given its login. */
interface Login {
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
}
type Which = 'good' | 'bad';

const stops = new Stops();
const folder = makeFolder('secrets');
const dataFolder = path.join(folder, 'data');
const file = (name: string, text: string): string => {
  const at = path.join(folder, name);
  mkdirSync(path.dirname(at), { recursive: true });
  writeFileSync(at, text);
  return at;
};
const passwords = { good: 'sesame-good-5d1', bad: 'sesame-bad-77e' };
const tokens = { good: 'tulip-good-30c', bad: 'tulip-bad-94f' };
const users = { good: createUser(), bad: createUser() };
const seedOf = (which: Which): string => new TextDecoder().decode(users[which].getSeed());
const operator = new Operator();
const credsOf = (which: Which): string => path.join(folder, `${which}.creds`);
const secrets = [...Object.values(passwords), ...Object.values(tokens), seedOf('good'), seedOf('bad')];
/** What peers published, and what one of them logged. */
const received: string[] = [];
/** `conclave record`, which runs while the other commands do. */
let recorder: CommandRun;
const recording = path.join(folder, 'whole-recording');
const servers = {} as Record<'users' | 'token' | 'operator', NatsServer>;
/** The environment of all commands: TLS, and the lowest level of logs. */
let common: Readonly<Record<string, string>>;

const within = ['--timeout-ms', '1000'];
const inData = (name: string): string[] => ['--data-dir', path.join(dataFolder, name)];
/** What each command is given. */
const commands: Readonly<Record<string, readonly string[]>> = {
  run: ['--peer', 'n7', ...inData('n7'), '--nats-login-attempts', '1'],
  up: ['--peers', '1', '--placement', 'one', '--prefix', 'up', ...inData('up')],
  bootstrap: ['n1'],
  status: [],
  check: [],
  'groups list': [],
  'groups create': ['other', '--peers', 'n1'],
  'groups delete': ['other', '--peers', 'n1', '--yes'],
  upgrade: [],
  'peers add': ['n9', ...within],
  'peers remove': ['n9', '--yes'],
  'peers change': ['n1', '--yes'],
  'peers read-only': ['n1', 'off'],
  'peers reset': ['--peer', 'n1', '--new-peers', 'n1', '--yes'],
  'peers cancel': [],
  restart: ['--run', 'false'],
  'leader transfer': [],
  snapshot: ['--peer', 'n1'],
  'kv put': ['k', 'v'],
  'kv get': ['k'],
  'kv range': [],
  'kv watch': [],
  'kv delete': ['k'],
  'kv cas': ['k', '0', 'v'],
  txn: ['{"compare":[],"then":[]}'],
  'lease grant': ['60000'],
  'lease keep': ['7'],
  'lease revoke': ['7'],
  'lease get': ['7'],
  'lease list': [],
  'lock list': [],
  'lock get': ['printer'],
  // Where there is no group, it would wait for a day.
  'lock run': ['printer', '--wait-ms', '2500', '--', 'true'],
  watch: [],
  'log-level': ['--peer', 'n1'],
  profile: ['cpu', '--peer', 'n1', '--seconds', '1', '--out', path.join(folder, 'node.cpuprofile')],
  exporter: ['--listen', '127.0.0.1:0'],
  view: ['--listen', '127.0.0.1:0'],
  record: [path.join(folder, 'recording')],
  backup: [path.join(folder, 'second-backup')],
  restore: [path.join(folder, 'backup'), '--peers', 'n1'],
  bench: ['--seconds', '1', '--warm-up-seconds', '0', '--rows', 'one-1', ...inData('bench')],
  soak: ['--minutes', '0.02', '--sample-seconds', '1', ...inData('soak')],
  demo: ['--seconds', '0', '--writers', '1', '--placement', 'one'],
  health: ['--peer', 'n1'],
  'context add': ['added', '--group', 'main'],
};
/** Those that do not end by themselves are interrupted once they have printed this. */
const endless: Readonly<Record<string, RegExp>> = {
  run: /"msg":"ready"/,
  up: /In another terminal/,
  watch: /./,
  'kv watch': /"?k"?/,
  exporter: /127\.0\.0\.1:\d/,
  view: /127\.0\.0\.1:\d/,
  record: /./,
};
/** They use the server that an option names, whatever the environment has. */
const namedByOption = ['bench', 'soak', 'demo'];
const withoutContexts = ['run', 'up', 'health', ...namedByOption];

/** The ways to log in to the server with users. */
function userLogins(which: Which): Record<string, Login> {
  const [secret, { url }] = [passwords[which], servers.users];
  const inUrl = url.replace('://', `://ann:${secret}@`);
  const context = { url, user: 'ann', password: secret };
  file(`conclave/contexts/${which}.json`, JSON.stringify({ nats: inUrl }));
  return {
    'a password file': { env: { CONCLAVE_NATS_USER: 'ann', CONCLAVE_NATS_PASSWORD_FILE: file(`${which}.pw`, secret) } },
    'a password': { env: { CONCLAVE_NATS_USER: 'ann', CONCLAVE_NATS_PASSWORD: secret } },
    'a URL': { env: { NATS_URL: inUrl } },
    'a URL as an argument': { args: ['--nats', inUrl] },
    'a configuration file': { env: { NATS_URL: '', CONCLAVE_CONFIG: file(`${which}.yaml`, `nats: ${inUrl}\n`) } },
    'an nkey': { env: { CONCLAVE_NATS_NKEY: seedOf(which) } },
    'an nkey file': { env: { CONCLAVE_NATS_NKEY_FILE: file(`${which}.nk`, seedOf(which)) } },
    'a context of nats': {
      args: ['--nats-context', file(`${which}.json`, JSON.stringify(context))],
      env: { NATS_URL: '' },
    },
    'a context of conclave': { env: { NATS_URL: '', CONCLAVE_CONTEXT: which } },
  };
}

function tokenLogins(which: Which): Record<string, Login> {
  const [secret, { url }] = [tokens[which], servers.token];
  return {
    'a token': { env: { NATS_URL: url, CONCLAVE_NATS_TOKEN: secret } },
    'a token file': { env: { NATS_URL: url, CONCLAVE_NATS_TOKEN_FILE: file(`${which}.token`, secret) } },
    'a token in a URL': { env: { NATS_URL: url.replace('://', `://${secret}@`) } },
    'a token as an argument': { args: [`--nats=${secret}@${url.replace('nats://', '')}`] },
  };
}

function credsLogins(which: Which): Record<string, Login> {
  return {
    'a credentials file': { env: { NATS_URL: servers.operator.url, CONCLAVE_NATS_CREDS: credsOf(which) } },
  };
}

beforeAll(async () => {
  stops.add(async () => removeFolder(folder));
  const authority = new Authority(folder, 'authority');
  const own = authority.sign('server', ['IP:127.0.0.1']);
  const client = authority.sign('client', ['DNS:client']);
  common = {
    CONCLAVE_LOG_LEVEL: 'trace',
    CONCLAVE_NATS_TLS_CA: authority.certificate,
    CONCLAVE_NATS_TLS_CERT: client.certificate,
    CONCLAVE_NATS_TLS_KEY: client.key,
  };
  const files = `cert_file: "${own.certificate}", key_file: "${own.key}", ca_file: "${authority.certificate}"`;
  const inConfiguration = {
    users: `authorization { timeout: 60, users: [
      { user: ann, password: "${passwords.good}" }, { nkey: ${users.good.getPublicKey()} }] }`,
    token: `authorization { timeout: 60, token: "${tokens.good}" }`,
    operator: operator.configuration,
  };
  operator.writeUser(credsOf('good'));
  operator.writeUser(credsOf('bad'), Math.floor(Date.now() / 1000) - 60);
  for (const which of ['good', 'bad'] as const) {
    const lines = readFileSync(credsOf(which), 'utf8').split('\n');
    secrets.push(...lines.filter((line) => line.length > 40 && !line.startsWith('-')));
  }
  secrets.push(readFileSync(client.key, 'utf8').split('\n')[1] as string);
  for (const [name, configuration] of Object.entries(inConfiguration)) {
    const server = await startNats({
      configuration: `tls { ${files}, verify: true, timeout: 60 }\n${configuration}`,
    });
    servers[name as keyof typeof servers] = server;
    stops.add(() => server.stop());
  }
  await startGroup();
});
afterAll(() => stops.run());

async function startGroup(): Promise<void> {
  const { url } = servers.users;
  const env = { ...common, ...userLogins('good')['a password file']?.env };
  const login = NatsLogin.of({
    servers: url,
    user: 'ann',
    password: passwords.good,
    tlsCa: common.CONCLAVE_NATS_TLS_CA,
    tlsCert: common.CONCLAVE_NATS_TLS_CERT,
    tlsKey: common.CONCLAVE_NATS_TLS_KEY,
  });
  const observer = await connectWith(login);
  stops.add(() => observer.close());
  observer.subscribe('>', {
    callback: (_, { subject, data }) => void received.push(`${subject} ${Buffer.from(data).toString()}`),
  });
  const onLine = (_: string, line: string): void => void received.push(line);
  const peer = await startPeer({ peer: 'n1', nats: [url], placement: 'one', env, onLine, args: ['--mirror'] });
  stops.add(() => peer.stop());
  for (const words of [
    ['bootstrap', 'n1'],
    ['backup', path.join(folder, 'backup')],
  ]) {
    expect(await startCommand(url, words, env).ended).toMatchObject({ code: 0 });
  }
  recorder = startCommand(
    '',
    ['record', ...(userLogins('good')['a URL as an argument']?.args ?? []), recording],
    common,
  );
  stops.add(async () => void recorder.child.kill('SIGKILL'));
  await once(recorder.child.stderr as Readable, 'data');
}

function expectNoSecrets(where: string, text: string): void {
  for (const secret of secrets) expect(text.includes(secret), `${where}: ${text}`).toBe(false);
}

/** Runs a command to its end, or until it has printed what ends it; what it printed. */
async function outputOf(name: string, { args = [], env = {} }: Login, isAccepted: boolean): Promise<string> {
  const words = [...name.split(' '), ...args, ...(commands[name] ?? [])];
  const own = { ...common, XDG_CONFIG_HOME: folder, ...env };
  const { child, ended } = startCommand(servers.users.url, words, own);
  starting.add(child.pid);
  let [shown, listedMs] = ['', Number.NEGATIVE_INFINITY];
  const checks: Promise<void>[] = [];
  const onData = (data: Buffer): void => {
    shown += data.toString();
    starting.delete(child.pid);
    if (performance.now() - listedMs >= listEveryMs) {
      listedMs = performance.now();
      checks.push(expectNothingListed());
    }
    // One whose login is rejected ends by itself.
    if (isAccepted && !isEnding && endless[name]?.test(shown)) checks.push(end());
  };
  let isEnding = false;
  const end = async (): Promise<void> => {
    isEnding = true;
    const [page] = ['view', 'exporter'].includes(name) ? (/http:[^\s"]+/.exec(shown) ?? []) : [];
    try {
      if (page !== undefined) expectNoSecrets(`the page of ${name}`, await textOf(page));
    } finally {
      child.kill('SIGINT');
    }
  };
  child.stderr?.on('data', onData);
  child.stdout?.on('data', onData);
  // A watch prints nothing until something changes.
  while (name === 'kv watch' && isAccepted && child.exitCode === null && child.signalCode === null) {
    const put = startCommand(servers.users.url, ['kv', 'put', 'k', 'v', ...args], own);
    starting.add(put.child.pid);
    await put.ended;
    starting.delete(put.child.pid);
  }
  const { code, out, error } = await ended;
  starting.delete(child.pid);
  await Promise.all(checks);
  return `${code} ${out}${error}`;
}

/** Commands that have printed nothing: for their first milliseconds they may be listed with a URL, as docs/security.md explains. */
const starting = new Set<number | undefined>();

/** An output comes in many parts: for one command the processes are listed at most this often. */
const listEveryMs = 100;

async function expectNothingListed(): Promise<void> {
  const lines = execFileSync('ps', ['-ww', '-eo', 'pid=,args=']).toString().split('\n');
  for (const line of lines)
    if (!starting.has(Number.parseInt(line, 10))) expectNoSecrets('the list of processes', line);
}

/** The first part of a page: some never end. */
async function textOf(page: string): Promise<string> {
  const urls = page.endsWith('/') ? [page, `${page}api/stream`] : [page];
  const texts = urls.map(async (url) => {
    const reader = ((await fetch(url)).body as ReadableStream<Uint8Array>).getReader();
    const { value } = await reader.read();
    await reader.cancel();
    return Buffer.from(value ?? []).toString();
  });
  return (await Promise.all(texts)).join('\n');
}

async function expectAnswer(name: string, how: string, login: Login, which: Which): Promise<void> {
  const output = await outputOf(name, login, which === 'good');
  const what = `${name} with ${how}`;
  expectNoSecrets(what, output);
  if (which === 'good') expect(output, what).not.toMatch(/^7 |ELOGIN|no NATS server/);
  else expect(output, what).toMatch(/^7 .*rejects the login/s);
}

/** How many commands run at a time. */
const atATime = 2;

/** Each command with one of the logins, so that all of them take turns. */
async function expectAnswers(names: readonly string[], logins: Record<string, Login>, which: Which): Promise<void> {
  await inTurns([...names.entries()], async ([at, name]) => {
    const usable = Object.entries(logins).filter(([how, { args = [] }]) => {
      if (namedByOption.includes(name)) return args.length > 0;
      return how !== 'a context of conclave' || !withoutContexts.includes(name);
    });
    const [how, login] = usable[at % usable.length] as (typeof usable)[number];
    await expectAnswer(name, how, login, which);
  });
}

/** A few at a time, each as soon as one before it is done. */
async function inTurns<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const waiting = [...all];
  const take = async (): Promise<void> => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) await work(one);
  };
  await Promise.all(Array.from({ length: atATime }, take));
}

const connecting = Object.keys(commands).filter((name) => name !== 'context add');
const few = ['status', 'health', 'run', 'kv put', 'watch', 'lock run', 'check'];

it('the table has every command that logs in', () => {
  expect(Object.keys(commands).toSorted()).toEqual(commandsThatLogIn());
});

it('no command shows a secret of a login that NATS rejects', { timeout: 1_800_000 }, async () => {
  await expectAnswers(connecting, userLogins('bad'), 'bad');
  await inTurns(Object.entries(userLogins('bad')), ([how, login]) => expectAnswer('status', how, login, 'bad'));
  await expectAnswers(few, tokenLogins('bad'), 'bad');
  await expectAnswers(few, credsLogins('bad'), 'bad');
});

it('no command shows a secret of a login that NATS accepts', { timeout: 1_800_000 }, async () => {
  await expectAnswers(connecting, userLogins('good'), 'good');
  await inTurns(Object.entries(userLogins('good')), ([how, login]) => expectAnswer('status', how, login, 'good'));
  // On these servers there is no group: an error with that text is a reply.
  const alone = few.filter((name) => !['kv put', 'watch'].includes(name));
  await expectAnswers(alone, tokenLogins('good'), 'good');
  await expectAnswers(alone, credsLogins('good'), 'good');
});

it('a login in a URL is added to a context without being printed, and no error quotes it', async () => {
  const url = `nats://ann:${passwords.good}@127.0.0.1:4222`;
  const half = `{"nats": "${passwords.good}@127.0.0.1", group: main}`;
  const printing = [
    ['context', 'add', 'added', '--nats', url],
    ['config', 'check', file('own.yaml', `nats: [${url}]\ncommands: { "kv get": { nats: "${url}" } }\n`)],
    ['config', 'check', '--json', file('own.yaml', `nats: ${url}\n`)],
  ];
  const failing = [
    ['config', 'check', file('half.json', half)],
    ['config', 'check', file('half.yaml', `nats: "a"${passwords.good}@b\n`)],
    ['status', '--natz', url],
    ['status', `--nats-servers=${url}`],
    ['health', '--nats', url, '--peer', url],
    ['status', '--group', url],
    [url],
    ['peers', 'add', url, '--json'],
  ];
  await inTurns([...printing, ...failing], async (words) => {
    const { code, out, error } = await startCommand('', words, { XDG_CONFIG_HOME: folder }).ended;
    expect(code, `${words.join(' ')}: ${out}${error}`).toBe(printing.includes(words) ? 0 : exitCodes.usage);
    expectNoSecrets(words.join(' '), out + error);
  });
});

it('no help and no list of contexts shows a login of the environment, of a file or of a context', async () => {
  const given = Object.values(userLogins('good')).map(({ env }) => env);
  const env = {
    ...Object.assign({}, ...given),
    NATS_URL: `nats://ann:${passwords.good}@127.0.0.1:4222`,
    XDG_CONFIG_HOME: folder,
  };
  const names = ['', ...connecting].map((name) => [...name.split(' ').filter((word) => word !== ''), '--help']);
  await inTurns([...names, ['context', 'list'], ['context', 'list', '--json']], async (words) => {
    const { code, out, error } = await startCommand('', words, env).ended;
    expect(code, `${words.join(' ')}: ${out}${error}`).toBe(0);
    expectNoSecrets(words.join(' '), out + error);
  });
});

it('no log, event, message, recording or file of data has a secret', async () => {
  recorder.child.kill('SIGINT');
  const { code, out, error } = await recorder.ended;
  expect(code, error).toBe(0);
  expectNoSecrets('record', out + error);
  expect(contentOf(recording).split('\n').length).toBeGreaterThan(1000);
  expect(received.length).toBeGreaterThan(100);
  expectNoSecrets('a peer', received.join('\n'));
  const names = ['backup', 'second-backup', 'recording', 'whole-recording', 'node.cpuprofile'];
  const outputs = names.map((name) => path.join(folder, name));
  for (const place of [dataFolder, ...outputs]) {
    const found = statSync(place).isFile() ? [place] : filesIn(place);
    expect(found.length, place).toBeGreaterThan(0);
    for (const each of found) expectNoSecrets(each, contentOf(each));
  }
});

/** What a file holds; recordings are compressed. */
function contentOf(name: string): string {
  const bytes = readFileSync(name);
  return (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).toString('latin1');
}

function filesIn(place: string): string[] {
  return readdirSync(place, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => path.join(parentPath, name));
}
