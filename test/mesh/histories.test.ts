/** Clients that stay alive while their group is deleted and founded again under its name. */
import { ConclaveClient } from '@conclave/client';
import { ConclaveError } from '@conclave/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type NatsServer, startNats } from '../support/nats.js';
import { type Peer, startPeer } from '../support/peers.js';
import { PlainClient } from '../support/plain-client.js';
import { until } from './fault-mesh.js';

const group = 'orders';
let server: NatsServer;
let peer: Peer;
let hosts: PlainClient;
let plain: PlainClient;

beforeAll(async () => {
  server = await startNats();
  peer = await startPeer({ peer: 'n1', nats: [server.url], placement: 'one' });
  hosts = await PlainClient.open([server.url], 'admin');
  plain = await PlainClient.open([server.url], group);
});
afterAll(async () => {
  await plain?.close();
  await hosts?.close();
  await peer?.stop();
  await server?.stop();
});

async function found(): Promise<string> {
  await hosts.insist('n1.create_group', { group_id: group });
  await plain.insist('n1.admin.bootstrap', { peers: ['n1'] });
  return (await plain.insist('admin.status')).group_uid as string;
}

const errorOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('promises 29 and 30: a group that is deleted and created again under its name', () => {
  it('carries out nothing for earlier clients: each of them is informed once, and continues', {
    timeout: 60_000,
  }, async () => {
    const first = await found();
    const old = await ConclaveClient.connect({ groupId: group, servers: server.url });
    // This one has nothing open, so that its next call reports it; the other one may receive it by its watch or its lock.
    const idle = await ConclaveClient.connect({ groupId: group, servers: server.url });
    const before = await idle.kv.put('k', 'old');
    const lock = await old.lock('the lock', { ttlMs: 60_000 });
    const watch = old.watch('');
    const { revision } = await old.kv.range('');
    const ended: string[] = [];
    old.onHistoryChange((groupUid) => ended.push(groupUid));
    expect(old.groupUid).toBe(first);

    await hosts.insist('n1.delete_group', { group_id: group });
    const second = await found();
    expect(second).not.toBe(first);

    // A client of the new group, whose writes and locks the old one's calls must not touch.
    const fresh = await ConclaveClient.connect({ groupId: group, servers: server.url });
    const mine = await fresh.lock('the lock', { ttlMs: 60_000 });
    expect(mine.token).toBeGreaterThan(lock.token);
    const written = await fresh.kv.put('k', 'new');
    expect(written.revision).toBeGreaterThan(before.revision);

    // What plain clients name: the session is none here, and a request that names its history is refused.
    const named = await plain.ask('kv.put', { key: 'k', value: 'stray', group_uid: first });
    expect(named.body).toMatchObject({ error: { code: 'EHISTORY', outcome: 'not_done' } });
    const late = await plain.ask('kv.changes', { prefix: '', from_revision: revision + 1 });
    expect(late.body).toMatchObject({ error: { code: 'ECOMPACTED' } });
    const beyond = { watch_id: 'beyond', prefix: '', from_revision: written.revision + 1000 };
    // If its lease has run out for a moment, the leader does not know whether its last revision is the group's, and replies EBUSY.
    const refused = await until('the leader holds its lease', async () => {
      const { body } = await plain.ask('kv.watch', beyond);
      return (body.error as { code: string }).code === 'EBUSY' ? undefined : body;
    });
    expect(refused).toMatchObject({ error: { code: 'EINVAL', outcome: 'not_done' } });

    const stopped = errorOf(watch.next());
    const error = await errorOf(idle.kv.put('k', 'stray'));
    expect(error).toBeInstanceOf(ConclaveError);
    expect(error).toMatchObject({ code: 'EHISTORY', outcome: 'not_done' });
    // It may have received it before, by a renewal.
    await until('the lock is lost', async () => (lock.signal.aborted ? true : undefined));
    expect(lock.isHeld()).toBe(false);
    expect(lock.signal.reason).toMatchObject({ code: 'EHISTORY' });
    expect(await stopped).toMatchObject({ code: 'EHISTORY' });
    expect(ended).toEqual([first]);

    await errorOf(lock.release());
    expect((await fresh.kv.get('k')).value).toBe('new');
    expect((await fresh.locks.get('the lock')).holder).toMatchObject({ token: mine.token });
    // It goes on in the new history, in a session of its own.
    await old.kv.put('other', 'from the old client');
    expect(old.groupUid).toBe(second);
    await Promise.all([old.close(), idle.close(), fresh.close()]);
  });

  it('never returns the result of a write that another client has forged', async () => {
    const { client_id, group_uid } = await plain.insist('kv.open_session', { id: 'text' });
    expect(client_id).toMatch(/^[A-Za-z0-9_-]{22}$/);
    // For clients of the first version, and too large to be guessed.
    expect((await plain.insist('kv.open_session', {})).client_id).toBeTypeOf('number');
    expect(group_uid).toBe((await plain.insist('admin.status')).group_uid);
    const send = (value: string) => plain.ask('kv.put', { key: 'v', value, client_id, sequence: 1 });
    expect((await send('forged')).body).toMatchObject({ revision: expect.any(Number) });
    expect((await send('wanted')).body).toMatchObject({ error: { code: 'EINVAL', outcome: 'not_done' } });
    expect(await plain.insist('kv.get', { key: 'v' })).toMatchObject({ value: 'forged' });
    for (const guess of [1, 2, 3]) {
      const body = { key: 'v', value: 'guessed', client_id: guess, sequence: 1 };
      expect((await plain.ask('kv.put', body)).body).toMatchObject({ error: { code: 'ESESSION' } });
    }
  });

  it('rejects an unknown field of an operation or a command, by its name', async () => {
    for (const [name, body] of [
      ['kv.put', { key: 'q', value: '1', ttl: 5 }],
      ['admin.status', { ttl: 5 }],
    ] as const) {
      const { error } = (await plain.ask(name, body)).body as { error?: { code: string; message: string } };
      expect(error).toMatchObject({ code: 'EINVAL', message: expect.stringContaining('ttl') });
    }
    expect(await plain.insist('kv.get', { key: 'q' })).toMatchObject({ value: null });
  });
});
