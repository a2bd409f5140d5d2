/**
 * Garbage under each role, in a NATS with the permissions that `conclave permissions` prints: on every subject that the role may
 * publish to. Requests are answered with an error, the rest is dropped, and nothing else happens.
 */
import { events, HealthReply, hostCommands, messages, type StatusReply } from '@conclave/protocol';
import { Random } from '@conclave/simulator';
import { connect, type NatsConnection } from 'nats';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { actorKinds } from '../support/peers.js';
import { peerUser, roleUser, SecuredNats, testUser } from '../support/secured-nats.js';
import { Mesh, Stops, until } from './fault-mesh.js';
import { Writers } from './fault-writers.js';
import { type Garbage, garbageOf, overLarge } from './garbage-bodies.js';
import { sample } from './garbage-samples.js';
import { type Endpoint, endpoints, expectError, isAccepted } from './garbage-subjects.js';

const names = ['n1', 'n2', 'n3'];
const roles = ['operator', 'client', 'reader', 'observer', 'peer'] as const;
const inFlight = 32;

/** What a role may ask, of these. */
const mayAsk: Record<(typeof roles)[number], (endpoint: Endpoint) => boolean> = {
  operator: ({ subject }) => subject.includes('.admin.'),
  client: ({ subject }) => /[.]kv[.]/.test(subject),
  reader: ({ subject }) => /main[.](n\d[.])?kv[.](get|batch_get|range|lock_get|lease_get|lease_list)$/.test(subject),
  observer: ({ subject }) => /admin[.]status$|n\d[.]admin[.]get_leader$|list_groups$/.test(subject),
  peer: ({ subject }) => subject === 'conclave.main.admin.status' || subject.endsWith('.list_groups'),
};

