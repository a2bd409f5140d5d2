/** `conclave lock` as a process, on a group of one: what becomes of the command's processes, whatever happens. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exitCodes } from '../../packages/cli/src/exit-codes.js';
import { Mesh, Stops, until } from '../mesh/fault-mesh.js';
import { type CommandRun, startCommand } from '../support/command.js';
import { exitOf, makeFolder, removeFolder, spawnGuarded } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';

const stops = new Stops();
let server: NatsServer;
let mesh: Mesh;
let folder: string;

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  mesh = await Mesh.found({ servers: [server], peers: ['n1'], placement: 'one' }, stops);
  await mesh.plain.insist('kv.put', { key: 'first', value: 'v' });
  folder = makeFolder('lock-command');
  stops.add(async () => removeFolder(folder));
});
afterAll(() => stops.run());

const node = process.execPath;
const command = path.resolve('packages/cli/bin/conclave.js');
const stay = 'setInterval(() => undefined, 1000)';

function start(...args: readonly string[]): CommandRun {
  return startCommand(server.url, args);
}

interface Holder {
  readonly lease_id: number | string;
  readonly owner: string;
  readonly token: number;
}

function holderOf(name: string): Promise<Holder | null> {
  return mesh.plain.insist('kv.lock_get', { name }).then(({ holder }) => holder as Holder | null);
}

function held(name: string): Promise<Holder> {
  return until('it is held', async () => (await holderOf(name)) ?? undefined);
}

/**
 * A script that prints its process id, and that of a process that it starts, which ignores every signal that can be
 * ignored; both stay.
 */
function stubborn(): string {
  const deaf = `for (const s of ['SIGTERM','SIGHUP','SIGINT','SIGQUIT']) process.on(s, () => undefined); ${stay}`;
  const file = path.join(folder, 'stubborn.mjs');
  writeFileSync(
    file,
    `import { spawn } from 'node:child_process';
     const child = spawn(process.execPath, ['-e', ${JSON.stringify(`${deaf}; process.stdout.write('up\\n')`)}], { stdio: ['ignore', 'pipe', 'ignore'] });
     child.stdout.once('data', () => console.log(process.pid + ' ' + child.pid));
     ${stay}`,
  );
  return file;
}

/** The process ids that a run of `stubborn` has printed. */
async function printedBy({ child }: CommandRun): Promise<number[]> {
  let out = '';
  return new Promise((resolve) => {
    child.stdout?.on('data', (data: Buffer) => {
      out += data.toString();
      const ids = /(\d+) (\d+)\n/.exec(out);
      if (ids !== null) resolve([Number(ids[1]), Number(ids[2])]);
    });
  });
}

