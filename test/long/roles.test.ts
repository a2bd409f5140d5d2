/**
 * Promise 37 with complete scenarios: every command of each role, by a user of that role alone, on a NATS server with
 * the permissions that `conclave permissions` prints. The server notes no violation.
 */
import { statSync } from 'node:fs';
import { ConclaveClient } from '@conclave/client';
import { observe, observeMessages } from '@conclave/observer';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Mesh, Stops, until } from '../mesh/fault-mesh.js';
import { Writers } from '../mesh/fault-writers.js';
import { type CommandRun, startCommand } from '../support/command.js';
import { commandIn, commandsThatLogIn } from '../support/commands.js';
import { startExporter } from '../support/exporter.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { peerUser, roleUser, SecuredNats, testUser } from '../support/secured-nats.js';
import { ViewProcess } from '../support/view.js';

const members = ['n1', 'n2', 'n3'];
const peers = [...members, 'n4', 'n5'];
const stops = new Stops();
let nats: SecuredNats;
let mesh: Mesh;
let folder: string;
let writers: Writers;
/** The commands that ran. */
const ran = new Set<string | undefined>();
const loggingIn = commandsThatLogIn();

beforeAll(async () => {
  folder = makeFolder('roles');
  stops.add(async () => removeFolder(folder));
  const roles = [roleUser('operator'), roleUser('client', '--owner', 'me'), roleUser('reader'), roleUser('observer')];
  nats = await SecuredNats.start([testUser, ...peers.map(peerUser), ...roles]);
  stops.add(() => nats.server.stop());
  mesh = await Mesh.open({
    servers: [nats.server],
    peers,
    placement: (name) => (name === 'n1' ? 'four' : 'one'),
    envOf: (name) => nats.environment(name),
    login: nats.login('test'),
  });
  stops.add(() => mesh.stop());
  await mesh.start(...peers);
});
afterAll(() => stops.run());

function start(user: string, args: readonly string[]): CommandRun {
  ran.add(commandIn(args, loggingIn));
  return startCommand(nats.server.url, args, nats.environment(user));
}

/** Runs a command as a user; what it printed. */
async function run(user: string, ...args: readonly string[]): Promise<string> {
  const once = () => start(user, args).ended;
  let { code, out, error } = await once();
  // A machine that stands still for seconds: the command found no server, and did nothing.
  for (let attempt = 1; code === 4 && attempt < 5; attempt++) ({ code, out, error } = await once());
  expect(code, `${user}: conclave ${args.join(' ')}\n${out}\n${error}`).toBe(0);
  return out;
}

/** As `run`, whatever comes of it: its exit code. */
async function attempt(user: string, ...args: readonly string[]): Promise<number | null> {
  return (await start(user, args).ended).code;
}

/** Runs a command that goes on, and has something happen until it shows that. */
async function showsOne(
  user: string,
  wanted: RegExp,
  args: readonly string[],
  happen: () => Promise<unknown> = async () => undefined,
): Promise<void> {
  const { child, ended } = start(user, args);
  let shown = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (data: Buffer) => {
      shown += data.toString();
    });
  }
  await until(`${user}: conclave ${args.join(' ')} shows ${wanted}`, async () => {
    await happen();
    return wanted.test(shown) ? true : undefined;
  });
  child.kill('SIGINT');
  await ended;
}

async function open(user: string): Promise<NatsConnection> {
  const connection = await connect(nats.login(user));
  stops.add(() => connection.close());
  return connection;
}