/** @param share of all garbage: each body is sent with this chance */
export function fuzzRoles(share: number): void {
  const seed = Number(process.env.CONCLAVE_GARBAGE_SEED ?? Date.now() % 1_000_000);
  const random = new Random(seed);
  const stops = new Stops();
  const connections = new Map<string, NatsConnection>();
  let nats: SecuredNats;
  let mesh: Mesh;
  let writers: Writers;
  let before: StatusReply[];
  let processIds: (number | undefined)[];

  beforeAll(async () => {
    console.log(`CONCLAVE_GARBAGE_SEED=${seed} makes the same garbage again`);
    const users = roles.filter((role) => role !== 'peer').map((role) => roleUser(role, '--group', 'main'));
    nats = await SecuredNats.start([testUser, ...names.map(peerUser), ...users]);
    stops.add(() => nats.server.stop());
    const envOf = (name: string) => nats.environment(name);
    const servers = [nats.server];
    mesh = await Mesh.found({ servers, peers: names, placement: 'one', envOf, login: nats.login('test') }, stops);
    for (const role of roles) {
      // A stolen credential of a peer that leads or not.
      const connection = await connect(nats.login(role === 'peer' ? 'n3' : role));
      connections.set(role, connection);
      stops.add(() => connection.close());
    }
    writers = await Writers.start([nats.server.url], 2, 'main', 10, nats.login('test'));
    stops.add(() => writers.stop());
    await writers.progress();
    await mesh.healthy(...names);
  });
  afterAll(() => stops.run());

  beforeEach(async () => {
    before = await Promise.all(names.map((name) => mesh.status(name)));
    processIds = names.map((name) => mesh.peer(name).process('node').processId);
  });

  /** Checks that nothing crashed, the leader is the same, no write failed or is lost, and NATS denied nothing. */
  afterEach(async () => {
    await writers.progress(20);
    await mesh.healthy(...names);
    const running = names.map((name) => mesh.peer(name).process('node'));
    expect(running.map(({ isRunning, processId }) => isRunning && processId)).toEqual(processIds);
    const after = await Promise.all(names.map((name) => mesh.status(name)));
    expect(after.map(lasting)).toEqual(before.map(lasting));
    for (const name of names) expect(await mesh.missing(name, new Map(writers.acknowledged))).toEqual([]);
    expect(writers.failed).toEqual([]);
    expect(nats.violations).toEqual([]);
  });

  const as = (role: string): NatsConnection => connections.get(role) as NatsConnection;
  const some = <T>(all: readonly T[]): T[] => all.filter(() => share >= 1 || random.below(1000) < share * 1000);

  it.each(roles)(
    'promise 37: %s: garbage as a request is answered with an error, on all that it may ask',
    async (role) => {
      const asked = [...endpoints(), ...hostEndpoints()].filter(mayAsk[role]);
      expect(asked.length).toBeGreaterThan(0);
      const attempts: (Garbage & { readonly endpoint: Endpoint })[] = [];
      for (const endpoint of asked) {
        const body = endpoint.request === undefined ? {} : sample(endpoint.request, random);
        const bodies = (['json', 'msgpack'] as const).flatMap((encoding) => garbageOf(body, random, encoding));
        // At least one for each subject.
        const isRefused = ({ data }: Garbage): boolean => !isAccepted(endpoint, data);
        const first = bodies.findIndex(isRefused);
        const others = some(bodies.slice(first + 1)).filter(isRefused);
        for (const garbage of [...bodies.slice(first, first + 1), ...others]) attempts.push({ endpoint, ...garbage });
        // Creating garbage takes long, and the writers are in this process.
        await new Promise(setImmediate);
      }
      while (attempts.length > 0) {
        await Promise.all(
          attempts.splice(0, inFlight).map(async ({ endpoint, kind, data }) => {
            const what = `${role}: ${kind} on ${endpoint.subject} (${Buffer.from(data.subarray(0, 60)).toString('hex')})`;
            const reply = await as(role)
              .request(endpoint.subject, data, { timeout: 30_000 })
              .catch((error) => {
                throw new Error(`${what}: ${error}`);
              });
            expectError(what, data, reply);
          }),
        );
      }
    },
  );

  it('promise 37: garbage that a peer sends in its own name is dropped by all others: messages, bundles, events, histories and lists', async () => {
    const sent = Object.entries(messages).flatMap(([name, { schema }]) => {
      const body = sample(schema, random, { group_id: 'main' });
      const bodies = [...garbageOf(body, random, 'msgpack'), overLarge(body, 'msgpack')].filter(
        ({ data }) => data.length < 1e6,
      );
      return some(bodies).map(({ data }) => [`${name}.n3`, data] as const);
    });
    const others = ['n1', 'n2'];
    const had = await Promise.all(others.map(dropsOf));
    for (const peer of others) {
      for (const [rest, data] of sent) as('peer').publish(`conclave.main.${peer}.${rest}`, data);
    }
    const elsewhere = [
      ...Object.keys(events).map((name) => `conclave.main.event.${name}.n3`),
      ...others.flatMap((peer) => ['feed', ...actorKinds].map((to) => `conclave.admin.${peer}.${to}.bundle.n3`)),
      'conclave.main.history.n3',
      'conclave.admin.n3.groups.n3',
      'conclave.main.watch.me.x',
      'conclave.main.n3.node.health',
      'conclave.admin.n1.list_groups',
      '$SRV.INFO.conclave',
      '_INBOX.client.x',
    ];
    for (const subject of elsewhere) {
      for (const { data } of some(garbageOf({ group_id: 'main', groups: [] }, random, 'msgpack')))
        as('peer').publish(subject, data);
    }
    await as('peer').flush();
    for (const [at, peer] of others.entries()) {
      await until(`${peer} drops it`, async () => ((await dropsOf(peer)) > (had[at] as number) ? true : undefined));
    }
  });

  /** All that the node and the process of a peer have dropped. */
  async function dropsOf(peer: string): Promise<number> {
    const { body } = await mesh.plain.ask(`${peer}.node.health`);
    return Object.values(HealthReply.parse(body).dropped).reduce((sum, count) => sum + count, 0);
  }
}

/** What of a status does not change while there are only writes. */
function lasting({ peer_id, store_id, group_uid, session, role, term, configuration, snapshot }: StatusReply): unknown {
  return { peer_id, store_id, group_uid, session, role, term, configuration, snapshot };
}

function hostEndpoints(): Endpoint[] {
  return names.flatMap((peer) =>
    Object.entries(hostCommands).map(([command, { request }]) => ({
      subject: `conclave.admin.${peer}.${command}`,
      command,
      request,
      harmless: false,
    })),
  );
}
