import { readFileSync } from 'node:fs';
import { observe } from '@conclave/observer';
import {
  type ActorKind,
  batchHeader,
  decode,
  decodeRequest,
  encode,
  events,
  feedListeners,
  HealthReply,
  limits,
  type Message,
  type MessageName,
  messages,
  namedSender,
  type StatusReply,
} from '@conclave/protocol';
import { Random } from '@conclave/simulator';
import { createInbox } from 'nats';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { startNats } from '../support/nats.js';
import { actorKinds } from '../support/peers.js';
import { Mesh, Stops, until } from './fault-mesh.js';
import { Writers } from './fault-writers.js';
import { type Garbage, garbageOf, overLarge } from './garbage-bodies.js';
import { type Fields, sample } from './garbage-samples.js';
import { type Endpoint, endpoints, expectError, isAccepted } from './garbage-subjects.js';

const seed = Number(process.env.CONCLAVE_GARBAGE_SEED ?? Date.now() % 1_000_000);
const names = ['n1', 'n2', 'n3'];
const messageNames = Object.keys(messages) as MessageName[];
/** A process that only drops what it receives needs no more. */
const maxGrowth = 256 * 1024 * 1024;
const random = new Random(seed);
const stops = new Stops();
let mesh: Mesh;
let writers: Writers;
let before: StatusReply[];
let processIds: (number | undefined)[];
let memory: number[];

beforeAll(async () => {
  console.log(`CONCLAVE_GARBAGE_SEED=${seed} makes the same garbage again`);
  // What Conclave itself has to refuse must get past the server.
  const server = await startNats({ configuration: 'max_payload: 8MB' });
  stops.add(() => server.stop());
  mesh = await Mesh.found({ servers: [server], peers: names, placement: 'four' }, stops);
  writers = await Writers.start([server.url], 2, 'main', 10);
  stops.add(() => writers.stop());
  await writers.progress();
  await mesh.healthy(...names);
});

afterAll(() => stops.run());

beforeEach(async () => {
  before = await Promise.all(names.map((name) => mesh.status(name)));
  processIds = allProcesses().map(({ processId }) => processId);
  memory = allProcesses().map(({ processId }) => residentBytes(processId));
});

/** Nothing else has happened. */
afterEach(async () => {
  await writers.progress(20);
  await mesh.healthy(...names);
  expect(allProcesses().map(({ isRunning, processId }) => isRunning && processId)).toEqual(processIds);
  const after = await Promise.all(names.map((name) => mesh.status(name)));
  expect(after.map(lasting)).toEqual(before.map(lasting));
  const missing = await Promise.all(names.map((name) => mesh.missing(name, new Map(writers.acknowledged))));
  expect(missing).toEqual(names.map(() => []));
  expect(writers.failed).toEqual([]);
  for (const [at, { processId, name }] of allProcesses().entries()) {
    expect(residentBytes(processId) - (memory[at] ?? 0), `growth of ${name}`).toBeLessThan(maxGrowth);
  }
});

function allProcesses() {
  return names.flatMap((name) => mesh.peer(name).processes);
}

/** What of a status does not change while there are only writes. */
function lasting(status: StatusReply): unknown {
  const { peer_id, store_id, group_uid, session, role, term, leader_id, configuration, configuration_index } = status;
  return { peer_id, store_id, group_uid, session, role, term, leader_id, configuration, configuration_index };
}

