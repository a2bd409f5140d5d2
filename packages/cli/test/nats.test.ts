import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ObservedEvent } from '@conclave/observer';
import { asGroupId, asPeerId, encode, events } from '@conclave/protocol';
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AdminClient } from '../src/admin-client.js';
import { echo, measureSync } from '../src/bench/baseline.js';
import { askAll } from '../src/commands/status.js';
import { connectTo } from '../src/connection.js';
import { observeGroup } from '../src/events.js';
import { openLogin } from '../src/login.js';
import { findNatsServer } from '../src/nats-server/find-server.js';
import { peerNames, refuseSecondMesh } from '../src/processes/mesh.js';
import { type NatsServer, startNatsServer } from '../src/processes/nats-server.js';
import { isTransient, retryUntil } from '../src/retry-until.js';
import { observed, status } from './status-samples.js';

const folder = mkdtempSync(path.join(tmpdir(), 'conclave-cli-'));
let server: NatsServer;
let connection: NatsConnection;
let requester: AdminClient;

beforeAll(async () => {
  server = await startNatsServer(await findNatsServer(), path.join(folder, 'nats'));
  connection = await connectTo(openLogin(server.url));
  requester = new AdminClient(connection, asGroupId('main'), 'conclave');
});

afterAll(async () => {
  await connection?.close();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Replies to requests on a subject with these bytes until it is stopped. */
async function answer(subject: string, bytes: Uint8Array | string): Promise<() => void> {
  const subscription = connection.subscribe(subject, { callback: (_error, message) => void message.respond(bytes) });
  await connection.flush();
  return () => subscription.unsubscribe();
}

describe('a NATS server of the command’s own', () => {
  it('reports that its port is in use', async () => {
    const port = Number(new URL(server.url).port);
    const second = startNatsServer(await findNatsServer(), path.join(folder, 'second'), port);
    await expect(second).rejects.toMatchObject({ code: 'EUNREACHABLE' });
  });

  it('is gone when it is stopped', async () => {
    const third = await startNatsServer(await findNatsServer(), path.join(folder, 'third'));
    await third.stop();
    await expect(connectTo(openLogin(third.url))).rejects.toMatchObject({ code: 'EUNREACHABLE' });
  });

  it('is missed when there is none', async () => {
    const missing = startNatsServer('/nowhere/nats-server', path.join(folder, 'missing'));
    await expect(missing).rejects.toMatchObject({ code: 'EUNREACHABLE' });
  });
});

describe('requests', () => {
  it('go to the group or to a peer, and their answers are read', async () => {
    const stops = [
      await answer('conclave.main.admin.status', encode(status('n1'))),
      await answer('conclave.main.n2.admin.status', encode(status('n2'))),
    ];
    const peerId = asPeerId('n2');
    expect((await requester.admin('status', {}, { timeoutMs: 5_000 })).peer_id).toBe('n1');
    expect((await requester.admin('status', {}, { peerId, timeoutMs: 5_000 })).peer_id).toBe('n2');
    for (const stop of stops) stop();
  });

  it('throw the error that is answered', async () => {
    const error = { code: 'EBUSY', message: 'a change is in progress', outcome: 'not_done', leader_id: 'n1' };
    const stop = await answer('conclave.main.admin.cancel_change', encode({ error }));
    await expect(requester.admin('cancel_change', {}, { timeoutMs: 5_000 })).rejects.toMatchObject({
      code: 'EBUSY',
      message: 'a change is in progress',
      outcome: 'not_done',
      leaderId: 'n1',
    });
    stop();
  });

  it('distinguish the absence of subscribers, silence and malformed replies', async () => {
    await expect(requester.admin('status', {}, { timeoutMs: 5_000 })).rejects.toMatchObject({
      code: 'EUNREACHABLE',
      outcome: 'not_done',
    });
    const silent = connection.subscribe('conclave.main.admin.status');
    const quiet = connection.subscribe('conclave.main.admin.transfer_leader');
    // What changes nothing is never left unknown.
    for (const [command, outcome] of [
      ['status', 'not_done'],
      ['transfer_leader', 'unknown'],
    ] as const) {
      const late = requester.admin(command, {}, { timeoutMs: 50 });
      await expect(late).rejects.toMatchObject({ code: 'ETIMEDOUT', outcome });
    }
    silent.unsubscribe();
    quiet.unsubscribe();
    for (const bytes of [encode({ peer_id: 1 }), 'nonsense']) {
      const stop = await answer('conclave.main.admin.status', bytes);
      await expect(requester.admin('status', {}, { timeoutMs: 5_000 })).rejects.toMatchObject({ code: 'EINVAL' });
      stop();
    }
  });

  it('find the peers of this group alone', async () => {
    const info = (metadata: object): string => JSON.stringify({ name: 'conclave', metadata });
    const stops = [
      await answer('$SRV.INFO.conclave', info({ group_id: 'main', peer_id: 'n2' })),
      await answer('$SRV.INFO.conclave', info({ group_id: 'main', peer_id: 'n1' })),
      await answer('$SRV.INFO.conclave', info({ group_id: 'other', peer_id: 'n3' })),
      await answer('$SRV.INFO.conclave', 'nonsense'),
      await answer('$SRV.INFO.conclave', 'null'),
      await answer('$SRV.INFO.conclave', info({ group_id: 'main', peer_id: 7 })),
      await answer('$SRV.INFO.conclave', info({ group_id: 'main', peer_id: 'no name' })),
    ];
    expect(await requester.discover(5_000)).toEqual(['n1', 'n2']);
    for (const stop of stops) stop();
    expect(await requester.discover(5_000)).toEqual([]);
  });
});

describe('a mesh', () => {
  it('is started at once if no process serves its peers, and otherwise as soon as none does', async () => {
    const peers = peerNames(3);
    await refuseSecondMesh(requester, peers);
    const reply = encode({ peer_id: 'n2', groups: [] });
    let asked = 0;
    const other = connection.subscribe('conclave.admin.n2.list_groups', {
      callback: (_error, message) => {
        message.respond(reply);
        asked += 1;
        if (asked === 3) other.unsubscribe();
      },
    });
    await connection.flush();
    await refuseSecondMesh(requester, peers);
    expect(asked).toBe(3);
  });

  it('is started although a program subscribes to everything and replies to nothing', async () => {
    const silent = connection.subscribe('>');
    await connection.flush();
    await refuseSecondMesh(requester, peerNames(3));
    silent.unsubscribe();
  });
});

describe('the status of a group that is asked for', () => {
  it('reports why a peer leaves requests to another node, and that others are silent', async () => {
    const reason = 'fenced: another node has opened its log-store';
    const health = { group_id: 'main', actor: 'node', incarnation: 'N1', dropped: {} };
    const silent = ['n1', 'n2', 'n3'].map((peer) => connection.subscribe(`conclave.main.${peer}.admin.status`));
    const stops = [
      ...(await Promise.all(
        ['n1', 'n2', 'n3'].map((peer_id) =>
          answer('$SRV.INFO.conclave', JSON.stringify({ metadata: { group_id: 'main', peer_id } })),
        ),
      )),
      await answer('conclave.main.n1.node.health', encode({ ...health, peer_id: 'n1', healthy: false, reason })),
      await answer('conclave.main.n2.node.health', encode({ ...health, peer_id: 'n2', healthy: true, reason: '' })),
    ];
    const { group, peers } = await askAll(requester, 500);
    expect(group).toBeUndefined();
    expect(peers.get(asPeerId('n1'))).toMatchObject({
      error: { code: 'ETIMEDOUT', message: expect.stringContaining(reason) },
      reason,
    });
    expect(peers.get(asPeerId('n2'))).not.toHaveProperty('reason');
    expect(peers.get(asPeerId('n3'))).not.toHaveProperty('reason');
    for (const stop of stops) stop();
    for (const subscription of silent) subscription.unsubscribe();
  });
});

describe('observing', () => {
  it('receives events in order, and skips messages that are none', async () => {
    const received: ObservedEvent[] = [];
    const observing = observeGroup(requester, (event) => received.push(event));
    const elected = observed('leader_elected', 'n1', { peers: [asPeerId('n1')], old_peers: [] });
    const down = observed('leader_stepped_down', 'n1', { reason: 'silence' });
    const publish = (name: string, body: unknown): void =>
      connection.publish(`conclave.main.event.${name}.n1`, typeof body === 'string' ? body : JSON.stringify(body));
    publish('leader_elected', elected.body);
    publish('leader_elected', { term: 'high' });
    publish('leader_elected', '{');
    publish('toString', {});
    publish('leader_stepped_down', down.body);
    await connection.flush();
    observing.close();
    publish('leader_elected', elected.body);
    await connection.flush();
    expect(received).toEqual([elected, down]);
    expect(Object.keys(events)).toContain('leader_elected');
  });
});

describe('asking again', () => {
  it('continues after transient errors, and ends with the last one', async () => {
    let asked = 0;
    const attempt = async (): Promise<string | undefined> => {
      asked += 1;
      if (asked === 1) await requester.admin('status', {}, { timeoutMs: 5_000 });
      return asked < 3 ? undefined : 'there';
    };
    expect(await retryUntil('it is there', 5_000, attempt, isTransient)).toBe('there');
    const failing = retryUntil('never', 150, () => requester.admin('status', {}, { timeoutMs: 100 }), isTransient);
    await expect(failing).rejects.toMatchObject({ code: 'EUNREACHABLE' });
    await expect(retryUntil('never', 10, async () => undefined)).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    await expect(retryUntil('never', 5_000, () => Promise.reject(new Error('boom')), isTransient)).rejects.toThrow(
      'boom',
    );
  });
});

describe('the baseline', () => {
  it('measures the disk', () => {
    const { p50Ms, p99Ms } = measureSync(folder, new Uint8Array(128), 20);
    expect(p50Ms).toBeGreaterThan(0);
    expect(p99Ms).toBeGreaterThanOrEqual(p50Ms);
  });

  it('has an echo that answers with what it got', async () => {
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const echoing = echo(openLogin(server.url), ended);
    const echoed = await retryUntil('the echo answers', 5_000, async () => {
      const body = new Uint8Array([1, 2, 3]);
      return connection.request('conclave-bench-echo', body, { timeout: 1_000 }).catch(() => undefined);
    });
    expect([...echoed.data]).toEqual([1, 2, 3]);
    end();
    await echoing;
  });
});
