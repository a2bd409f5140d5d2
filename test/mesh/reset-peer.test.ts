import { rmSync } from 'node:fs';
import type { ErrorBody, ResetPeerReply } from '@conclave/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type NatsServer, startNats } from '../support/nats.js';
import { Mesh, Stops, until } from './fault-mesh.js';
import { Writers } from './fault-writers.js';

/** Three of five are lost. The tests continue each other, in order. */
const names = ['n1', 'n2', 'n3', 'n4', 'n5'];
const survivors = ['n1', 'n2'];
const stops = new Stops();
let nats: NatsServer;
let mesh: Mesh;
let acknowledged: ReadonlyMap<string, string>;
let groupUid: string;
let term: number;

beforeAll(async () => {
  nats = await startNats();
  stops.add(() => nats.stop());
  mesh = await Mesh.found({ servers: [nats], peers: names, placement: 'one' }, stops);
  const writers = await Writers.start([nats.url]);
  await writers.progress(200);
  await writers.stop();
  acknowledged = writers.acknowledged;
  for (const name of names) await mesh.caughtUp(name);
  ({ group_uid: groupUid, term } = await mesh.leaderStatus());
});

afterAll(() => stops.run());

/** Asked until the survivor has waited long enough for a leader. */
async function reset(name: string): Promise<ResetPeerReply> {
  return until(`${name} is reset`, async () => {
    const { body, errorCode } = await mesh.plain.ask(`${name}.admin.reset_peer`, { new_peers: survivors }, 5000);
    if (errorCode === 0) return body as unknown as ResetPeerReply;
    expect((body.error as ErrorBody).code).toBe('EBUSY');
    return undefined;
  });
}

describe('promises 15 and 24: after the quorum is lost for good, reset_peer', () => {
  it('is rejected while a leader is reachable', async () => {
    const { body } = await mesh.plain.ask('n1.admin.reset_peer', { new_peers: ['n1'] });
    expect(body).toMatchObject({ error: { code: 'EBUSY', outcome: 'not_done' } });
  });

  it('lets survivors with the same reset elect a leader, with all their data; the reply and an event name what may be lost', async () => {
    await mesh.kill('n3', 'n4', 'n5');
    const replies = [await reset('n1'), await reset('n2')];
    const [first] = replies as [ResetPeerReply];
    expect(first).toMatchObject({ old_group_uid: groupUid, epoch: 1, old_peers: names, new_peers: survivors });
    expect(first.may_be_lost).toContain('n3, n4, n5');
    expect(new Set(replies.map(({ group_uid }) => group_uid)).size).toBe(1);
    await mesh.plain.event('peer_reset', (body) => body.peer_id === 'n1' && body.may_be_lost === first.may_be_lost);
    const leader = await mesh.leaderAfter(term);
    expect(leader).toMatchObject({ group_uid: first.group_uid });
    expect(leader.changes.at(-1)).toMatchObject({ kind: 'reset', state: 'done', new_peers: survivors });
    await mesh.plain.insist('kv.put', { key: 'after', value: 'the reset' });
    for (const name of survivors) expect(await mesh.missing(name, acknowledged), name).toEqual([]);
  });

  it('survives a restart, and peers of the old history pull no survivor back', async () => {
    const before = await mesh.leaderStatus();
    await mesh.kill(...survivors);
    // A majority of the old group is there again, and elects; in its own history.
    await mesh.start('n3', 'n4', 'n5');
    await until('the old history has a leader again', async () => {
      const { leader_id } = await mesh.statusOnce('n3');
      return leader_id === '' ? undefined : leader_id;
    });
    await mesh.start(...survivors);
    await until('the survivors have their leader', async () => {
      const both = await Promise.all(survivors.map((name) => mesh.statusOnce(name)));
      return both.every(({ leader_id }) => survivors.includes(leader_id)) ? true : undefined;
    });
    for (const name of survivors) expect((await mesh.status(name)).group_uid).toBe(before.group_uid);
    await mesh.kill('n3', 'n4', 'n5');
  });

  it('makes the group reject peers of the old history (ENOTEMPTY) until their data is deleted', async () => {
    await mesh.start('n3');
    const refused = await until('n3 is refused', async () => {
      const { body, errorCode } = await mesh.plain.ask('admin.add_peer', { peer_id: 'n3', timeout_ms: 5000 }, 30_000);
      if (errorCode === 0) throw new Error('n3 was added');
      const { error } = body as { error: ErrorBody };
      return error.code === 'ENOTEMPTY' ? error : undefined;
    });
    expect(refused.outcome).toBe('not_done');
    await mesh.kill('n3');
    rmSync(mesh.peer('n3').dataDir, { recursive: true });
    await mesh.start('n3');
    await mesh.plain.insist('admin.add_peer', { peer_id: 'n3' });
    await mesh.caughtUp('n3');
    expect(await mesh.missing('n3', acknowledged)).toEqual([]);
    await mesh.healthy(...survivors, 'n3');
  });
});