it('promise 37: an operator can bootstrap, change, restart, back up and restore a group', async () => {
  const all = members.join(',');
  await run('operator', 'bootstrap', '--peers', all);
  writers = await Writers.start([nats.server.url], 2, 'main', 5, nats.login('client'));
  stops.add(() => writers.stop());
  await writers.progress(20);
  for (const command of ['status', 'check', 'upgrade', 'snapshot', 'groups list'])
    await run('operator', ...command.split(' '));
  await run('operator', 'peers', 'add', 'n4');
  await run('operator', 'peers', 'remove', 'n4', '--yes');
  await run('operator', 'peers', 'change', 'n1,n4,n5', '--yes');
  await run('operator', 'leader', 'transfer');
  await run('operator', 'peers', 'change', all, '--yes');
  await run('operator', 'peers', 'read-only', 'n2', 'on');
  await run('operator', 'peers', 'read-only', 'n2', 'off');
  await run('operator', 'backup', `${folder}/backup`);
  await run('operator', 'groups', 'create', 'orders', '--peers', all, '--no-bootstrap');
  await run('operator', 'restore', `${folder}/backup`, '--group', 'orders', '--peers', all);
  await run('operator', 'status', '--group', 'orders');
  await run('operator', 'groups', 'delete', 'orders', '--peers', all, '--yes');
  await run('operator', 'groups', 'create', 'lost', '--peers', 'n4,n5');
  await mesh.kill('n5');
  const reset = ['peers', 'reset', '--peer', 'n4', '--new-peers', 'n4', '--group', 'lost', '--yes'];
  await until('n4 knows that nobody leads, and is reset', async () =>
    (await attempt('operator', ...reset)) === 0 ? true : undefined,
  );
  await mesh.start('n5');
  await run('operator', 'groups', 'delete', 'lost', '--peers', 'n4,n5', '--yes');
  // There is no change to cancel, and no peer restarts: only which requests the roles permit is tested here.
  await attempt('operator', 'peers', 'cancel');
  await attempt('operator', 'restart', '--run', 'false', '--peers', 'n2');
  await showsOne('operator', /leader_elected|catchup|configuration/, ['watch'], () =>
    run('operator', 'leader', 'transfer'),
  );
  await showsOne('operator', /append_entries/, ['watch', '--messages']);
  const recording = `${folder}/recording`;
  await showsOne('operator', /recording group/, ['record', recording], async () => {
    // Events, states and messages.
    expect(statSync(recording).size).toBeGreaterThan(10_000);
  });
  await run('operator', 'health', '--peer', 'n1');
  for (const level of ['debug', 'info']) await run('operator', 'log-level', level, '--peer', 'n1');
  const profile = ['profile', 'cpu', '--peer', 'n1', '--actor', 'replicator', '--seconds', '1'];
  await run('operator', ...profile, '--out', `${folder}/own.cpuprofile`);
  const view = await ViewProcess.start(nats.server.url, { env: nats.environment('operator') });
  ran.add('view');
  await view.streams(/"peer":"n1","status":\{/, /append_entries/);
  await view.stop();
  await writers.progress(20);
  expect(nats.violations).toEqual([]);
});

it('promise 37: a client can use keys, leases and locks, a reader can read and watch, an observer can observe', async () => {
  await run('client', 'kv', 'put', 'a', '1');
  await run('client', 'kv', 'cas', 'a', '1', 'x').catch(() => undefined);
  await run('client', 'txn', '{"compare":[],"then":[["put","b","2"]]}');
  const { lease_id } = JSON.parse(await run('client', 'lease', 'grant', '60000', '--json')) as { lease_id: string };
  await run('client', 'kv', 'put', 'c', '3', '--lease', lease_id);
  for (const command of [
    `lease keep ${lease_id}`,
    `lease get ${lease_id}`,
    `lease revoke ${lease_id}`,
    'kv delete b',
  ]) {
    await run('client', ...command.split(' '));
  }
  expect(await run('client', 'lock', 'run', 'printer', '--', 'echo', 'locked')).toContain('locked');
  for (const user of ['client', 'reader']) {
    for (const command of [
      'kv get a',
      'kv get a --peer n2',
      'kv get a --consistency lease',
      'kv range',
      'lease list',
      'lock list',
    ]) {
      await run(user, ...command.split(' '));
    }
    // Nobody holds it.
    expect(await attempt(user, 'lock', 'get', 'printer')).toBe(1);
  }
  for (const user of ['operator', 'observer']) {
    const page = await startExporter(nats.server.url, stops, nats.environment(user));
    ran.add('exporter');
    await until(`${user}: the exporter shows the metrics of all peers`, async () => {
      const text = await (await fetch(page)).text();
      for (const peer of members)
        expect(text).toMatch(new RegExp(`^conclave_up\\{[^}]*peer="${peer}"[^}]*\\} 1$`, 'm'));
      return true;
    });
  }
  await run('observer', 'status');
  await run('observer', 'groups', 'list');
  for (const which of [[], ['--all-peers'], ['--all-groups']]) {
    await run('observer', 'health', '--peer', 'n1', '--groups', 'main', ...which);
  }
  await showsOne('observer', /leader_elected/, ['watch'], () => run('operator', 'leader', 'transfer'));
  await showsOne('reader', /watched-by-command/, ['kv', 'watch'], () =>
    run('client', 'kv', 'put', 'watched-by-command', 'v'),
  );
  expect(nats.violations).toEqual([]);
});

it('promise 37: roles suffice under load, with watches, locks and follower reads, and while leaders crash', async () => {
  const [asClient, asReader, asObserver, asOperator] = await Promise.all(
    ['client', 'reader', 'observer', 'operator'].map(open),
  );
  const client = await ConclaveClient.connect({ connection: asClient as NatsConnection, groupId: 'main', owner: 'me' });
  const reader = await ConclaveClient.connect({ connection: asReader as NatsConnection, groupId: 'main' });
  const events = observe({ connection: asObserver as NatsConnection, groupId: 'main' });
  const messages = observeMessages({ connection: asOperator as NatsConnection, groupId: 'main' });
  await Promise.all([events.ready, messages.ready]);
  const watched = client.watch('watched/');
  const lock = await client.lock('leader-dies');
  for (let round = 1; round <= 2; round++) {
    const { peer_id, term } = await mesh.leaderStatus();
    await mesh.kill(peer_id);
    await mesh.leaderAfter(term, peer_id);
    await client.kv.put(`watched/${round}`, 'v');
    expect((await watched.next()).value).toMatchObject({ type: 'put', key: `watched/${round}` });
    await mesh.start(peer_id);
    await mesh.healthy(...members);
    await mesh.caughtUp(...members);
    for (const peerId of members) {
      const found = await reader.kv.get(`watched/${round}`, { peerId, consistency: 'linearizable' });
      expect(found.value).toBe('v');
    }
    await writers.progress(20);
  }
  await lock.release();
  await client.close();
  await reader.close();
  await until('an election was observed', async () => {
    for await (const { name } of events) if (name === 'leader_elected') return true;
    return undefined;
  });
  expect(messages.malformed).toBe(0);
  events.close();
  messages.close();
  expect(nats.violations).toEqual([]);
});

it('promise 37: every command that logs in was run under its role', () => {
  // They log in as peers do, or start servers of their own; a context is only written.
  const others = ['run', 'up', 'bench', 'soak', 'demo', 'context add'];
  expect([...ran].toSorted()).toEqual(loggingIn.filter((name) => !others.includes(name)));
});
