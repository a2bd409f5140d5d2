import { connect, type NatsConnection } from 'nats';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type NatsServer, startNats } from '../../../test/support/nats.js';
import { ConclaveClient, ConclaveError } from '../src/index.js';
import { Group } from './group.js';

let server: NatsServer;
let connection: NatsConnection;
let group: Group;
let clients: ConclaveClient[];

beforeAll(async () => {
  server = await startNats();
  connection = await connect({ servers: server.url });
});
afterAll(async () => {
  await connection.close();
  await server.stop();
});
beforeEach(async () => {
  group = new Group(connection);
  await group.lead();
  clients = [];
});
afterEach(async () => {
  for (const client of clients) await client.close();
  await group.stepDown();
});

async function newClient(): Promise<ConclaveClient> {
  const client = await ConclaveClient.connect({ servers: server.url, groupId: 'main', requestTimeoutMs: 200 });
  clients.push(client);
  return client;
}

function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener('abort', () => resolve(signal.reason));
  });
}

describe('a lock', () => {
  it('is held by one, who keeps it, and then by the next, with a higher token', async () => {
    const [one, other] = [await newClient(), await newClient()];
    const first = await one.lock('l', { ttlMs: 1000, owner: 'one' });
    expect([first.isHeld(), first.signal.aborted]).toEqual([true, false]);
    await expect(other.lock('l', { ttlMs: 1000 })).rejects.toMatchObject({
      code: 'EBUSY',
      message: 'one holds "l"',
      outcome: 'not_done',
    });
    // Who gave up leaves nothing behind.
    expect(await other.locks.get('l')).toMatchObject({ holder: { owner: 'one', token: first.token }, waiting: 0 });
    const waiting = other.lock('l', { waitMs: 60_000, owner: 'other' });
    await heard(group, 'lease_keep');
    await first.release();
    expect(first.isHeld()).toBe(false);
    expect(await aborted(first.signal)).toMatchObject({ code: 'ECANCELED' });
    const second = await waiting;
    expect(second.token).toBeGreaterThan(first.token);
    const fence = (token: number) => other.kv.txn([['l', 'lock', '=', token]], [['put', 'guarded', 'v']]);
    expect(await fence(first.token)).toMatchObject({ succeeded: false });
    expect(await fence(second.token)).toMatchObject({ succeeded: true });
    await second.release();
    expect(await other.leases.list()).toEqual({ leases: [], more: false });
  });

  it('that has been waited for in vain is left alone', async () => {
    const client = await newClient();
    const held = await client.lock('l');
    await expect(client.lock('l', { waitMs: 100 })).rejects.toMatchObject({ code: 'EBUSY' });
    expect(await client.locks.get('l')).toMatchObject({ waiting: 0 });
    expect(held.isHeld()).toBe(true);
  });

  it('is lost when its lease has ended, and says so', async () => {
    const client = await newClient();
    const lock = await client.lock('l', { ttlMs: 1000 });
    const { leases } = await client.leases.list();
    await client.leases.revoke(leases[0]?.[0] as number);
    expect(await aborted(lock.signal)).toMatchObject({ code: 'ENOENT' });
    expect(lock.isHeld()).toBe(false);
  });

  it('counts as lost when it cannot be kept in time', async () => {
    const client = await newClient();
    const askedMs = performance.now();
    const lock = await client.lock('l', { ttlMs: 1000 });
    await group.stepDown();
    const reason = await aborted(lock.signal);
    expect(reason).toBeInstanceOf(ConclaveError);
    expect(lock.isHeld()).toBe(false);
    expect(performance.now() - askedMs).toBeGreaterThanOrEqual(1000 - 1);
    // The group holds it until the lease ends there.
    await group.lead();
    expect((await client.locks.get('l')).holder?.token).toBe(lock.token);
  });

  it('is refused where the request makes no sense', async () => {
    const client = await newClient();
    await expect(client.lock('')).rejects.toMatchObject({ code: 'EINVAL', outcome: 'not_done' });
    await expect(client.lock('l', { ttlMs: 1 })).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(client.locks.release('l', 0)).rejects.toMatchObject({ code: 'EINVAL' });
    expect(await client.leases.list()).toEqual({ leases: [], more: false });
  });
});

/** Settled when a lease has been kept: the group hears that as a batch of one command. */
async function heard(asked: Group, command: string): Promise<void> {
  while (!asked.commands.includes(command)) await new Promise((resolve) => setImmediate(resolve));
}
