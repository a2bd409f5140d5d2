/** `conclave kv` as processes, on a group of one. */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { connect } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exitCodes } from '../../packages/cli/src/exit-codes.js';
import { type CommandRun, startCommand } from '../support/command.js';
import { exitOf, makeFolder, removeFolder, spawnGuarded } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { Mesh, Stops, until } from './fault-mesh.js';

const stops = new Stops();
let server: NatsServer;
let mesh: Mesh;

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  mesh = await Mesh.found({ servers: [server], peers: ['n1'], placement: 'one' }, stops);
  await mesh.plain.insist('kv.put', { key: 'first', value: 'v' });
});
afterAll(() => stops.run());

function start(...args: readonly string[]): CommandRun {
  return startCommand(server.url, args);
}

describe('conclave kv range', () => {
  it('lists keys in order, with or without revision and value', async () => {
    const { revision } = await mesh.plain.insist('kv.put', { key: 'list/b', value: 'two' });
    await mesh.plain.insist('kv.put', { key: 'list/a', value: 'one' });
    const listed = await start('kv', 'range', 'list/').ended;
    expect(listed).toMatchObject({ code: 0, out: `list/a\t${Number(revision) + 1}\tone\nlist/b\t${revision}\ttwo\n` });
    expect(await start('kv', 'range', 'list/', '--keys', '--limit', '1').ended).toMatchObject({
      code: 0,
      out: 'list/a\n',
    });
    const json = await start('kv', 'range', 'list/b', '--json').ended;
    expect(JSON.parse(json.out)).toEqual({ key: 'list/b', value: 'two', revision });
    expect(await start('kv', 'range', 'nothing').ended).toMatchObject({ code: 0, out: '' });
  });
});

describe('conclave lease, txn, lock list and lock get', () => {
  it('attach keys and locks to a lease, and show them', async () => {
    const granted = await start('lease', 'grant', '60000').ended;
    expect(granted).toMatchObject({ code: 0, error: '' });
    const lease = granted.out.trim();
    const [shown] = lease.split('.') as [string];
    expect(await start('kv', 'put', 'tied', 'v', '--lease', lease).ended).toMatchObject({ code: 0 });
    await mesh.plain.insist('kv.lock', { name: 'by-hand', owner: 'me', lease_id: lease });
    expect((await start('lease', 'get', shown).ended).out).toMatch(
      new RegExp(`^${shown}  60000 ms, \\d+ ms left\n  tied\n$`),
    );
    expect((await start('lease', 'list').ended).out).toMatch(new RegExp(`${shown} +60000 +1\\b`));
    expect((await start('lock', 'get', 'by-hand').ended).out).toMatch(
      new RegExp(`^me holds it by lease ${shown}, token \\d+; 0 wait\n$`),
    );
    const [listed] = (await start('lock', 'list', '--json').ended).out.split('\n');
    expect(JSON.parse(listed as string)).toMatchObject({
      name: 'by-hand',
      owner: 'me',
      lease_id: Number(shown),
      waiting: 0,
    });
    expect((await mesh.plain.insist('kv.lock_list')).locks).toMatchObject([
      ['by-hand', 'me', Number(shown), expect.any(Number), 0],
    ]);
    expect(await start('lease', 'keep', lease).ended).toMatchObject({ code: 0, out: 'kept for 60000 ms\n' });
    expect(await start('lease', 'revoke', lease).ended).toMatchObject({ code: 0 });
    for (const args of [
      ['lease', 'keep', lease],
      ['lease', 'revoke', lease],
      ['lease', 'get', shown],
      ['lock', 'get', 'by-hand'],
      ['kv', 'get', 'tied'],
    ]) {
      const error = expect.stringMatching(/^conclave: ENOENT: /);
      expect({ args, ...(await start(...args).ended) }).toMatchObject({ args, code: 1, out: '', error });
    }
  });

  it('execute a transaction', async () => {
    const { revision } = await mesh.plain.insist('kv.put', { key: 'txn', value: 'v' });
    const text = JSON.stringify({
      compare: [['txn', 'revision', '=', revision]],
      then: [['put', 'txn', 'w']],
      else: [['get', 'txn']],
    });
    expect(await start('txn', text).ended).toMatchObject({ code: 0, out: expect.stringContaining('done, revision ') });
    expect(await start('txn', text).ended).toMatchObject({ code: 1, out: expect.stringContaining('["get","w",') });
    expect(await start('txn', '{"compare": 1}').ended).toMatchObject({ code: 2, out: '' });
  });
});