/** Whether it runs: one that was killed and is not yet waited for, maybe by a busy init, does not. */
function isAlive(processId: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${processId}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

function gone(processIds: readonly number[]): Promise<true> {
  return until('the processes are gone', async () => (processIds.some(isAlive) ? undefined : true));
}

describe('conclave lock', () => {
  it('acquires a lock of any name; a forced release is published as an event, and so is the end of its lease', async () => {
    for (const name of ['list', 'run']) {
      const ran = await start('lock', 'run', name, '--', node, '-e', 'console.log("it ran")').ended;
      expect(ran).toMatchObject({ code: 0, out: 'it ran\n' });
    }
    const grant = async () => (await mesh.plain.insist('kv.lease_grant', { ttl_ms: 60_000 })).lease_id as string;
    const lease_id = await grant();
    const { token } = await mesh.plain.insist('kv.lock', { name: 'forced', owner: 'somebody', lease_id });
    expect(await mesh.plain.insist('kv.unlock', { name: 'forced', token, force: true })).toMatchObject({
      released: true,
    });
    await mesh.plain.event('lock_forced', (body) => body.name === 'forced' && body.token === token);
    const number = Number(lease_id.split('.')[0]);
    expect(await mesh.plain.insist('kv.lease_revoke', { lease_id: number, force: true })).toMatchObject({
      revoked: true,
    });
    await mesh.plain.event('lease_forced', (body) => body.lease_id === number);
  });

  it('runs a command while it holds the lock, and exits with its code', async () => {
    const run = start('lock', 'l', '--', node, '-e', 'console.log(process.env.CONCLAVE_LOCK_TOKEN); process.exit(7)');
    const { code, out } = await run.ended;
    expect(code).toBe(7);
    expect(Number(out)).toBeGreaterThan(0);
    expect(await holderOf('l')).toBe(null);
  });

  it('does not run it while another client holds the lock, and runs it afterwards', async () => {
    const first = start('lock', 'l', '--owner', 'first', '--', node, '-e', stay);
    await held('l');
    const refused = await start('lock', 'l', '--wait-ms', '0', '--', node, '-e', 'console.log(1)').ended;
    expect(refused).toMatchObject({ code: 3, out: '', error: 'conclave: EBUSY: first holds "l"\n' });
    const next = start('lock', 'l', '--', node, '-e', 'console.log("ran")');
    await until('the next one waits', async () => {
      const { waiting } = await mesh.plain.insist('kv.lock_get', { name: 'l' });
      return waiting === 1 ? true : undefined;
    });
    const [note] = (await once(next.child.stderr as Readable, 'data')) as [Buffer];
    expect(note.toString()).toBe('conclave: waiting for the lock "l", which first holds\n');
    first.child.kill('SIGTERM');
    expect((await first.ended).code).toBe(128 + 15);
    expect(await next.ended).toMatchObject({ code: 0, out: 'ran\n' });
  });

  it('gives up its place in the queue on Ctrl-C', async () => {
    const holder = start('lock', 'queued', '--owner', 'first', '--', node, '-e', stay);
    await held('queued');
    const waiting = async () => (await mesh.plain.insist('kv.lock_get', { name: 'queued' })).waiting;
    const run = start('lock', 'queued', '--ttl-ms', '600000', '--', node, '-e', 'console.log("ran")');
    await until('it waits', async () => ((await waiting()) === 1 ? true : undefined));
    run.child.kill('SIGINT');
    expect(await run.ended).toMatchObject({ code: null, out: '', error: expect.stringContaining('interrupted\n') });
    expect(await waiting()).toBe(0);
    holder.child.kill('SIGTERM');
    await holder.ended;
  });

  it('prints that it waits for a group that does not reply', async () => {
    const run = start('lock', 'l', '--group', 'mian', '--wait-ms', '3000', '--', node, '-e', 'console.log("ran")');
    const { code, out, error } = await run.ended;
    expect([code, out]).toEqual([exitCodes.unreachable, '']);
    expect(error).toMatch(
      /^conclave: waiting for the lock "l": the leader of group "mian" does not reply: nobody answers\nconclave: ETIMEDOUT: /,
    );
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const)(
    'forwards %s to the command, which decides',
    async (signal) => {
      const script = `process.on('${signal}', () => { console.log('got ${signal}'); process.exit(3); }); console.log('up'); ${stay}`;
      const run = start('lock', 's', '--', node, '-e', script);
      await new Promise((resolve) => run.child.stdout?.once('data', resolve));
      run.child.kill(signal);
      expect(await run.ended).toMatchObject({ code: 3, out: `up\ngot ${signal}\n` });
    },
  );

  it('exits like a shell if the command does not exist or cannot be run, and releases the lock', async () => {
    const missing = await start('lock', 'l', 'no-such-command-anywhere').ended;
    expect(missing.code).toBe(127);
    expect(missing.error).toContain('no-such-command-anywhere');
    const file = path.join(folder, 'not-executable');
    writeFileSync(file, '#!/bin/sh\n', { mode: 0o644 });
    expect((await start('lock', 'l', file).ended).code).toBe(126);
    expect(await holderOf('l')).toBe(null);
  });

  it('passes its standard input to the command if that is not a terminal', async () => {
    const env = { ...process.env, NATS_URL: server.url };
    const child = spawnGuarded(node, [command, 'lock', 'in', '--', 'cat'], { stdio: ['pipe', 'pipe', 'inherit'], env });
    let out = '';
    child.stdout?.on('data', (data: Buffer) => {
      out += data.toString();
    });
    child.stdin?.end('a line\n');
    expect(await exitOf(child)).toMatchObject({ code: 0 });
    expect(out).toBe('a line\n');
  });
});

describe('promise 33: no process of the command runs once another client may hold the lock:', () => {
  it('remaining processes of its process group are stopped before the lock is released', async () => {
    const run = start('lock', 'left', '--', '/bin/sh', '-c', `${node} -e '${stay}' & echo "$! $!"`);
    const processIds = await printedBy(run);
    expect((await run.ended).code).toBe(0);
    expect(processIds.some(isAlive)).toBe(false);
    expect(await holderOf('left')).toBe(null);
  });

  it('a forced release ends the command and its child processes, also those that ignore signals', async () => {
    const run = start('lock', 'taken', '--ttl-ms', '1000', '--', node, stubborn());
    const processIds = await printedBy(run);
    const { lease_id } = await held('taken');
    await mesh.plain.insist('kv.lease_revoke', { lease_id, force: true });
    await gone(processIds);
    const { code, error } = await run.ended;
    expect(code).toBe(5);
    expect(error).toContain('ENOENT');
  });

  it('with a paused NATS server it warns, ends the process group before the lease can end, and only then another client gets the lock', async () => {
    const run = start('lock', 'paused', '--ttl-ms', '2000', '--', node, stubborn());
    const processIds = await printedBy(run);
    const { token } = await held('paused');
    const next = start('lock', 'paused', '--', node, '-e', 'console.log("next")');
    await until('the next one waits', async () => {
      const { waiting } = await mesh.plain.insist('kv.lock_get', { name: 'paused' });
      return waiting === 1 ? true : undefined;
    });
    server.signal('SIGSTOP');
    const pausedMs = performance.now();
    try {
      await gone(processIds);
      // The last renewal was sent before the pause began.
      expect(performance.now() - pausedMs).toBeLessThan(2000);
    } finally {
      server.signal('SIGCONT');
    }
    const { code, error } = await run.ended;
    expect(code).toBe(5);
    expect(error).toContain('a renewal is overdue');
    expect(error).toContain('the command is stopped');
    expect(await next.ended).toMatchObject({ code: 0, out: 'next\n' });
    expect(token).toBeGreaterThan(0);
  });

  it('the process group ends with a killed `conclave lock`', async () => {
    const run = start('lock', 'killed', '--', node, stubborn());
    const processIds = await printedBy(run);
    run.child.kill('SIGKILL');
    await gone(processIds);
    expect((await holderOf('killed'))?.token).toBeGreaterThan(0);
  });

  it('the command does not outlive the lease of a paused `conclave lock`', async () => {
    const run = start('lock', 'stopped', '--ttl-ms', '1000', '--', node, stubborn());
    const processIds = await printedBy(run);
    run.child.kill('SIGSTOP');
    const stoppedMs = performance.now();
    await gone(processIds);
    expect(performance.now() - stoppedMs).toBeLessThan(1000);
    run.child.kill('SIGCONT');
    expect((await run.ended).code).not.toBe(0);
  });

  it('nothing of the command survives a closed terminal', async () => {
    const terminal = startInTerminal('closed', node, stubborn());
    const processIds = await terminal.printed(/(\d+) (\d+)/);
    terminal.child.stdin?.end();
    await gone(processIds.slice(1).map(Number));
    await until('the lock is free', async () => ((await holderOf('closed')) === null ? true : undefined));
  });

  it('the command can read from the terminal, and Ctrl-C reaches it', async () => {
    const script = `process.on('SIGINT', () => { console.log('interrupted'); process.exit(5); });
      process.stdin.on('data', (data) => console.log('read ' + data)); console.log('up'); ${stay}`;
    const terminal = startInTerminal('typed', node, '-e', script);
    await terminal.printed(/up/);
    terminal.child.stdin?.write('hello\n');
    await terminal.printed(/read hello/);
    terminal.child.stdin?.write('\u0003');
    await terminal.printed(/interrupted/);
    expect(await exitOf(terminal.child)).toMatchObject({ code: 5 });
  });
});

/** A terminal of its own: what is typed comes from standard input, whose end closes it; ends as the command does. */
const terminalScript = `
import os, pty, select, signal, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    ready, _, _ = select.select([fd, 0], [], [])
    if fd in ready:
        try:
            data = os.read(fd, 4096)
        except OSError:
            data = b''
        if not data:
            break
        os.write(1, data)
    if 0 in ready:
        data = os.read(0, 4096)
        if not data:
            os.close(fd)
            break
        os.write(fd, data)
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) % 256)
`;

function startInTerminal(name: string, ...args: readonly string[]) {
  const env = { ...process.env, NATS_URL: server.url };
  const all = ['-c', terminalScript, node, command, 'lock', name, '--', ...args];
  const child = spawn('python3', all, { stdio: ['pipe', 'pipe', 'inherit'], env });
  stops.add(async () => void child.kill('SIGKILL'));
  let out = '';
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString();
  });
  const printed = (pattern: RegExp): Promise<RegExpExecArray> =>
    until(`${pattern} is printed`, async () => pattern.exec(out) ?? undefined);
  return { child, printed };
}
