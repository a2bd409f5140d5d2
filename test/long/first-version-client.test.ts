/** A program with the client library of the previous release, as a user with the role `client`, in a group of the highest level. */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ConclaveClient } from '@conclave/client';
import type { LeaseId } from '@conclave/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Mesh, Stops } from '../mesh/fault-mesh.js';
import { peerUser, roleUser, SecuredNats, testUser } from '../support/secured-nats.js';
import { buildPreviousRelease } from '../upgrade/previous-build.js';

/** What this test uses of the library of the previous release: there the ids of leases are numbers. */
interface PreviousClient extends Pick<ConclaveClient, 'kv' | 'lock' | 'close'> {
  readonly leases: {
    grant(ttlMs: number): Promise<{ readonly lease_id: number }>;
    keep(leaseId: number): Promise<unknown>;
    revoke(leaseId: number): Promise<unknown>;
    list(): Promise<{ readonly leases: readonly (readonly [number, number, number])[] }>;
  };
  readonly locks: { get(name: string): Promise<{ readonly holder: { readonly lease_id: number } | null }> };
  watch(prefix: string, options: { state: boolean }): AsyncIterable<{ type: string; value?: unknown }>;
}

const stops = new Stops();
let nats: SecuredNats;
let client: PreviousClient;
let current: ConclaveClient;

beforeAll(async () => {
  const library = path.join(path.dirname(buildPreviousRelease()), '..', '..', 'client', 'dist', 'index.js');
  const previous = await import(pathToFileURL(library).href);
  // It ignores the inbox prefix of its connection.
  nats = await SecuredNats.start([testUser, peerUser('n1'), roleUser('client', '--inbox-prefix', '_INBOX')]);
  stops.add(() => nats.server.stop());
  const envOf = (name: string) => nats.environment(name);
  await Mesh.found(
    { servers: [nats.server], peers: ['n1'], placement: 'one', envOf, login: nats.login('test') },
    stops,
  );
  const { user, pass } = nats.login('client') as { user: string; pass: string };
  client = await previous.ConclaveClient.connect({ servers: nats.server.url, groupId: 'main', nats: { user, pass } });
  stops.add(() => client.close());
  const test = nats.login('test') as { user: string; pass: string };
  current = await ConclaveClient.connect({
    servers: nats.server.url,
    groupId: 'main',
    login: { user: test.user, password: test.pass },
  });
  stops.add(() => current.close());
}, 300_000);
afterAll(() => stops.run());

/** Changes a key until the watch reports it. @returns the events before that */
async function watched(write: () => Promise<unknown>, value: string): Promise<string[]> {
  const seen: string[] = [];
  for await (const event of client.watch('', { state: true })) {
    seen.push(event.type);
    if (event.type === 'current') await write();
    if (event.type === 'put' && event.value === value) break;
  }
  return seen;
}

describe('promises 29 and 31: a client of the previous release', () => {
  it('writes, reads and watches', async () => {
    await client.kv.put('a', '1');
    expect(await client.kv.get('a')).toMatchObject({ value: '1' });
    expect(await watched(() => client.kv.put('a', '2'), '2')).toContain('put');
    expect(await client.kv.delete('a')).toMatchObject({ deleted: true });
  });

  it('has leases and locks, whose ids are numbers', async () => {
    const { lease_id } = await client.leases.grant(60_000);
    expect(lease_id).toBeTypeOf('number');
    await client.kv.put('tied', 'v', { leaseId: lease_id });
    await client.leases.keep(lease_id);
    await client.leases.revoke(lease_id);
    expect(await client.kv.get('tied')).toMatchObject({ value: null });
    const lock = await client.lock('printer');
    await lock.release();
  });

  it('reads what current clients have written', async () => {
    const { lease_id } = await current.leases.grant(60_000);
    expect(lease_id).toBeTypeOf('string');
    const tie = (value: string) => current.kv.put('tied', value, { leaseId: lease_id as LeaseId });
    expect(await watched(() => tie('w'), 'w')).toContain('put');
    const lock = await current.lock('printer');
    const { holder } = await client.locks.get('printer');
    expect(holder?.lease_id).toBeTypeOf('number');
    expect((await client.leases.list()).leases).toHaveLength(2);
    const waiting = client.lock('printer', { waitMs: 20_000 });
    await lock.release();
    await (await waiting).release();
  });

  it('causes no violation of the permissions of its role', () => {
    expect(nats.violations).toEqual([]);
  });
});
