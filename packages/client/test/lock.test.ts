/**
 * Over real NATS, and by a clock that the tests move: only once all requests are answered, so that no machine is too slow for a lease.
 */
import type { ErrorBody } from '@conclave/protocol';
import { connect, type NatsConnection } from 'nats';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type NatsServer, startNats } from '../../../test/support/nats.js';
import { ConclaveClient, ConclaveError, LeaseApi, type LockWait } from '../src/index.js';
import { LeaseKeepalive } from '../src/lease-keepalive.js';
import { Group } from './group.js';

const stepMs = 10;
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
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
});
afterEach(async () => {
  for (const client of clients) await client.close();
  await group.stepDown();
  vi.useRealTimers();
});

async function newClient(timeoutMs?: number): Promise<ConclaveClient> {
  const options = { servers: server.url, groupId: 'main', requestTimeoutMs: 200, timeoutMs };
  const client = await ConclaveClient.connect(options);
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
  it('is held by one client, which keeps it, and then by the next one, with a higher token', async () => {
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
    await until(() => kept(group) > 0);
    await first.release();
    expect(first.isHeld()).toBe(false);
    expect(await aborted(first.signal)).toMatchObject({ code: 'ECANCELED' });
    const second = await asTimePasses(waiting);
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
    await expect(asTimePasses(client.lock('l', { waitMs: 100 }))).rejects.toMatchObject({ code: 'EBUSY' });
    expect(await client.locks.get('l')).toMatchObject({ waiting: 0 });
    expect(held.isHeld()).toBe(true);
  });

  it('that nobody waits for any more has no place kept in its queue', async () => {
    const [one, other] = [await newClient(), await newClient()];
    const held = await one.lock('l');
    const controller = new AbortController();
    const waiting = other.lock('l', { waitMs: 60_000, ttlMs: 60_000, signal: controller.signal });
    await until(async () => (await one.locks.get('l')).waiting === 1);
    controller.abort(new Error('stopped'));
    await expect(asTimePasses(waiting)).rejects.toThrow('stopped');
    expect(await one.locks.get('l')).toMatchObject({ holder: { token: held.token }, waiting: 0 });
    await expect(other.lock('l', { signal: controller.signal })).rejects.toThrow('stopped');
    await held.release();
    expect(await other.leases.list()).toEqual({ leases: [], more: false });
  });

  it('is lost when its lease has ended, and reports that', async () => {
    const client = await newClient();
    const lock = await client.lock('l', { ttlMs: 1000 });
    const { leases } = await client.leases.list();
    await client.leases.revoke(leases[0]?.[0] as number);
    expect(await asTimePasses(aborted(lock.signal))).toMatchObject({ code: 'ENOENT' });
    expect(lock.isHeld()).toBe(false);
  });

  it('counts as lost when it cannot be kept in time', async () => {
    const client = await newClient();
    const askedMs = performance.now();
    const lock = await client.lock('l', { ttlMs: 1000 });
    await group.stepDown();
    const reason = await asTimePasses(aborted(lock.signal));
    expect(reason).toBeInstanceOf(ConclaveError);
    expect(lock.isHeld()).toBe(false);
    expect(performance.now() - askedMs).toBeGreaterThanOrEqual(1000 - 1);
    // The group holds it until the lease ends there.
    await group.lead();
    expect((await client.locks.get('l')).holder?.token).toBe(lock.token);
  });

  it('promise 34: is not lost by keep-alives that fail: only "no such lease" or the end of its time loses it', async () => {
    const client = await newClient();
    const overdue: number[] = [];
    const lock = await client.lock('l', { ttlMs: 1000 });
    lock.onOverdue((leftMs) => overdue.push(leftMs));
    const failure: ErrorBody = { code: 'ESTATEMACHINE', message: 'why', outcome: 'not_done' };
    const before = kept(group);
    // Keep-alive and question, four times.
    group.behaviours.push(...Array.from({ length: 8 }, () => failure));
    await until(() => kept(group) >= before + 8);
    expect([lock.isHeld(), lock.signal.aborted]).toEqual([true, false]);
    expect(overdue.length).toBeGreaterThanOrEqual(3);
    // Sooner than it is kept where all is well.
    expect(overdue.slice(1).every((leftMs, at) => (overdue[at] as number) - leftMs < 1000 / 3)).toBe(true);
    await lock.release();
  });

  it('promise 34: is not lost by keep-alives that get no answer while time is left', async () => {
    const client = await newClient();
    const lock = await client.lock('l', { ttlMs: 3000 });
    await group.stepDown();
    await asTimePasses(new Promise<void>((resolve) => lock.onOverdue(() => resolve())));
    await group.lead();
    const before = kept(group);
    await until(() => kept(group) >= before + 2);
    expect(lock.isHeld()).toBe(true);
    expect(lock.leftMs()).toBeGreaterThan(1000);
  });

  it('promise 34: that was released by force is lost with the next keep-alive, and the error names its holder', async () => {
    const [one, other] = [await newClient(), await newClient()];
    const lock = await one.lock('l', { ttlMs: 2000, owner: 'one' });
    let aborts = 0;
    lock.signal.addEventListener('abort', () => (aborts += 1));
    expect(await other.locks.release('l', lock.token)).toMatchObject({ released: true });
    const next = await other.lock('l', { owner: 'other' });
    expect(await asTimePasses(aborted(lock.signal))).toMatchObject({
      code: 'ENOENT',
      message: `the lock "l" was taken from token ${lock.token}: other holds it now, with token ${next.token}`,
    });
    expect(lock.isHeld()).toBe(false);
    // Its lease, with whatever else is tied to it, goes then.
    await until(async () => (await other.leases.list()).leases.length === 1);
    expect([aborts, next.isHeld()]).toEqual([1, true]);
  });

  it('promise 34: is waited for as long as requested if no peer replies, and no longer', async () => {
    const client = await newClient();
    await group.stepDown();
    for (const waitMs of [500, 1500]) {
      const askedMs = performance.now();
      await expect(asTimePasses(client.lock('l', { waitMs }))).rejects.toMatchObject({ code: 'ETIMEDOUT' });
      const tookMs = performance.now() - askedMs;
      expect(tookMs).toBeGreaterThanOrEqual(waitMs - 1);
      expect(tookMs).toBeLessThan(waitMs + 400);
    }
    await group.lead();
    const held = await asTimePasses(client.lock('l'));
    const waiting = client.lock('l', { waitMs: 500 });
    const askedMs = performance.now();
    await until(async () => (await client.locks.get('l')).waiting === 1);
    await group.stepDown();
    await expect(asTimePasses(waiting)).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    expect(performance.now() - askedMs).toBeLessThan(900);
    expect(held.isHeld()).toBe(true);
  });

  it('promise 34: is waited for through a time without a leader that is longer than lease and calls, in its place', async () => {
    const [one, other, third] = [await newClient(), await newClient(300), await newClient()];
    const held = await one.lock('l', { ttlMs: 60_000 });
    const waiting = other.lock('l', { waitMs: 60_000, ttlMs: 1000, owner: 'second' });
    await until(async () => (await one.locks.get('l')).waiting === 1);
    const last = third.lock('l', { waitMs: 60_000, ttlMs: 60_000, owner: 'third' });
    await until(async () => (await one.locks.get('l')).waiting === 2);
    const measure = await one.lock('m', { ttlMs: 1000 });
    await group.stepDown();
    await asTimePasses(aborted(measure.signal));
    await group.lead();
    await held.release();
    const second = await asTimePasses(waiting);
    expect((await one.locks.get('l')).holder?.owner).toBe('second');
    expect(second.isHeld()).toBe(true);
    await second.release();
    expect((await asTimePasses(last)).token).toBeGreaterThan(second.token);
  });

  it('promise 34: is waited for even if the lease that waits has ended: another one replaces it', async () => {
    const [one, other] = [await newClient(), await newClient()];
    const held = await one.lock('l');
    const waiting = other.lock('l', { waitMs: 60_000, ttlMs: 1000 });
    await until(async () => (await one.locks.get('l')).waiting === 1);
    const { leases } = await one.leases.list();
    await one.leases.revoke(leases.at(-1)?.[0] as number);
    await until(async () => (await one.locks.get('l')).waiting === 1);
    await held.release();
    expect((await asTimePasses(waiting)).isHeld()).toBe(true);
  });

  it('promises 29 and 34: is held by a lease with a secret from feature level 1 on, waited for, and taken away only by force', async () => {
    group.level = 1;
    const [one, other] = [await newClient(), await newClient()];
    const lock = await one.lock('l', { ttlMs: 1000 });
    const { lease_id = 0 } = (await other.locks.get('l')).holder ?? {};
    expect(lease_id).toBeGreaterThan(0);
    await expect(other.locks.release('l', lock.token)).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(other.leases.revoke(lease_id)).rejects.toMatchObject({ code: 'EINVAL' });
    const waiting = other.lock('l', { waitMs: 60_000 });
    await until(async () => (await one.locks.get('l')).waiting === 1);
    expect(await other.locks.release('l', lock.token, { force: true })).toMatchObject({ released: true });
    expect(await asTimePasses(aborted(lock.signal))).toMatchObject({ code: 'ENOENT' });
    const next = await asTimePasses(waiting);
    expect(next.token).toBeGreaterThan(lock.token);
    await next.release();
    await until(async () => (await one.leases.list()).leases.length === 0);
  });

  it('promise 34: reports what a long wait waits for: the holder, or why the group does not reply', async () => {
    const [one, other] = [await newClient(), await newClient()];
    const held = await one.lock('l', { owner: 'one', ttlMs: 60_000 });
    const waits: LockWait[] = [];
    const waiting = other.lock('l', { waitMs: 60_000, ttlMs: 60_000, onWait: (wait) => waits.push(wait) });
    await until(() => waits.length === 1);
    await group.stepDown();
    await until(() => waits.length === 2);
    await group.lead();
    await until(() => waits.length === 3);
    expect(waits).toEqual([{ holder: 'one' }, { problem: 'nobody answers' }, { holder: 'one' }]);
    await held.release();
    await asTimePasses(waiting);
    await group.stepDown();
    const inVain = other.lock('m', { waitMs: 3000, onWait: (wait) => waits.push(wait) });
    const message = 'no reply within 3000 ms: nobody answers';
    await expect(asTimePasses(inVain)).rejects.toMatchObject({ code: 'ETIMEDOUT', message });
    expect(waits.slice(3)).toEqual([{ problem: 'nobody answers' }]);
    const short = other.lock('m', { waitMs: 500, onWait: (wait) => waits.push(wait) });
    await expect(asTimePasses(short)).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    expect(waits).toHaveLength(4);
  });

  it('is lost with the history of its lease, whose secret is not in the error', async () => {
    const listeners: ((groupUid: string) => void)[] = [];
    const leases = new LeaseApi(
      async () => ({ lease_id: `7.${'s'.repeat(22)}`, ttl_ms: 1000 }),
      (listener) => {
        listeners.push(listener);
        return () => undefined;
      },
    );
    const { signal } = await LeaseKeepalive.grant(leases, 1000);
    for (const listener of listeners) listener('one');
    expect(signal.reason).toMatchObject({
      code: 'EHISTORY',
      message: 'lease 7 was of history one, which has ended',
    });
  });

  it('is lost when its client is closed', async () => {
    const client = await newClient();
    const lock = await client.lock('l', { ttlMs: 1000 });
    await client.close();
    expect(await asTimePasses(aborted(lock.signal))).toMatchObject({ code: 'ESHUTDOWN' });
  });

  it('is refused where the request makes no sense', async () => {
    const client = await newClient();
    await expect(client.lock('')).rejects.toMatchObject({ code: 'EINVAL', outcome: 'not_done' });
    await expect(client.lock('l', { ttlMs: 1 })).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(client.locks.release('l', 0)).rejects.toMatchObject({ code: 'EINVAL' });
    expect(await client.leases.list()).toEqual({ leases: [], more: false });
  });
});

/** Settled when all requests are answered, and the answers received. */
async function settled(): Promise<void> {
  for (let seen = -1; seen < group.operations.length; ) {
    seen = group.operations.length;
    const sides = [connection, ...clients.map((client) => client.connection)].filter((side) => !side.isClosed());
    // Requests reach the group, it has answered them, and the answers reach the clients.
    for (let trip = 0; trip < 3; trip++) await Promise.all(sides.map((side) => side.flush()));
    await turn();
  }
}

async function timePasses(): Promise<void> {
  await settled();
  await vi.advanceTimersByTimeAsync(stepMs);
}

/** Moves the clock until the promise is settled. */
async function asTimePasses<T>(promise: Promise<T>): Promise<T> {
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  promise.then(end, end);
  await until(() => isOver);
  return promise;
}

/** Moves the clock until the condition holds. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const fromMs = performance.now();
  while (!(await condition())) {
    if (performance.now() - fromMs > 60_000) throw new Error('not within a minute');
    await timePasses();
  }
}

/** How many keep-alives the group has received. */
function kept({ commands }: Group): number {
  return commands.filter((command) => command === 'lease_keep').length;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
