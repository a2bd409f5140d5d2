/** `conclave run` and `conclave health` as processes: starting, being ready, stopping, and being wrong. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { encode } from '@conclave/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exitOf, makeFolder, removeFolder, spawnGuarded } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { ActorProcess, actorKinds, startPeer } from '../support/peers.js';
import { PlainClient } from '../support/plain-client.js';

const command = fileURLToPath(new URL('../../packages/cli/bin/conclave.js', import.meta.url));
let server: NatsServer;
let client: PlainClient;

beforeAll(async () => {
  server = await startNats();
  client = await PlainClient.open([server.url]);
});
afterAll(async () => {
  await client.close();
  await server.stop();
});

/** Runs the command to its end. */
async function conclave(args: readonly string[]): Promise<{ code: number | null; error: string }> {
  const child = spawnGuarded(process.execPath, [command, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let error = '';
  child.stderr?.on('data', (data: Buffer) => {
    error += data.toString();
  });
  const { code } = await exitOf(child);
  return { code, error };
}

describe('conclave run', () => {
  it.each([
    [['--peer', 'a.b'], 'is not a valid name of a peer'],
    [['--peer', 'feed'], 'is not reserved'],
    [['--peer', ''], 'is not a valid name of a peer'],
    [[], '--peer'],
    [['--peer', 'n1', '--actors', 'node,nod'], '"nod" is not an actor'],
    [['--peer', 'n1', '--actors', 'node,node'], 'named twice'],
    [['--peer', 'n1', '--groups', 'main,kv'], 'is not reserved'],
    [['--peer', 'n1', '--prefix', 'a b'], 'is not a subject'],
    [['--peer', 'n1', '--election-timeout-ms', '1s'], 'whole number'],
    [['--peer', 'n1', '--election-timeout-ms', '150'], 'too short for heartbeats every 100 ms'],
    [['--peer', 'n1', '--log-level', 'loud'], 'log-level'],
    [['--peer', 'n1', '--http', '9464'], 'an address and a port are wanted'],
  ])('refuses %j before it does anything', async (args, why) => {
    const { code, error } = await conclave(['run', ...args]);
    expect(error).toContain(why);
    expect(code).toBe(2);
  });

  it('stops in order on SIGTERM, and exits with 0', async () => {
    const lines: string[] = [];
    const peer = await startPeer({ peer: 'stopped', nats: [server.url], onLine: (_name, line) => lines.push(line) });
    try {
      expect(await Promise.all(peer.processes.map((each) => each.stop()))).toEqual(
        actorKinds.map(() => ({ code: 0, signal: null })),
      );
      for (const { lines } of peer.processes) expect(lines.at(-1)).toMatchObject({ msg: 'stopped', peer: 'stopped' });
      // Of keys that are there twice JSON.parse keeps one.
      expect(lines.map((line) => JSON.stringify(JSON.parse(line)))).toEqual(lines);
    } finally {
      await peer.stop();
    }
  });

  it('can be stopped while it waits for a NATS server', async () => {
    const gone = await startNats();
    await gone.stop();
    const waiting = new ActorProcess('waiting', ['--peer', 'w', '--actors', 'node', '--nats', gone.url], {});
    const started = waiting.start();
    await waiting.line(({ msg }) => msg === 'connecting to NATS');
    expect(await waiting.stop()).toEqual({ code: 0, signal: null });
    await expect(started).rejects.toThrow('ended with 0');
  });

  it('rejects a NATS server with a too small maximum payload, and prints what to set', async () => {
    const small = await startNats({ configuration: 'max_payload: 65536' });
    try {
      const { code, error } = await conclave(['run', '--peer', 's', '--actors', 'node', '--nats', small.url]);
      expect(error).toContain('max_payload: 1048576');
      expect(code).toBe(6);
    } finally {
      await small.stop();
    }
  });

  it('exits with its parent if the option is set', async () => {
    const script = path.join(makeFolder('parent'), 'parent.mjs');
    writeFileSync(
      script,
      `import { spawn } from 'node:child_process';
       const args = ${JSON.stringify([command, 'run', '--peer', 'child', '--actors', 'node', '--nats', server.url])};
       const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env: { ...process.env, CONCLAVE_EXIT_WITH_PARENT: '1' } });
       child.on('message', () => process.kill(process.pid, 'SIGKILL'));`,
    );
    const parent = spawn(process.execPath, [script], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    parent.stderr.on('data', (data: Buffer) => {
      said += data.toString();
    });
    // The child writes there too: it ends when both are gone.
    await once(parent.stderr, 'close');
    expect(said).toContain('"why":"the parent is gone"');
    expect(said).toContain('"msg":"stopped"');
    removeFolder(path.dirname(script));
  });

  it('is stopped by a failed invariant of an actor, and logs it with group, peer, actor, term and session', async () => {
    const peer = await startPeer({ peer: 'wrong', nats: [server.url] });
    try {
      await client.insist('wrong.admin.bootstrap', { peers: ['wrong'] });
      const { store_id, session, term } = await client.insist('wrong.admin.status');
      const lie = { group_id: 'main', store_id, session, term, index: 1_000_000 };
      client.nats.publish('conclave.main.wrong.feed.committed.wrong', encode(lie));
      const node = peer.process('node');
      expect(await node.ended()).toEqual({ code: 70, signal: null });
      expect(await node.line(({ level }) => level === 60)).toMatchObject({
        msg: expect.stringContaining('entry 1000000 is committed and not in the log'),
        group: 'main',
        peer: 'wrong',
        actor: 'node',
        term,
        session,
        stack: expect.stringContaining('NodeCore'),
      });
      expect(peer.process('log-store').isRunning).toBe(true);
    } finally {
      await peer.stop();
    }
  });
});

describe('conclave health', () => {
  it('exits with a code for the health, and prints the reason to standard error', async () => {
    const peer = await startPeer({ peer: 'well', nats: [server.url] });
    const health = (actors: string) =>
      conclave(['health', '--peer', 'well', '--actors', actors, '--nats', server.url, '--timeout-ms', '5000']);
    try {
      await peer.process('node').line(({ msg }) => msg === 'the log-store is open');
      // Its other actors show themselves within a tick or two.
      await expect.poll(() => health('node,log-store'), { timeout: 60_000 }).toEqual({ code: 0, error: '' });
      await peer.process('log-store').kill();
      expect(await health('log-store')).toEqual({
        code: 1,
        error: expect.stringContaining('the log-store of well in group main does not answer'),
      });
    } finally {
      await peer.stop();
    }
  });

  it('reports a missing NATS server', async () => {
    const gone = await startNats();
    await gone.stop();
    const { code, error } = await conclave(['health', '--peer', 'well', '--nats', gone.url]);
    expect(error).toContain('no NATS server at nats://');
    expect(code).toBe(1);
  });
});
