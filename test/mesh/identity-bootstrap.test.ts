import type { BootstrapReply } from '@conclave/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNats } from '../support/nats.js';
import { PlainClient, type Reply } from '../support/plain-client.js';
import { Mesh, Stops, until } from './fault-mesh.js';

const names = ['n1', 'n2', 'n3'];
const races = ['race-1', 'race-2', 'race-3', 'race-4', 'race-5', 'race-6'];
const stops = new Stops();
let mesh: Mesh;
let url: string;

beforeAll(async () => {
  const server = await startNats();
  stops.add(() => server.stop());
  url = server.url;
  mesh = await Mesh.open({ servers: [server], peers: names, placement: 'one', groups: ['main', ...races] });
  stops.add(() => mesh.stop());
  await mesh.start('n1', 'n2');
  await mesh.healthy('n1', 'n2');
});

afterAll(() => stops.run());

/** The group that each peer holds; empty: none. */
async function uids(client: PlainClient, peers = names): Promise<string[]> {
  const statuses = await Promise.all(peers.map((name) => client.insist(`${name}.admin.status`)));
  return statuses.map(({ group_uid }) => group_uid as string);
}

describe('bootstrap', () => {
  it('bootstrap is rejected while a listed peer is unreachable, and creates nothing', async () => {
    const { body, errorCode } = await mesh.plain.ask('n1.admin.bootstrap', { peers: names, timeout_ms: 1000 });
    expect(body).toMatchObject({
      error: { code: 'EUNREACHABLE', outcome: 'not_done', message: expect.stringContaining('n3') },
    });
    expect(errorCode).toBe(503);
    expect(await uids(mesh.plain, ['n1', 'n2'])).toEqual(['', '']);
    await expect(mesh.plain.ask('admin.status')).rejects.toThrow('no responders');
  });

  it('is rejected by a peer that it does not list', async () => {
    const { body } = await mesh.plain.ask('n1.admin.bootstrap', { peers: ['n2', 'n3'] });
    expect(body).toMatchObject({ error: { code: 'EINVAL' } });
  });

  it('bootstrap creates the group once all peers are reachable; repeated, it returns the existing group', async () => {
    await mesh.start('n3');
    const founded = await mesh.plain.insist('n1.admin.bootstrap', { peers: names });
    expect(founded).toMatchObject({ founded: true, group_id: 'main', peers: names, old_peers: [] });
    await mesh.plain.insist('kv.put', { key: 'kept', value: 'over every bootstrap' });
    for (const [name, peers] of [
      ['n1', names],
      ['n2', ['n2', 'n1', 'n3']],
      // Another list changes nothing: what is there is answered.
      ['n3', ['n3', 'n4']],
    ] as const) {
      const again = await mesh.plain.insist(`${name}.admin.bootstrap`, { peers });
      expect(again).toMatchObject({ founded: false, group_uid: founded.group_uid, peers: names, old_peers: [] });
    }
    expect(new Set(await uids(mesh.plain))).toEqual(new Set([founded.group_uid]));
    expect(await mesh.plain.insist('kv.get', { key: 'kept' })).toMatchObject({ value: 'over every bootstrap' });
  });

  it('bootstrap at several peers at once creates at most one group and, with retries, exactly one', async () => {
    await Promise.all(races.map(race));
  });
});

/** Sends the request to all three peers at the same moment, and again until each reports which group exists. */
async function race(group: string): Promise<void> {
  const client = await PlainClient.open([url], group);
  try {
    const ask = (name: string): Promise<Reply> => client.ask(`${name}.admin.bootstrap`, { peers: names }, 60_000);
    const first = await Promise.all(names.map(ask));
    const replies = first.filter(({ errorCode }) => errorCode === 0).map(({ body }) => body as BootstrapReply);
    for (const { body, errorCode } of first) {
      if (errorCode !== 0) expect(body).toMatchObject({ error: { code: 'EBUSY', outcome: 'not_done' } });
    }
    for (const name of names) {
      const reply = await until(`${name} knows of ${group}`, async () => {
        const { body, errorCode } = await ask(name);
        if (errorCode !== 0) throw new Error(JSON.stringify(body));
        return body as BootstrapReply;
      });
      replies.push(reply);
    }
    expect(replies.filter(({ founded }) => founded).length, `founders of ${group}`).toBeLessThanOrEqual(1);
    expect(new Set(replies.map(({ group_uid }) => group_uid)).size, `groups under the name ${group}`).toBe(1);
    await client.insist('kv.put', { key: 'serves', value: group });
    expect(new Set(await uids(client)).size, `groups under the name ${group}`).toBe(1);
    // Whoever holds the first entry holds that of the one founder.
    const firstEntries = client.events.filter(
      ({ name, body }) => name === 'configuration_appended' && body.index === 1,
    );
    expect(new Set(firstEntries.map(({ body }) => String(body.peers))).size, `founders of ${group}`).toBe(1);
  } finally {
    await client.close();
  }
}
