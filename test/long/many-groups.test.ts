/** A hundred groups on three peers, of four processes each: created while these run, written to, and with a peer killed. */
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Stops, until } from '../mesh/fault-mesh.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { type Peer, startPeer } from '../support/peers.js';

const peerNames = ['n1', 'n2', 'n3'];
const groups = Array.from({ length: 100 }, (_, index) => `g${index}`);
// The machine that tests run on has few cores: a hundred groups that tick ten times a second would keep them busy.
const args = ['--heartbeat-interval-ms', '1000', '--election-timeout-ms', '6000'];

const stops = new Stops();
let server: NatsServer;
let nats: NatsConnection;
let peers: Peer[];

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  nats = await connect({ servers: server.url });
  stops.add(() => nats.close());
  const starting = peerNames.map(async (peer) => {
    const started = await startPeer({ peer, nats: [server.url], placement: 'four', args });
    stops.add(() => started.stop());
    return started;
  });
  peers = await Promise.all(starting);
});
afterAll(() => stops.run());

type Body = Record<string, unknown>;

/** Asks on `conclave.<rest>` until there is an answer without an error. */
function insist(rest: string, body: Body = {}): Promise<Body> {
  return until(
    rest,
    async () => {
      const reply = await nats.request(`conclave.${rest}`, JSON.stringify(body), { timeout: 10_000 });
      const answer = reply.json<Body>();
      if (answer.error !== undefined) throw new Error(JSON.stringify(answer.error));
      return answer;
    },
    100_000,
  );
}

/** What each peer's store was asked to write so far, and how often it did so. */
async function writes(): Promise<{ asked: number; synced: number }[]> {
  const replies = await Promise.all(peerNames.map((peer) => insist(`admin.${peer}.list_groups`)));
  return replies.map((reply) => reply.writes as { asked: number; synced: number });
}

async function writeToAll(key: string, count: number): Promise<void> {
  const calls = groups.flatMap((group) =>
    Array.from({ length: count }, (_, number) =>
      insist(`${group}.kv.put`, { key: `${key}${number}`, value: `${group} ${number}` }),
    ),
  );
  await Promise.all(calls);
}

describe('a hundred groups on three peers', () => {
  it('are created at running peers and bootstrapped, each peer leading some of them', async () => {
    const creating = groups.flatMap((group_id) =>
      peerNames.map((peer) => insist(`admin.${peer}.create_group`, { group_id })),
    );
    await Promise.all(creating);
    const founding = groups.map((group, index) =>
      insist(`${group}.${peerNames[index % 3]}.admin.bootstrap`, { peers: peerNames, timeout_ms: 60_000 }),
    );
    const founded = await Promise.all(founding);
    expect(founded.map(({ group_id, peers: members }) => [group_id, members])).toEqual(
      groups.map((group) => [group, peerNames]),
    );
    expect(new Set(founded.map(({ group_uid }) => group_uid)).size).toBe(groups.length);
  });

  it('accept writes, and share the syncs of their stores', async () => {
    const before = await writes();
    await writeToAll('a', 5);
    const after = await writes();
    const spent = after.map(({ asked, synced }, index) => ({
      asked: asked - (before[index]?.asked ?? 0),
      synced: synced - (before[index]?.synced ?? 0),
    }));
    for (const { asked, synced } of spent) {
      expect(asked).toBeGreaterThanOrEqual(groups.length);
      expect(synced * 3).toBeLessThan(asked);
    }
  });

  it('send the messages of their ticks in bundles', async () => {
    const seen = new Map<string, number>();
    let lists = 0;
    let resolve = (): void => undefined;
    const threeSeconds = new Promise<void>((done) => {
      resolve = done;
    });
    const observing = nats.subscribe('conclave.>', {
      callback: (_error, { subject }) => {
        const [, , ...rest] = subject.split('.');
        const kind = rest.slice(1, 3).join('.');
        seen.set(kind, (seen.get(kind) ?? 0) + 1);
        // Each peer publishes its list every second.
        if (subject === 'conclave.admin.n1.groups.n1') lists += 1;
        if (lists === 4) resolve();
      },
    });
    await threeSeconds;
    observing.unsubscribe();
    const bundles = ['log-store', 'ballot-box', 'replicator', 'node', 'feed'].map(
      (recipient) => seen.get(`${recipient}.bundle`) ?? 0,
    );
    for (const count of bundles) expect(count).toBeGreaterThan(0);
    // Three peers' nodes tick their log-stores in each group three times meanwhile: 900 messages.
    expect(seen.get('log-store.tick') ?? 0).toBeLessThan(100);
    expect(bundles[0]).toBeLessThan(300);
  });

  it('survive a kill -9 of one peer’s processes: they accept writes without it, and it returns to all of them', async () => {
    const [victim] = peers as [Peer];
    await victim.kill();
    await writeToAll('b', 1);
    await victim.start();
    await writeToAll('c', 1);
    const caughtUp = groups.map((group) =>
      until(
        `n1 has all of ${group}`,
        async () => {
          const read = await nats.request(`conclave.${group}.n1.kv.get`, JSON.stringify({ key: 'c0' }), {
            timeout: 10_000,
          });
          return read.json<Body>().value === `${group} 0` ? true : undefined;
        },
        100_000,
      ),
    );
    await Promise.all(caughtUp);
    for (const group of groups.filter((_, index) => index % 10 === 0)) {
      for (const key of ['a4', 'b0']) {
        const number = key.slice(1);
        expect(await insist(`${group}.kv.get`, { key })).toMatchObject({ value: `${group} ${number}` });
      }
    }
  });
});
