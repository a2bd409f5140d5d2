import { decodeRequest, encode, limits } from '@conclave/protocol';
import { connect, type NatsConnection } from 'nats';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type NatsServer, startNats } from '../../../test/support/nats.js';
import { ConclaveClient, ConclaveError } from '../src/index.js';
import { Group } from './group.js';

let server: NatsServer;
let connection: NatsConnection;
let group: Group;
let client: ConclaveClient;

beforeAll(async () => {
  server = await startNats();
  connection = await connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 20 });
});
afterAll(async () => {
  await connection.close();
  await server.stop();
});
beforeEach(async () => {
  group = new Group(connection);
  await group.lead();
  client = await ConclaveClient.connect({ servers: server.url, groupId: 'main', requestTimeoutMs: 400 });
});
afterEach(async () => {
  await client.close();
  await group.stepDown();
});

/** Code and outcome of what a call rejects with. */
async function failureOf(call: Promise<unknown>): Promise<unknown> {
  const error = await call.then(
    (result) => result,
    (failure: unknown) => failure,
  );
  return error instanceof ConclaveError ? [error.code, error.outcome] : error;
}

describe('a client', () => {
  it('puts, gets, swaps and deletes', async () => {
    const bytes = new Uint8Array([0, 1, 255]);
    expect(await client.kv.put('text', 'ü')).toEqual({ revision: 1 });
    expect(await client.kv.put('bytes', bytes)).toEqual({ revision: 2 });
    expect(await client.kv.get('text')).toEqual({ key: 'text', value: 'ü', revision: 1 });
    expect(await client.kv.get('bytes', { peerId: 'n1' })).toEqual({ key: 'bytes', value: bytes, revision: 2 });
    expect(await client.kv.cas('text', 'two', 7)).toEqual({ swapped: false, revision: 1 });
    expect(await client.kv.cas('text', 'two', 1)).toEqual({ swapped: true, revision: 3 });
    expect(await client.kv.delete('text')).toEqual({ deleted: true, revision: 4 });
    expect(await client.kv.get('text', { consistency: 'stale' })).toEqual({ key: 'text', value: null, revision: 0 });
  });

  it('joins the calls of a tick', async () => {
    await Promise.all(Array.from({ length: 100 }, (_, at) => client.kv.put(`k${at}`, `${at}`)));
    const found = await Promise.all(Array.from({ length: 100 }, (_, at) => client.kv.get(`k${at}`)));
    expect(found.map(({ value }) => value)).toEqual(Array.from({ length: 100 }, (_, at) => `${at}`));
    expect(group.operations).toEqual(['open_session', 'batch', 'batch_get']);
  });

  it('accepts a time-out that is longer than a timer can be', async () => {
    const warnings: string[] = [];
    const onWarning = ({ name }: Error): void => void warnings.push(name);
    process.on('warning', onWarning);
    expect(await client.kv.put('k', 'v', { timeoutMs: 2 ** 32 })).toEqual({ revision: 1 });
    // Node emits warnings on the next tick.
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', onWarning);
    expect(warnings).not.toContain('TimeoutOverflowWarning');
  });

  it('reads more than fits into one message', async () => {
    const value = 'x'.repeat(limits.valueBytes);
    const keys = ['a', 'b', 'c', 'd', 'e'];
    await Promise.all(keys.map((key) => client.kv.put(key, value)));
    const found = await Promise.all(keys.map((key) => client.kv.get(key)));
    expect(found.every((one) => one.value === value)).toBe(true);
  });

  it('reads a range, page by page where there is more', async () => {
    const bytes = new Uint8Array([0, 255]);
    await Promise.all(['a', 'b/1', 'b/2', 'b/3', 'c'].map((key) => client.kv.put(key, key)));
    await client.kv.put('b/2', bytes);
    expect(await client.kv.range('b/', { limit: 2 })).toEqual({
      found: [
        ['b/1', 'b/1', 2],
        ['b/2', bytes, 6],
      ],
      more: true,
      revision: 6,
    });
    const stale = await client.kv.range('b/', { startAfter: 'b/2', keysOnly: true, peerId: 'n1' });
    expect(stale).toEqual({ found: [['b/3', null, 4]], more: false, revision: 6 });
    const keys: string[] = [];
    for await (const [key] of client.kv.scan('', { limit: 2 })) keys.push(key);
    expect(keys).toEqual(['a', 'b/1', 'b/2', 'b/3', 'c']);
    expect(await failureOf(client.kv.range('', { limit: 0 }))).toEqual(['EINVAL', 'not_done']);
  });

  it('compares and writes atomically, once, although the reply was lost', async () => {
    const bytes = new Uint8Array([0, 255]);
    group.behaviours.push('answer', 'carry_out_silently', 'carry_out_silently');
    const both = [
      client.kv.txn([['k', 'revision', '=', 0]], [['put', 'k', bytes]], [['get', 'k']]),
      client.kv.txn([['k', 'revision', '=', 0]], [['put', 'k', 'late']], [['get', 'k']]),
    ];
    expect(await Promise.all(both)).toEqual([
      { succeeded: true, revision: 1, results: [['put', 1]] },
      { succeeded: false, revision: 1, results: [['get', bytes, 1]] },
    ]);
    // It was sent again, and once more for each time that a slow machine took for a lost answer.
    expect(group.operations.filter((operation) => operation === 'batch').length).toBeGreaterThan(1);
    expect(await client.kv.txn([['k', 'revision', '=', 0]], [])).toEqual({
      succeeded: false,
      revision: 1,
      results: [],
    });
    expect(await failureOf(client.kv.txn([], [['put', '', 'v']]))).toEqual(['EINVAL', 'not_done']);
  });

  it('reads in transactions of one tick more than fits into one answer', async () => {
    const value = 'x'.repeat(limits.valueBytes);
    const keys = ['a', 'b', 'c'];
    await Promise.all(keys.map((key) => client.kv.put(key, value)));
    const read = await Promise.all(keys.map((key) => client.kv.txn([], [['get', key]])));
    expect(read.map(({ results }) => results)).toEqual(keys.map((_key, at) => [['get', value, at + 1]]));
  });

  it('grants leases, ties keys to them, keeps and revokes them', async () => {
    const { lease_id, ttl_ms } = await client.leases.grant(5000);
    expect([lease_id, ttl_ms]).toEqual([1, 5000]);
    await Promise.all(['b', 'a'].map((key) => client.kv.put(key, 'v', { leaseId: lease_id })));
    await client.kv.txn([], [['put', 'c', 'v', lease_id]]);
    const leased = { lease_id, ttl_ms: 5000, remaining_ms: null, keys: ['b', 'c'], more: false };
    expect(await client.leases.get(lease_id, { startAfter: 'a' })).toEqual(leased);
    expect(await client.leases.keep(lease_id)).toEqual({ lease_id, ttl_ms: 5000 });
    expect(await client.leases.list({ limit: 1, peerId: 'n1' })).toEqual({ leases: [[1, 5000, 3]], more: false });
    expect(await client.leases.revoke(lease_id)).toEqual({ revoked: true, revision: 6 });
    expect(await client.leases.revoke(lease_id)).toEqual({ revoked: false, revision: 6 });
    expect(await failureOf(client.leases.keep(lease_id))).toEqual(['ENOENT', 'not_done']);
    expect(await failureOf(client.kv.put('k', 'v', { leaseId: 9 }))).toEqual(['ENOENT', 'not_done']);
    expect(await failureOf(client.kv.put('k', 'v', { leaseId: 0 }))).toEqual(['EINVAL', 'not_done']);
    expect(await failureOf(client.leases.grant(1))).toEqual(['EINVAL', 'not_done']);
  });

  it('writes once, although the reply was lost', async () => {
    await client.kv.put('k', 'before');
    group.behaviours.push('carry_out_silently', 'carry_out_silently');
    expect(await client.kv.cas('k', 'after', 1)).toEqual({ swapped: true, revision: 2 });
    expect(group.operations).toEqual(['open_session', 'batch', 'batch', 'batch', 'batch']);
    expect(await client.kv.get('k')).toEqual({ key: 'k', value: 'after', revision: 2 });
  });

  it('waits for a leader', async () => {
    await client.kv.put('k', 'v');
    await group.stepDown();
    const put = client.kv.put('k', 'w');
    const watched = connection.subscribe('conclave.main.kv.batch', { max: 1 });
    // The request reaches a peer that does not reply, so it must be resent to one that does.
    for await (const _ of watched) await group.lead();
    expect(await put).toEqual({ revision: 2 });
  });

  it('opens another session when its session has expired', async () => {
    await client.kv.put('k', 'v');
    group.forget();
    expect(await client.kv.put('k', 'w')).toEqual({ revision: 1 });
    expect(group.operations).toEqual(['open_session', 'batch', 'batch', 'open_session', 'batch']);
  });

  it('distinguishes calls that were not done from calls whose outcome is unknown', async () => {
    await client.kv.put('k', 'v');
    group.behaviours.push({ code: 'EINVAL', message: 'no', outcome: 'not_done' });
    expect(await failureOf(client.kv.put('k', 'w'))).toEqual(['EINVAL', 'not_done']);
    group.behaviours.push('carry_out_silently', { code: 'EINVAL', message: 'no', outcome: 'not_done' });
    expect(await failureOf(client.kv.put('k', 'w'))).toEqual(['EINVAL', 'unknown']);
    await group.stepDown();
    expect(await failureOf(client.kv.put('k', 'w', { timeoutMs: 1_000 }))).toEqual(['ETIMEDOUT', 'not_done']);
    expect(await failureOf(client.kv.get('k', { timeoutMs: 1_000 }))).toEqual(['ETIMEDOUT', 'not_done']);
  });

  it('promise 29: asks for a new group under an old name only where that is meant', async () => {
    const asked: unknown[] = [];
    const founded = { group_id: 'main', group_uid: 'u', peers: ['n5'], old_peers: [], leader_id: 'n5', founded: true };
    const subscription = connection.subscribe('conclave.main.n5.admin.bootstrap', {
      callback: (_error, message) => {
        asked.push(decodeRequest(message.data).value);
        message.respond(encode(founded));
      },
    });
    await connection.flush();
    expect(await client.admin.bootstrap('n5', ['n5'])).toEqual(founded);
    await client.admin.bootstrap('n5', ['n5'], { new: true });
    expect(asked).toEqual([{ peers: ['n5'] }, { peers: ['n5'], new: true }]);
    subscription.unsubscribe();
  });

  it('asks peers', async () => {
    expect(await client.admin.getLeader('n1')).toEqual({ leader_id: 'n1', term: 3 });
    // Within this time NATS reports, also on a busy machine, that nobody is subscribed.
    const impatient = await ConclaveClient.connect({ connection, groupId: 'main', timeoutMs: 2_000 });
    expect(await failureOf(impatient.admin.getLeader('n2'))).toEqual(['EUNREACHABLE', 'not_done']);
    expect(await failureOf(impatient.admin.addPeer('n2'))).toEqual(['EUNREACHABLE', 'not_done']);
    expect(await failureOf(client.admin.getLeader('no peer'))).toEqual(['EINVAL', 'not_done']);
    await impatient.close();
    expect(connection.isClosed()).toBe(false);
  });

  it('settles its calls when it is closed', async () => {
    await client.kv.put('k', 'v');
    group.behaviours.push('carry_out_silently');
    const put = failureOf(client.kv.put('k', 'w'));
    const received = connection.subscribe('conclave.main.kv.batch', { max: 1 });
    for await (const _ of received);
    await client.close();
    expect(await put).toEqual(['ESHUTDOWN', 'unknown']);
    expect(await failureOf(client.kv.put('k', 'w'))).toEqual(['ESHUTDOWN', 'not_done']);
    expect(client.status()).toMatchObject({ openCalls: 0, requests: 0 });
  });

  it('settles its calls when its connection is closed by another', async () => {
    const own = await connect({ servers: server.url });
    const borrower = await ConclaveClient.connect({ connection: own, groupId: 'main' });
    await borrower.kv.put('k', 'v');
    await own.close();
    expect(await failureOf(borrower.kv.put('k', 'w'))).toEqual(['ESHUTDOWN', 'not_done']);
    await borrower.close();
  });

  it('finishes its calls after the NATS server was down', async () => {
    await client.kv.put('k', 'v');
    await server.kill();
    const put = client.kv.put('k', 'w');
    await server.restart();
    expect(await put).toEqual({ revision: 2 });
  });

  it.each([[{ groupId: 'a.b' }], [{ groupId: 'kv' }], [{ groupId: 'main', prefix: 'a b' }]])(
    'refuses names that are none: %j',
    async (names) => {
      expect(await failureOf(ConclaveClient.connect({ connection, ...names }))).toEqual(['EINVAL', 'not_done']);
    },
  );
});
