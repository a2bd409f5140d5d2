/** Processes that log in to a NATS server with TLS and users: a peer, the commands, the client library, observers. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ConclaveClient } from '@conclave/client';
import { observe } from '@conclave/observer';
import { connectWith, NatsLogin } from '@conclave/protocol/login';
import { createUser } from '@nats-io/nkeys';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority } from '../support/certificates.js';
import { type CommandRun, startCommand } from '../support/command.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { Peer, startPeer } from '../support/peers.js';
import { Stops, until } from './fault-mesh.js';

const stops = new Stops();
const folder = makeFolder('logins');
const file = (name: string): string => path.join(folder, name);
const nkey = createUser();
const seed = new TextDecoder().decode(nkey.getSeed());
const secrets = { peer: 'peers-secret-71', operator: 'operators-secret-72', reader: 'readers-secret-73' };
const allSecrets = [...Object.values(secrets), 'peers-secret-74', seed];
const said: string[] = [];
let server: NatsServer;
let peer: Peer;
let url: string;
let tlsCa: string;

function configuration(peersPassword = secrets.peer, deaf = 'deny: ["conclave.main.n2.feed.>"]'): string {
  const { operator, reader } = secrets;
  const own = [file('server.pem'), file('server-key.pem')];
  const few = 'publish: ["conclave.main.kv.batch_get"], subscribe: ["_INBOX_reader.>"]';
  return `tls { cert_file: "${own[0]}", key_file: "${own[1]}", timeout: 60 }
    authorization { timeout: 60, users: [
      { user: peer, password: "${peersPassword}" }
      { user: operator, password: "${operator}" }
      { user: deaf, password: "${operator}", permissions: { publish: ">", subscribe: { ${deaf} } } }
      { user: reader, password: "${reader}", permissions: { ${few} } }
      { nkey: ${nkey.getPublicKey()} }
    ] }`;
}

beforeAll(async () => {
  stops.add(async () => removeFolder(folder));
  const authority = new Authority(folder, 'authority');
  tlsCa = authority.certificate;
  authority.sign('server', ['IP:127.0.0.1', 'DNS:localhost']);
  server = await startNats({ configuration: configuration() });
  stops.add(() => server.stop());
  url = server.url;
  writeFileSync(file('peer'), secrets.peer);
  writeFileSync(file('operator'), secrets.operator);
  writeFileSync(file('seed'), seed);
  peer = await startPeer(peerOptions('n1', 'peer', 'peer'));
  stops.add(() => peer.stop());
  expect(await command('bootstrap', 'n1', ...operator()).ended).toMatchObject({ code: 0 });
});
afterAll(() => stops.run());

function peerOptions(name: string, user: string, passwordFile: string) {
  const args = ['--nats-user', user, '--nats-password-file', file(passwordFile), '--nats-tls-ca', tlsCa];
  const onLine = (_: string, line: string) => said.push(line);
  return { peer: name, nats: [url], placement: 'one', args, onLine } as const;
}

function operator(): string[] {
  return ['--nats-user', 'operator', '--nats-password-file', file('operator'), '--nats-tls-ca', tlsCa];
}

function command(...args: readonly string[]): CommandRun {
  return commandAt(url, args);
}

function commandAt(nats: string, args: readonly string[], more: Readonly<Record<string, string>> = {}): CommandRun {
  const run = startCommand(nats, args, more);
  const ended = run.ended.then((result) => {
    said.push(result.out, result.error);
    return result;
  });
  return { ...run, ended };
}

function withUser(user: string): string {
  return url.replace('nats://', `tls://${user}@`);
}

function seenBy(...matches: readonly RegExp[]) {
  return peer.process('node').line(({ msg, reason }) => matches.every((one) => one.test(`${msg} ${reason}`)), false);
}

describe('every command logs in', () => {
  it('with a user, an nkey, the URL, the environment, or a context of the nats command', async () => {
    mkdirSync(file('nats/context'), { recursive: true });
    const context = { url, user: 'operator', password: secrets.operator, ca: tlsCa };
    writeFileSync(file('nats/context/own.json'), JSON.stringify(context));
    const ca = { CONCLAVE_NATS_TLS_CA: tlsCa };
    const runs = [
      command('status', '--json', ...operator()),
      command('status', '--json', '--nats-nkey-file', file('seed'), '--nats-tls-ca', tlsCa),
      commandAt(withUser(`operator:${secrets.operator}`), ['status', '--json'], ca),
      commandAt(url, ['status', '--json'], {
        ...ca,
        CONCLAVE_NATS_USER: 'operator',
        CONCLAVE_NATS_PASSWORD: secrets.operator,
      }),
      commandAt('', ['status', '--json', '--nats-context', 'own'], { XDG_CONFIG_HOME: folder }),
      command('health', '--peer', 'n1', ...operator()),
      commandAt('', ['health', '--peer', 'n1', '--nats-context', 'own'], { XDG_CONFIG_HOME: folder }),
    ];
    for (const { ended } of runs) expect(await ended).toMatchObject({ code: 0, error: '' });
  });

  it('or exits with 7 if NATS rejects the login', async () => {
    const wrong = ['--nats-user', 'operator', '--nats-password-file', file('peer'), '--nats-tls-ca', tlsCa];
    const words = 'rejects the login with the user operator';
    const status = await command('status', ...wrong).ended;
    expect(status).toMatchObject({ code: 7, error: expect.stringContaining(`ELOGIN: NATS at ${url} ${words}`) });
    const health = await command('health', '--peer', 'n1', ...wrong).ended;
    expect(health).toMatchObject({ code: 7, error: expect.stringContaining(words) });
    const run = await command('run', '--peer', 'n7', '--data-dir', file('n7'), ...wrong, '--nats-login-attempts', '2')
      .ended;
    expect(run).toMatchObject({ code: 7, error: expect.stringContaining(words) });
    const bench = await command('bench', '--nats', url, '--data-dir', file('bench'), ...wrong).ended;
    expect(bench).toMatchObject({ code: 7, error: expect.stringContaining(words) });
    const untrusted = await command('status', '--nats-user', 'operator', '--nats-password-file', file('operator'))
      .ended;
    expect(untrusted).toMatchObject({ code: 7, error: expect.stringContaining('--nats-tls-ca') });
    const twice = await command('status', ...operator(), '--nats-nkey-file', file('seed')).ended;
    expect(twice).toMatchObject({ code: 2, error: expect.stringContaining('several ways to log in') });
  });
});

describe('what NATS does not permit', () => {
  async function reader(inboxPrefix: string | undefined): Promise<ConclaveClient> {
    const login = { user: 'reader', password: secrets.reader, tlsCa, inboxPrefix };
    return ConclaveClient.connect({ groupId: 'main', servers: url, login });
  }

  it('fails calls, watches and observers at once with EPERM, not done', async () => {
    const client = await reader('_INBOX_reader');
    const refused = (what: string) => ({
      code: 'EPERM',
      outcome: 'not_done',
      message: expect.stringContaining(`does not permit this login to ${what}`),
    });
    expect(await client.kv.get('none')).toMatchObject({ value: null });
    await expect(client.kv.put('k', 'v')).rejects.toMatchObject(refused('publish to conclave.main.kv.open_session'));
    await expect(client.admin.status()).rejects.toMatchObject(refused('publish to conclave.main.admin.status'));
    await expect(client.watch('').next()).rejects.toMatchObject(refused('subscribe to conclave.main.watch.'));
    const observation = observe({ connection: client.connection, groupId: 'main' });
    await expect(observation.ready).rejects.toMatchObject(refused('subscribe to conclave.main.event.'));
    await expect(observation[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'EPERM' });
    await client.close();
    await expect(reader(undefined)).rejects.toMatchObject(refused('subscribe to _INBOX.'));
  });

  it('fails the calls of a client that loses a permission', async () => {
    const login = { user: 'operator', passwordFile: file('operator'), tlsCa };
    const client = await ConclaveClient.connect({ groupId: 'main', servers: url, login });
    await client.kv.put('before', 'v');
    const watch = client.watch('');
    const ended = expect(watch.next()).rejects.toMatchObject({ code: 'EPERM' });
    const all = configuration();
    const few =
      'permissions: { publish: { deny: "conclave.main.kv.batch" }, subscribe: { deny: "conclave.main.watch.>" } }';
    await server.reload(all.replace(`operator, password: "${secrets.operator}"`, (same) => `${same}, ${few}`));
    await expect(client.kv.put('after', 'v')).rejects.toMatchObject({ code: 'EPERM', outcome: 'not_done' });
    await ended;
    const noReplies = 'permissions: { publish: ">", subscribe: { deny: "_INBOX.>" } }';
    await server.reload(all.replace(`operator, password: "${secrets.operator}"`, (same) => `${same}, ${noReplies}`));
    await expect(client.kv.put('after', 'v')).rejects.toMatchObject({ code: 'EPERM' });
    // Permitted again, it works again, with the same connection.
    await server.reload(all);
    await until('the client receives replies again', async () => {
      await client.kv.put('after', 'v');
      return true;
    });
    await client.close();
  });

  it('is reported by the commands with the subject', async () => {
    writeFileSync(file('reader'), secrets.reader);
    const as = ['--nats-user', 'reader', '--nats-password-file', file('reader'), '--nats-tls-ca', tlsCa];
    const inbox = ['--nats-inbox-prefix', '_INBOX_reader'];
    const failures: [readonly string[], string][] = [
      [['snapshot', '--peer', 'n1', ...as, ...inbox], 'publish to conclave.main.n1.admin.snapshot'],
      [['watch', ...as, ...inbox], 'subscribe to conclave.main.event.'],
      [['kv', 'put', 'k', 'v', ...as], 'subscribe to _INBOX.'],
    ];
    for (const [args, what] of failures) {
      const { code, error } = await command(...args).ended;
      expect([code, error]).toEqual([
        3,
        expect.stringMatching(
          new RegExp(`EPERM: (n1: )?NATS does not permit this login to ${what.replaceAll('.', '[.]')}`),
        ),
      ]);
    }
  });

  it('makes an actor unhealthy if it may not subscribe to its own subjects, until it is permitted', async () => {
    const deaf = await startPeer(peerOptions('n2', 'deaf', 'operator'));
    try {
      const { code, error } = await command('health', '--peer', 'n2', ...operator()).ended;
      expect([code, error]).toEqual([1, expect.stringContaining('subscribe to conclave.main.n2.feed.')]);
      await server.reload(configuration(secrets.peer, 'deny: ["nothing"]'));
      await until('n2 is healthy, and was not started again', async () => {
        const { error: still } = await command('health', '--peer', 'n2', ...operator()).ended;
        return still.includes('EPERM') ? undefined : true;
      });
    } finally {
      await deaf.stop();
      await server.reload(configuration());
    }
  });
});

describe('credentials that change', () => {
  it('are read again by a running peer, which reports meanwhile that its login is rejected', async () => {
    const rejected = seenBy(/not connected to NATS/, /rejects the login with the user peer/);
    await server.reload(configuration('peers-secret-74'));
    await rejected;
    // To others it is unreachable; the error names its log.
    const away = await command('health', '--peer', 'n1', ...operator()).ended;
    expect(away).toMatchObject({ code: 1, error: expect.stringContaining('is not connected to NATS: see its log') });
    const own = ['--nats-user', 'peer', '--nats-password-file', file('peer'), '--nats-tls-ca', tlsCa];
    const itself = await command('health', '--peer', 'n1', ...own).ended;
    expect(itself).toMatchObject({ code: 7, error: expect.stringContaining('rejects the login with the user peer') });
    const again = [seenBy(/connected to NATS again/)];
    writeFileSync(file('peer'), 'peers-secret-74');
    await Promise.all(again);
    expect(await command('kv', 'put', 'k', 'v', ...operator()).ended).toMatchObject({ code: 0 });
  });

  it('are awaited at the start if the process is configured to retry forever', async () => {
    writeFileSync(file('late'), 'wrong');
    const options = peerOptions('n3', 'operator', 'late');
    const late = new Peer({ ...options, args: [...options.args, '--nats-login-attempts', '0'] });
    const started = late.start();
    try {
      await late.process('node').line(({ msg, reason }) => /not connected.*rejects the login/.test(`${msg} ${reason}`));
      writeFileSync(file('late'), secrets.operator);
      await started;
    } finally {
      await late.stop();
    }
  });
});

describe('an inbox among the subjects of Conclave', () => {
  it('is refused before anything is asked, as peers would not reply there', async () => {
    const inbox = ['--nats-inbox-prefix', 'conclave.main'];
    const run = ['run', '--peer', 'n7', '--data-dir', file('n7')];
    for (const { ended } of [command('status', ...operator(), ...inbox), command(...run, ...inbox)]) {
      const error = expect.stringContaining('choose another inbox prefix than conclave.main');
      expect(await ended).toMatchObject({ code: 2, error });
    }
  });
});

describe('secrets', () => {
  it('are in no output, log or process list, even if they came in a URL', async () => {
    const nats = withUser(`operator:${secrets.operator}`);
    const watching = command('watch', '--nats', nats, '--nats-tls-ca', tlsCa);
    await once(watching.child.stderr as NodeJS.ReadableStream, 'data');
    const bad = command('status', '--nats', withUser(`operator:${secrets.reader}`), '--nats-tls-ca', tlsCa, '--json');
    expect(await bad.ended).toMatchObject({ code: 7 });
    expect(await command('status', '--nats', `ftp://a:${secrets.peer}@h`).ended).toMatchObject({ code: 2 });
    // An observer that requests it receives all that the peer publishes.
    const observer = await connectWith(NatsLogin.of({ servers: nats, tlsCa }));
    observer.subscribe('>', {
      callback: (_, { subject, data }) => void said.push(subject, Buffer.from(data).toString()),
    });
    expect(await command('kv', 'put', 'k', 'w', ...operator()).ended).toMatchObject({ code: 0 });
    await observer.close();
    const processes = execFileSync('ps', ['-ww', '-eo', 'args']).toString();
    expect(processes).toContain('conclave.js watch');
    watching.child.kill('SIGINT');
    await watching.ended;
    for (const secret of allSecrets) {
      expect(processes).not.toContain(secret);
      expect(said.filter((text) => text.includes(secret))).toEqual([]);
    }
  });

  it('are not printed by conclave config check', async () => {
    const secret = `nats://operator:${secrets.operator}@`;
    writeFileSync(file('own.yaml'), `nats: [${secret}a, b]\ncommands: { kv get: { nats: "${secret}c" } }\n`);
    const check = (...args: readonly string[]) => command('config', 'check', file('own.yaml'), ...args).ended;
    const [lines, json] = await Promise.all([check(), check('--json')]);
    expect(lines).toMatchObject({ code: 0, out: expect.stringContaining('nats: ***@a,b') });
    expect(JSON.parse(json.out)).toMatchObject({
      settings: { nats: ['***@a', 'b'] },
      commands: { 'kv get': { nats: '***@c' } },
    });
    expect(lines.out + json.out).not.toContain(secrets.operator);
  });
});