it('leader transfer --from does nothing if that peer does not lead', async () => {
  const transfer = await start('leader', 'transfer', '--from', 'n9').ended;
  expect(transfer).toMatchObject({ code: 0, out: expect.stringMatching(/^n9 does not lead: n\d does\n$/) });
});

it('kv watch and restart print that they wait for a group that does not reply', async () => {
  const watch = start('kv', 'watch', '--group', 'mian');
  const restart = start('restart', '--run', 'true', '--group', 'mian', '--timeout-ms', '4000');
  const [note] = (await once(watch.child.stderr as Readable, 'data')) as [Buffer];
  expect(note.toString()).toBe('conclave: ETIMEDOUT: no reply within 10000 ms: nobody answers; still watching\n');
  watch.child.kill('SIGINT');
  expect(await watch.ended).toMatchObject({ code: 0, out: '' });
  const reason = 'EUNREACHABLE: the group mian has no leader now: nobody listens on conclave.mian.admin.status';
  expect(await restart.ended).toMatchObject({
    code: exitCodes.refused,
    error: `conclave: waiting until the group has a leader (mian): ${reason}\nconclave: EBUSY: stopped, not within 4000 ms: the group has a leader (mian): ${reason}\n`,
  });
});

describe('Ctrl-C in a command that waits for a reply', () => {
  it('ends it by the signal, after it has printed that it was interrupted', async () => {
    const lock = start('lock', 'printer', '--group', 'mian', '--', 'true');
    // It prints this once it waits.
    await once(lock.child.stderr as Readable, 'data');
    lock.child.kill('SIGINT');
    const { code, error } = await lock.ended;
    expect(code).toBeNull();
    expect(lock.child.signalCode).toBe('SIGINT');
    expect(error).toMatch(/^conclave: waiting for the lock "printer": .*\nconclave: interrupted\n$/);
  });

  it.each([
    // The client opens a session before it writes.
    ['not for a write that was not sent', 'mute.kv.open_session', ['kv', 'put', 'a', 'b', '--group', 'mute'], ''],
    [
      'for a request that was sent',
      'admin.n7.node.profile',
      ['profile', 'cpu', '--peer', 'n7'],
      ' (whether it was done is unknown)',
    ],
  ])('prints that the outcome is unknown: %s', async (_, subject, args, more) => {
    const nats = await connect({ servers: server.url });
    try {
      const received = new Promise((resolve) => nats.subscribe(`conclave.${subject}`, { callback: resolve }));
      await nats.flush();
      const command = start(...args);
      await received;
      command.child.kill('SIGINT');
      const { error } = await command.ended;
      expect(error.split('\n').at(-2)).toBe(`conclave: interrupted${more}`);
    } finally {
      await nats.close();
    }
  });
});

it('record is refused for a file to which another process records', async () => {
  const folder = makeFolder('recordings');
  stops.add(async () => removeFolder(folder));
  const file = path.join(folder, 'main.records');
  const first = start('record', file);
  await once(first.child.stderr as Readable, 'data');
  const text = `EBUSY: process ${first.child.pid} records to ${file} already: stop it, or name another file`;
  expect(await start('record', file).ended).toMatchObject({ code: exitCodes.refused, error: `conclave: ${text}\n` });
  first.child.kill('SIGINT');
  expect(await first.ended).toMatchObject({ code: 0, out: expect.stringMatching(/records, /) });
  expect(readdirSync(folder)).toEqual(['main.records']);
});

