/** Two groups of one name, founded on NATS servers that did not know of each other, which are then connected (promise 29). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCommand } from '../support/command.js';
import { type NatsServer, startNatsCluster } from '../support/nats.js';
import { Mesh, Stops, until } from './fault-mesh.js';

const stops = new Stops();
let servers: NatsServer[];
let one: Mesh;
let other: Mesh;
const uids: string[] = [];

/** A group of this peer alone, at this server alone. */
function found(server: NatsServer, peer: string): Promise<Mesh> {
  return Mesh.found({ servers: [server], peers: [peer], placement: 'one' }, stops);
}

beforeAll(async () => {
  servers = await startNatsCluster(2);
  for (const server of servers) stops.add(() => server.stop());
  const [first, second] = servers as [NatsServer, NatsServer];
  await second.kill();
  one = await found(first, 'n1');
  await one.plain.insist('kv.put', { key: 'k', value: 'one' });
  uids.push((await one.leaderStatus()).group_uid);
  await first.kill();
  await second.restart();
  other = await found(second, 'n2');
  await other.plain.insist('kv.put', { key: 'k', value: 'other' });
  uids.push((await other.leaderStatus()).group_uid);
});

afterAll(() => stops.run());

/** Until a request at a peer's own server is refused for the two histories. */
function refused(mesh: Mesh): Promise<Record<string, unknown>> {
  return until('a request is refused', async () => {
    const { body } = await mesh.plain.ask('kv.get', { key: 'k' });
    const error = body.error as { code: string } | undefined;
    return error?.code === 'EHISTORY' ? (error as Record<string, unknown>) : undefined;
  });
}

describe('promise 29: two histories of one group, each with a leader,', () => {
  it('stop each other as soon as they reach each other: requests, health, status and an event report it', async () => {
    await servers[0]?.restart();
    for (const [mesh, peer, at] of [
      [one, 'n1', 0],
      [other, 'n2', 1],
    ] as const) {
      const event = await mesh.plain.event('other_history_seen', ({ peer_id }) => peer_id === peer);
      expect(event.body).toMatchObject({ group_uid: uids[at], other_group_uid: uids[1 - at] });
      expect(await refused(mesh)).toMatchObject({ outcome: 'not_done' });
      expect((await mesh.statusOnce(peer)).other_history).toMatchObject({ group_uid: uids[1 - at] });
      const url = servers[at]?.url ?? '';
      const health = await startCommand(url, ['health', '--peer', peer]).ended;
      expect(health).toMatchObject({
        code: 1,
        error: expect.stringContaining('two histories of the group main have a leader'),
      });
      const status = await startCommand(url, ['status', '--peer', peer]).ended;
      expect(status.out).toContain('two histories');
    }
    expect(await other.plain.ask('kv.put', { key: 'k', value: 'stray' })).toMatchObject({
      body: { error: { code: 'EHISTORY' } },
    });
  });

  it('serve again once the other is gone, with all data', async () => {
    await other.kill('n2');
    expect(await one.plain.insist('kv.get', { key: 'k' })).toMatchObject({ value: 'one' });
    await one.plain.insist('kv.put', { key: 'k', value: 'one again' });
    await one.healthy('n1');
  });
});