/** Memory that a process has at the moment; 0 if the system does not report it. */
function residentBytes(processId: number | undefined): number {
  try {
    const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${processId}/status`, 'utf8')) ?? [];
    return Number(kilobytes ?? 0) * 1024;
  } catch {
    return 0;
  }
}

function publish(subject: string, data: Uint8Array): void {
  mesh.plain.nats.publish(subject, data);
}

/** Counts of what an actor has not taken. */
async function dropped(peer: string, actor: ActorKind): Promise<Readonly<Record<string, number>>> {
  const { body } = await mesh.plain.ask(`${peer}.${actor}.health`);
  return HealthReply.parse(body).dropped;
}

/** How many messages of this name an actor has dropped on receipt; `unknown`: of names that do not exist. */
function countedOnReceipt(counts: Readonly<Record<string, number>>, name: string): number {
  if (name === 'unknown') return counts.unknown_message ?? 0;
  const reasons = ['too_large', 'not_msgpack', 'malformed', 'other_group', 'bad_batch'];
  return reasons.reduce((sum, reason) => sum + (counts[`${reason}:${name}`] ?? 0), 0);
}

/** The actors that receive a message of this name. */
function receivers(name: string): readonly ActorKind[] {
  const recipient = name.slice(0, name.indexOf('.'));
  return recipient === 'feed' ? feedListeners[name as keyof typeof feedListeners] : [recipient as ActorKind];
}

function accepts(schema: z.ZodType, data: Uint8Array): boolean {
  try {
    const parsed = schema.safeParse(decode(data));
    if (!parsed.success) return false;
    const { group_id, batches } = parsed.data as { group_id: string; batches?: Uint8Array[] };
    for (const batch of batches ?? []) batchHeader(batch);
    return group_id === 'main' && data.length <= limits.messageBytes;
  } catch {
    return false;
  }
}

/** Sends to each actor of each peer, and waits until each actor has counted exactly these messages. */
async function expectCounted(bodiesOf: (name: MessageName) => readonly Uint8Array[], unknown: number): Promise<void> {
  const sent = new Map<string, number>();
  const begin = new Map<string, Readonly<Record<string, number>>>();
  for (const peer of names) {
    for (const actor of actorKinds) begin.set(`${peer} ${actor}`, await dropped(peer, actor));
  }
  const count = (peer: string, name: string, hearing: readonly ActorKind[], more: number) => {
    for (const actor of hearing) {
      const key = `${peer} ${actor} ${name}`;
      sent.set(key, (sent.get(key) ?? 0) + more);
    }
  };
  for (const peer of names) {
    for (const name of messageNames) {
      const bodies = bodiesOf(name);
      for (const body of bodies) publish(`conclave.main.${peer}.${name}.${peer}`, body);
      count(peer, name, receivers(name), bodies.length);
      // Answered after those: no flood, which would cost a leader its office on a slow machine.
      for (const actor of receivers(name)) await dropped(peer, actor);
    }
    for (const actor of actorKinds) {
      for (let left = unknown; left > 0; left--) {
        publish(`conclave.main.${peer}.${actor}.nonsense-${left}.${peer}`, encode({ group_id: 'main' }));
      }
      count(peer, 'unknown', [actor], unknown);
    }
    await mesh.plain.nats.flush();
  }
  for (const [key, wanted] of sent) {
    const [peer, actor, name] = key.split(' ') as [string, ActorKind, string];
    const had = countedOnReceipt(begin.get(`${peer} ${actor}`) ?? {}, name);
    await until(`the ${actor} of ${peer} has counted ${wanted} of ${name}`, async () => {
      const has = countedOnReceipt(await dropped(peer, actor), name) - had;
      if (has === wanted) return true;
      throw new Error(`it has counted ${has}`);
    });
  }
}

describe('garbage on the subjects of messages is only counted', () => {
  it('random, empty, truncated, wrongly typed and deep bodies, and unknown names', async () => {
    await expectCounted((name) => {
      const { schema } = messages[name];
      const bodies = [1, 2].flatMap(() => garbageOf(sample(schema, random, { group_id: 'main' }), random, 'msgpack'));
      // Of a message one bit or field of which is wrong, some are well-formed still.
      return bodies.map(({ data }) => data).filter((data) => !accepts(schema, data));
    }, 3);
  });

  it('bodies above Conclave’s limits and below the server’s', async () => {
    await expectCounted((name) => {
      const { schema } = messages[name];
      const body = sample(schema, random, { group_id: 'main' }) as Record<string, unknown>;
      const bounded = { name: 'a'.repeat(limits.nameBytes + 1), id: 'i'.repeat(limits.idBytes + 1) };
      const more: unknown[] = [{ ...body, group_id: bounded.name }];
      for (const id of ['store_id', 'group_uid', 'nonce', 'incarnation']) {
        if (id in body) more.push({ ...body, [id]: bounded.id });
      }
      if ('batches' in body) more.push({ ...body, batches: Array(limits.appendBatches + 1).fill(new Uint8Array(40)) });
      return [overLarge(body, 'msgpack').data, ...more.map(encode)];
    }, 0);
  });

  it('well-formed messages of another group', async () => {
    await expectCounted((name) => [encode(sample(messages[name].schema, random, { group_id: 'another' }))], 0);
  });
});

describe('garbage as a request', () => {
  function garbageFor(endpoint: Endpoint): Garbage[] {
    const body = endpoint.request === undefined ? { key: 'k' } : sample(endpoint.request, random);
    const all = (['json', 'msgpack'] as const).flatMap((encoding) => garbageOf(body, random, encoding));
    return all.filter(({ data }) => endpoint.harmless || !isAccepted(endpoint, data));
  }

  async function expectRefused(endpoint: Endpoint, { kind, data }: Garbage): Promise<void> {
    const what = `${kind} on ${endpoint.subject} (${Buffer.from(data.subarray(0, 60)).toString('hex')})`;
    const reply = await mesh.plain.nats.request(endpoint.subject, data, { timeout: 30_000 }).catch((error) => {
      throw new Error(`${what}: ${error}`);
    });
    // Where the schema has nothing against it, it was no garbage.
    if (!isAccepted(endpoint, data)) expectError(what, data, reply);
  }

  it('is answered with an error that has a code', async () => {
    for (const endpoint of endpoints()) {
      await Promise.all(garbageFor(endpoint).map((garbage) => expectRefused(endpoint, garbage)));
    }
  });

  it('is answered with an error above Conclave’s limits, too', async () => {
    for (const endpoint of endpoints()) {
      const body = endpoint.request === undefined ? {} : sample(endpoint.request, random);
      for (const encoding of ['json', 'msgpack'] as const) await expectRefused(endpoint, overLarge(body, encoding));
    }
    const put = endpoints().find(({ subject }) => subject === 'conclave.main.kv.put') as Endpoint;
    const batch = endpoints().find(({ subject }) => subject === 'conclave.main.kv.batch') as Endpoint;
    const change = endpoints().find(({ subject }) => subject === 'conclave.main.admin.change_peers') as Endpoint;
    const peers = Array.from({ length: limits.configurationPeers + 1 }, (_, at) => `p${at}`);
    const bounds: [Endpoint, string, unknown][] = [
      [put, 'a key too long', { key: 'k'.repeat(limits.keyBytes + 1), value: 'v' }],
      [put, 'a value too large', { key: 'k', value: 'v'.repeat(limits.valueBytes + 1) }],
      [batch, 'too many commands', { commands: Array(limits.requestCommands + 1).fill([0, 'delete', 'k']) }],
      [change, 'too many peers', { new_peers: peers }],
      [change, 'no peer', { new_peers: [] }],
      [change, 'a peer twice', { new_peers: ['n1', 'n1'] }],
      [change, 'a name with a dot (promise 25)', { new_peers: ['n1', 'n.2'] }],
    ];
    for (const [endpoint, kind, body] of bounds) await expectRefused(endpoint, { kind, data: encode(body) });
    // Each command is within its bounds, all together are more than an entry holds.
    const value = 'v'.repeat(limits.valueBytes);
    const commands = [1, 2, 3].map((at) => [0, 'put', `k${at}`, value]);
    const reply = await mesh.plain.nats.request(batch.subject, encode({ commands }), { timeout: 30_000 });
    expectError('an entry too large', encode({ commands }), reply);
  });

  it('without a reply subject is counted in the statistics of the service', async () => {
    const errorsOf = async (): Promise<number> => {
      let errors = 0;
      for (const stats of await statistics()) for (const { num_errors } of stats.endpoints) errors += num_errors;
      return errors;
    };
    const had = await errorsOf();
    let sent = 0;
    for (const endpoint of endpoints()) {
      const refused = garbageFor(endpoint).filter(({ data }) => !isAccepted(endpoint, data));
      for (const { data } of refused) publish(endpoint.subject, data);
      // Answered after those: no flood, which would cost a leader its office on a slow machine.
      await expectRefused(endpoint, { kind: 'none', data: Uint8Array.of(0xc1) });
      sent += refused.length + 1;
    }
    await until(`${sent} errors are counted`, async () => {
      const has = (await errorsOf()) - had;
      if (has === sent) return true;
      throw new Error(`${has} are counted`);
    });
  });

  it('does not affect health and discovery, which ignore bodies', async () => {
    for (const { data } of garbageOf({ any: 'thing' }, random, 'msgpack')) {
      for (const name of names) {
        for (const actor of actorKinds) {
          const subject = `conclave.main.${name}.${actor}.health`;
          const { data: answer } = await mesh.plain.nats.request(subject, data, { timeout: 30_000 });
          expect(HealthReply.parse(decodeRequest(answer).value)).toMatchObject({ peer_id: name, actor, healthy: true });
        }
      }
      for (const subject of ['$SRV.PING', '$SRV.INFO.conclave', '$SRV.STATS.conclave']) {
        const { data: answer } = await mesh.plain.nats.request(subject, data, { timeout: 30_000 });
        expect(decodeRequest(answer).value).toMatchObject({ name: 'conclave' });
      }
    }
  });

  /** The reply of each of the three nodes to service discovery. */
  async function statistics(): Promise<{ endpoints: { num_errors: number }[] }[]> {
    const { nats } = mesh.plain;
    const inbox = createInbox();
    const replies: { endpoints: { num_errors: number }[] }[] = [];
    const all = new Promise<void>((resolve) => {
      nats.subscribe(inbox, {
        max: names.length,
        callback: (_error, message) => {
          replies.push(message.json());
          if (replies.length === names.length) resolve();
        },
      });
    });
    nats.publish('$SRV.STATS.conclave', '', { reply: inbox });
    await all;
    return replies;
  }
});

describe('garbage as events', () => {
  it('is counted by an observer, which continues, and received by nobody else', async () => {
    const observation = observe({ connection: mesh.plain.nats, groupId: 'main' });
    await observation.ready;
    let sent = 0;
    const bodies = Object.entries(events).map(([name, { schema }]) => {
      return [name, sample(schema, random, { group_id: 'another' })] as const;
    });
    for (const [name, body] of [...bodies, ['nonsense', {}] as const]) {
      for (const { data } of [...garbageOf(body, random, 'json'), overLarge(body, 'json')]) {
        publish(`conclave.main.event.${name}.n1`, data);
        sent += 1;
      }
      // It all comes back on this connection, and a server leaves who has 64 MiB to read.
      await mesh.plain.nats.flush();
    }
    expect(observation.malformed).toBe(sent);
    observation.close();
  });
});

describe('well-formed messages from elsewhere are dropped', () => {
  /** The fields that a message to this peer would have and that are none of these. */
  async function ownFields(peer: string): Promise<Record<string, unknown>> {
    const status = before[names.indexOf(peer)] as StatusReply;
    const other = before.find(({ peer_id, role }) => peer_id !== peer && role !== 'leader') as StatusReply;
    const { body } = await mesh.plain.ask(`${peer}.log-store.health`);
    return {
      group_id: 'main',
      store_id: status.store_id,
      session: status.session,
      after_session: status.session,
      refused_session: status.session,
      group_uid: status.group_uid,
      term: status.term,
      leader_term: status.term,
      leader_id: status.leader_id,
      peer_id: other.peer_id,
      candidate_id: other.peer_id,
      candidate_store_id: other.store_id,
      target_store_id: status.store_id,
      incarnation: body.incarnation,
      // As the first message of a link has it: whom an actor follows is decided there.
      link: 1,
      seq: 1,
      // Ids for which no call waits.
      request_id: 2 ** 40,
      election_id: 2 ** 40,
    };
  }

  /** Sends all messages that have one of these fields, to all peers, and lets the mesh run on for a while. */
  async function send(foreign: (own: Record<string, unknown>) => Fields): Promise<void> {
    for (const peer of names) {
      const own = await ownFields(peer);
      const other = foreign(own);
      for (const name of messageNames) {
        const { schema } = messages[name];
        const shape = Object.keys((schema as z.ZodObject).shape);
        // An acknowledgement reports the session of another process, and is true nevertheless.
        if (!shape.some((field) => field in other) || (name === 'feed.stored' && 'session' in other)) continue;
        const body = sample(schema, random, { ...own, ...other });
        expect(schema.safeParse(body).success, `a sample of ${name}`).toBe(true);
        const sender = namedSender({ name, body } as Message) ?? peer;
        for (let times = 0; times < 3; times++) publish(`conclave.main.${peer}.${name}.${sender}`, encode(body));
      }
    }
    await mesh.plain.nats.flush();
    await Promise.all(names.map((name) => ticks(name, 25)));
  }

  /** Settled after so many ticks of a node: more than an election timeout of them. */
  function ticks(name: string, count: number): Promise<void> {
    return new Promise((resolve) => {
      let received = 0;
      const subscription = mesh.plain.nats.subscribe(`conclave.main.${name}.log-store.tick.${name}`, {
        callback: () => {
          received += 1;
          if (received < count) return;
          subscription.unsubscribe();
          resolve();
        },
      });
    });
  }

  it('of another sender than the subject names (counted), or on a subject without a sender', async () => {
    for (const peer of names) {
      const own = await ownFields(peer);
      for (const name of messageNames) {
        const counts = (actor: ActorKind) => dropped(peer, actor).then((all) => all[`other_sender:${name}`] ?? 0);
        const had = await Promise.all(receivers(name).map(counts));
        const data = encode(sample(messages[name].schema, random, { ...own, term: 2 ** 40, leader_term: 2 ** 40 }));
        publish(`conclave.main.${peer}.${name}.stranger`, data);
        publish(`conclave.main.${peer}.${name}`, data);
        await mesh.plain.nats.flush();
        for (const [at, actor] of receivers(name).entries()) {
          await until(`the ${actor} of ${peer} has counted a ${name} of another sender`, async () => {
            expect(await counts(actor)).toBe((had[at] ?? 0) + 1);
            return true;
          });
        }
      }
    }
  });

  it('of another history of the group (group_uid)', () => send(() => ({ group_uid: 'another-history' })));

  it('of another store (store_id)', () => {
    const another = 'another-store';
    return send(() => ({ store_id: another, candidate_store_id: another, target_store_id: another }));
  });

  it('of an older session', () =>
    send((own) => {
      const older = (own.session as number) - 1;
      return { session: older, refused_session: older, after_session: older };
    }));

  it('of an older term', () =>
    send((own) => {
      const older = (own.term as number) - 1;
      return { term: older, leader_term: older };
    }));
});
