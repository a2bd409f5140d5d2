/** Each kind of read, on real processes and by a plain client: the leader's, by quorum and by lease, and a follower's own. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNats } from '../support/nats.js';
import { Mesh, Stops, until } from './fault-mesh.js';

const names = ['n1', 'n2', 'n3'];
const stops = new Stops();
let mesh: Mesh;

beforeAll(async () => {
  const server = await startNats();
  stops.add(() => server.stop());
  mesh = await Mesh.found({ servers: [server], peers: names, placement: 'four' }, stops);
});

afterAll(() => stops.run());

const consistencies = ['linearizable', 'lease', 'stale'] as const;

describe('a read', () => {
  it.each(consistencies)('is answered by the leader: %s', async (consistency) => {
    const { revision } = await mesh.plain.insist('kv.put', { key: 'a', value: consistency });
    const read = await mesh.plain.insist('kv.get', { key: 'a', consistency });
    expect(read).toEqual({ key: 'a', value: consistency, revision });
  });

  it.each(['linearizable', 'lease'] as const)(
    'sees at each peer what was acknowledged before: %s',
    async (consistency) => {
      for (let number = 0; number < 50; number++) {
        const value = `${consistency} ${number}`;
        const { revision } = await mesh.plain.insist('kv.put', { key: 'b', value });
        const read = (peer: string) => mesh.plain.insist(`${peer}.kv.get`, { key: 'b', consistency });
        for (const found of await Promise.all(names.map(read))) expect(found).toEqual({ key: 'b', value, revision });
      }
    },
  );

  it('is stale from a peer that is asked itself and told nothing, and refused where the consistency is none', async () => {
    const { body } = await mesh.plain.ask('n2.kv.get', { key: 'a' });
    expect(body).toMatchObject({ key: 'a' });
    const refused = await mesh.plain.ask('n2.kv.batch_get', { keys: ['a'], consistency: 'perhaps' });
    expect(refused).toMatchObject({ errorCode: 400, body: { error: { code: 'EINVAL', outcome: 'not_done' } } });
  });

  it('of a follower that hears of no leader is refused in time, as not done; a stale one is answered', async () => {
    await mesh.caughtUp(...names);
    const { peer_id: leader } = await mesh.leaderStatus();
    const [left = '', other = ''] = names.filter((name) => name !== leader);
    await mesh.kill(leader, other);
    await until('it knows no leader', async () => {
      const { leader_id } = await mesh.statusOnce(left);
      return leader_id === '' ? true : undefined;
    });
    const refused = await mesh.plain.ask(`${left}.kv.get`, { key: 'a', consistency: 'linearizable' });
    expect(refused).toMatchObject({ errorCode: 408, body: { error: { code: 'ETIMEDOUT', outcome: 'not_done' } } });
    expect((await mesh.plain.ask(`${left}.kv.get`, { key: 'a', consistency: 'stale' })).errorCode).toBe(0);
    await mesh.start(leader, other);
    await mesh.plain.insist(`${left}.kv.get`, { key: 'a', consistency: 'lease' });
  });
});