describe('the exit code of a command', () => {
  it.each([
    [0, ['kv', 'get', 'first']],
    [0, ['--help']],
    [1, ['kv', 'get', 'nothing']],
    [1, ['kv', 'cas', 'first', '1', 'x']],
    [2, ['kv', 'get']],
    [2, ['nonsense']],
    [2, ['peers', 'change', 'n1', 'n1']],
    [3, ['kv', 'put', 'k'.repeat(5000), 'v']],
    [3, ['peers', 'add', 'n9', '--timeout-ms', '500']],
    [3, ['leader', 'transfer', 'n9']],
    [3, ['peers', 'remove', 'n1']],
    [4, ['kv', 'get', 'first', '--peer', 'n9']],
    [4, ['status', '--peer', 'n9']],
    [4, ['kv', 'get', 'first', '--group', 'other', '--timeout-ms', '500']],
    [6, ['restore', '/nowhere/at/all', '--peers', 'n1']],
  ] as const)('is %i for %j', async (code, args) => {
    expect(await start(...args).ended).toMatchObject({ code });
  });

  it.each([
    [['restart']],
    [['restart', '--run', 'true', '--peers', 'n1,n1']],
    [['bootstrap']],
    [['groups', 'list', '--peers', 'n1,n1']],
    [['restore', '/nowhere/at/all', '--peers', 'n1,n1']],
    [['leader', 'transfer', '--all-groups']],
    // As of a script in which a variable is not set.
    [['restart', '--run', 'true', '--peers', '']],
    [['restart', '--run', ' ']],
    [['groups', 'list', '--peers', '']],
    [['run', '--peer', 'n1', '--data-dir', '']],
    [['up', '--data-dir', '']],
    [['backup', '']],
    [['record', '']],
    [['health', '--peer', 'n1', '--timeout-ms', '1e3']],
  ] as const)('is 2 for %j, also without NATS', async (args) => {
    const ended = await startCommand('nats://127.0.0.1:1', args).ended;
    expect(ended).toMatchObject({ code: 2, out: '' });
  });

  it.each([
    [0, 'kv get first | true'],
    [1, `txn '{"compare":[["first","revision","=",1]],"then":[]}' | true`],
    [4, 'status --group other --timeout-ms 300 2>&1 | true'],
    [6, 'kv get first > /dev/full'],
  ] as const)('is %i for `%s`: nobody reads the output, or it cannot be written', async (code, line) => {
    const script = `set -o pipefail; "$0" "$1" ${line}`;
    const command = path.resolve('packages/cli/bin/conclave.js');
    const child = spawnGuarded('bash', ['-c', script, process.execPath, command], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, NATS_URL: server.url },
    });
    let error = '';
    child.stderr?.on('data', (data: Buffer) => {
      error += data.toString();
    });
    expect({ ...(await exitOf(child)), error }).toMatchObject({ code, error: expect.not.stringContaining('    at ') });
  });

  it.each([
    ['watch', /^watching /],
    ['exporter --listen 127.0.0.1:0', /metrics/],
    ['view --listen 127.0.0.1:0', /Ctrl-C stops it/],
  ] as const)('is 0 for `%s`, which runs until Ctrl-C', async (line, ready) => {
    const { child, ended } = start(...line.split(' '));
    let shown = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (data: Buffer) => {
        shown += data.toString();
      });
    }
    await until(`${line} is ready`, async () => (ready.test(shown) ? true : undefined));
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ code: 0 });
  });

  it('is 4 without NATS, and 5 if the outcome is unknown', async () => {
    expect(await startCommand('nats://127.0.0.1:1', ['kv', 'put', 'k', 'v']).ended).toMatchObject({ code: 4 });
    mesh.peer('n1').process('node').signal('SIGSTOP');
    const unanswered = await start('peers', 'read-only', 'n1', 'off', '--timeout-ms', '500').ended;
    mesh.peer('n1').process('node').signal('SIGCONT');
    expect(unanswered).toMatchObject({ code: 5, error: expect.stringContaining('unknown') });
  });
});
