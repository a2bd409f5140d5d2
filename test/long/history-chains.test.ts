/** A client that stays while its group is reset, and restored from backups of several histories, one after the other. */
import path from 'node:path';
import { ConclaveClient } from '@conclave/client';
import { ConclaveError } from '@conclave/protocol';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Stops, until } from '../mesh/fault-mesh.js';
import { startCommand } from '../support/command.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { type Peer, startPeer } from '../support/peers.js';
import { PlainClient } from '../support/plain-client.js';

const group = 'orders';
const stops = new Stops();
let server: NatsServer;
let peers: Peer[];
let plain: PlainClient;
let folder: string;

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  folder = makeFolder('chains');
  stops.add(async () => removeFolder(folder));
  peers = await Promise.all(['n1', 'n2'].map((peer) => startPeer({ peer, nats: [server.url], placement: 'one' })));
  stops.add(async () => {
    await Promise.all(peers.map((peer) => peer.stop()));
  });
  plain = await PlainClient.open([server.url], group);
  stops.add(() => plain.close());
});
afterAll(() => stops.run());

async function conclave(...args: readonly string[]): Promise<void> {
  const ended = await startCommand(server.url, args).ended;
  expect({ args, ...ended }).toMatchObject({ args, code: 0 });
}

/** Asked until the survivor has waited long enough for a leader. */
function resetAlone(): Promise<true> {
  return until('n1 is reset', async () => {
    const { body, errorCode } = await plain.ask('n1.admin.reset_peer', { new_peers: ['n1'] }, 5000);
    if (errorCode !== 0) expect(body).toMatchObject({ error: { code: 'EBUSY' } });
    return errorCode === 0 ? true : undefined;
  });
}

/** Everything with a number or a name that a client can hold. */
async function hold(client: ConclaveClient) {
  // The first call after the end of a history fails with that error, unless a watch or a lock has received it before.
  const written = await until('the client goes on', () =>
    client.kv.put('k', 'v').catch((error: unknown) => {
      expect(error).toBeInstanceOf(ConclaveError);
      expect(['EHISTORY', 'EUNREACHABLE', 'ETIMEDOUT']).toContain((error as ConclaveError).code);
      return undefined;
    }),
  );
  // The lock of the history before stays held until its lease ends.
  const lock = await client.lock(`lock-${written.revision}`, { ttlMs: 60_000 });
  const { lease_id } = await client.leases.grant(60_000);
  const watch = client.watch('');
  const ended = watch.next().then(
    () => 'a change',
    (error: unknown) => (error as ConclaveError).code,
  );
  const status = await plain.insist('admin.status');
  return { revision: written.revision, lock, lease_id, ended, uid: status.group_uid as string };
}

it('promises 29 and 30: no number that was issued before is issued again, and each history’s end is reported once, over a chain of backups, restores and resets', {
  timeout: 120_000,
}, async () => {
  await conclave('groups', 'create', group, '--peers', 'n1,n2');
  const client = await ConclaveClient.connect({ groupId: group, servers: server.url });
  const reported: string[] = [];
  client.onHistoryChange((groupUid) => reported.push(groupUid));
  const [first, second] = ['first.backup', 'second.backup'].map((name) => path.join(folder, name)) as [string, string];
  const restore = async (file: string): Promise<void> => {
    await conclave('groups', 'delete', group, '--peers', 'n1,n2', '--yes');
    await conclave('groups', 'create', group, '--peers', 'n1', '--no-bootstrap');
    await conclave('restore', file, '--group', group, '--peers', 'n1');
  };
  const steps: readonly (() => Promise<void>)[] = [
    async () => {
      await conclave('backup', first, '--group', group);
      await peers[1]?.kill();
      await resetAlone();
    },
    async () => {
      await conclave('backup', second, '--group', group);
      await peers[1]?.start();
      await restore(first);
    },
    () => restore(second),
  ];

  let held = await hold(client);
  for (const [at, step] of steps.entries()) {
    await step();
    const now = await hold(client);
    expect(await held.ended).toBe('EHISTORY');
    await until('the lock is lost', async () => (held.lock.signal.aborted ? true : undefined));
    expect(held.lock.signal.reason).toMatchObject({ code: 'EHISTORY' });
    expect(now.uid).not.toBe(held.uid);
    expect(now.revision).toBeGreaterThan(held.lock.token);
    expect(now.lock.token).toBeGreaterThan(held.lock.token);
    expect(now.lease_id).not.toBe(held.lease_id);
    expect(reported, `after step ${at + 1}`).toHaveLength(at + 1);
    expect(reported.at(-1)).toBe(held.uid);
    const kept = await plain.ask('kv.lease_keep', { lease_id: held.lease_id });
    expect(kept.body).toMatchObject({
      error: { outcome: 'not_done', code: expect.stringMatching(/^(ENOENT|EHISTORY)$/) },
    });
    held = now;
  }
  await client.close();
});
