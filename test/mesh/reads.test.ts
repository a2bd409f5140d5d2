/** Each kind of read, on real processes and by a plain client: the leader's, by quorum and by lease, and a follower's own. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCommand } from '../support/command.js';
import { startNats } from '../support/nats.js';
import { Mesh, Stops, until } from './fault-mesh.js';

const names = ['n1', 'n2', 'n3'];
const stops = new Stops();
let mesh: Mesh;
let servers: string;

beforeAll(async () => {
  const server = await startNats();
  stops.add(() => server.stop());
  servers = server.url;
  mesh = await Mesh.found({ servers: [server], peers: names, placement: 'four' }, stops);
});

afterAll(() => stops.run());

const consistencies = ['linearizable', 'lease', 'stale'] as const;

describe('a read', () => {
  it.each(consistencies)('is answered by the leader with consistency %s', async (consistency) => {
    const { revision } = await mesh.plain.insist('kv.put', { key: 'a', value: consistency });
    const read = await mesh.plain.insist('kv.get', { key: 'a', consistency });
    expect(read).toEqual({ key: 'a', value: consistency, revision });
  });

  it.each(['linearizable', 'lease'] as const)(
    'returns at each peer what was acknowledged before, with consistency %s',
    async (consistency) => {
      for (let number = 0; number < 50; number++) {
        const value = `${consistency} ${number}`;
        const { revision } = await mesh.plain.insist('kv.put', { key: 'b', value });
        const read = (peer: string) => mesh.plain.insist(`${peer}.kv.get`, { key: 'b', consistency });
        for (const found of await Promise.all(names.map(read))) expect(found).toEqual({ key: 'b', value, revision });
      }
    },
  );

  it('at a peer is stale by default, and is rejected with an unknown consistency', async () => {
    const { body } = await mesh.plain.ask('n2.kv.get', { key: 'a' });
    expect(body).toMatchObject({ key: 'a' });
    const refused = await mesh.plain.ask('n2.kv.batch_get', { keys: ['a'], consistency: 'perhaps' });
    expect(refused).toMatchObject({ errorCode: 400, body: { error: { code: 'EINVAL', outcome: 'not_done' } } });
  });

  const reads: readonly (readonly [string, Record<string, unknown>])[] = [
    ['get', { key: 'a' }],
    ['range', { prefix: '' }],
    ['batch_get', { keys: ['a'] }],
    ['lease_get', { lease_id: 7 }],
    ['lease_list', {}],
    ['lock_get', { name: 'a' }],
    ['lock_list', {}],
    ['changes', { prefix: '', from_revision: 1 }],
  ];

  it('at a peer outside the group is rejected at once with the leader’s name, at a spare and at a removed peer', async () => {
    await mesh.start('n4');
    await mesh.plain.insist('admin.remove_peer', { peer_id: 'n3' });
    for (const peer of ['n3', 'n4']) {
      const leader = await until(`${peer} knows the leader`, async () => {
        const { leader_id, health } = await mesh.statusOnce(peer);
        const isOutside = /^(removed|holds no data of the group yet)/.test(health.reason);
        return isOutside && leader_id !== '' ? leader_id : undefined;
      });
      expect(leader).toBe((await mesh.leaderStatus()).peer_id);
      for (const [name, body] of reads) {
        for (const consistency of ['linearizable', 'lease']) {
          const beganMs = performance.now();
          const refused = await mesh.plain.ask(`${peer}.kv.${name}`, { ...body, consistency });
          expect(performance.now() - beganMs, `${name} ${consistency}`).toBeLessThan(1000);
          const error = { code: 'EPERM', outcome: 'not_done', leader_id: leader };
          expect(refused).toMatchObject({ errorCode: 421, body: { error } });
          expect(JSON.stringify(refused.body)).toContain(`${peer} is not in the group main: ${leader} leads it`);
        }
        // What has changed since the first revision may be forgotten there, or nothing may have changed yet.
        if (name === 'changes') continue;
        const stale = await mesh.plain.ask(`${peer}.kv.${name}`, { ...body, consistency: 'stale' });
        expect(stale.errorCode, name).toBe(0);
      }
    }
    await mesh.plain.insist('admin.add_peer', { peer_id: 'n3' });
    expect((await mesh.plain.insist('n3.kv.get', { key: 'a', consistency: 'linearizable' })).key).toBe('a');
  });

  it('that waits while its log-store restarts is not done, never unknown', async () => {
    const { peer_id: leader } = await mesh.leaderStatus();
    const store = mesh.peer(leader).process('log-store');
    store.signal('SIGSTOP');
    const asked = ['kv.get', `${leader}.kv.get`].map((rest) =>
      mesh.plain.ask(rest, { key: 'a', consistency: 'linearizable' }).catch(String),
    );
    await mesh.plain.nats.flush();
    await store.kill();
    await store.start();
    for (const answer of await Promise.all(asked)) {
      // The next leader replies to it, or refuses it, or it never reached a peer.
      if (typeof answer === 'object' && answer.errorCode !== 0) {
        expect(answer.body).toMatchObject({ error: { outcome: 'not_done' } });
      }
    }
    await mesh.healthy(...names);
  });

  it('at a follower without a leader is rejected in time as not done; a stale one is answered', async () => {
    await mesh.caughtUp(...names);
    const { peer_id: leader } = await mesh.leaderStatus();
    const [left = '', other = ''] = names.filter((name) => name !== leader);
    await mesh.kill(leader, other);
    await until('it knows no leader', async () => {
      const { leader_id } = await mesh.statusOnce(left);
      return leader_id === '' ? true : undefined;
    });
    // A spare and who was removed are no rows; members that are gone are.
    const { code, out } = await startCommand(servers, ['status']).ended;
    expect(code).toBe(4);
    expect(out).toMatch(/^configuration +\{n1,n2,n3\} at index \d+, the newest found, in the log of /m);
    const missing = [leader, other].toSorted().join(', ');
    const quorum = `1 of 3 are available, and 2 are needed: 1 more must come back; missing: ${missing}`;
    expect(out).toContain(quorum);
    expect(out).toContain('read next      docs/operations.md, section "The group has no leader"');
    expect(out.match(/^n\d /gm)).toEqual(['n1 ', 'n2 ', 'n3 ']);
    for (const gone of [leader, other]) expect(out).toMatch(new RegExp(`^${gone} .* down `, 'm'));
    const refused = await mesh.plain.ask(`${left}.kv.get`, { key: 'a', consistency: 'linearizable' });
    expect(refused).toMatchObject({ errorCode: 408, body: { error: { code: 'ETIMEDOUT', outcome: 'not_done' } } });
    expect((await mesh.plain.ask(`${left}.kv.get`, { key: 'a', consistency: 'stale' })).errorCode).toBe(0);
    await mesh.start(leader, other);
    await mesh.plain.insist(`${left}.kv.get`, { key: 'a', consistency: 'lease' });
  });
});
