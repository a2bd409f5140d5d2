// Clients that know nothing but NATS and an encoding, as programs in any language would be: no code of Conclave.

import { Packr, Unpackr } from 'msgpackr';
import { errors, type NatsConnection } from 'nats';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type NatsServer, startNats } from '../support/nats.js';
import type { PlainClient } from '../support/plain-client.js';
import { Mesh, Stops, until } from './fault-mesh.js';
import { EventsSince } from './membership-stages.js';

/** What a client has to be able to write and read. */
interface Encoding {
  readonly name: string;
  encode(body: unknown): Uint8Array;
  decode(data: Uint8Array): unknown;
}

const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

const json: Encoding = {
  name: 'JSON',
  encode: (body) => new TextEncoder().encode(JSON.stringify(body)),
  decode: (data) => JSON.parse(new TextDecoder().decode(data)),
};
const msgpack: Encoding = {
  name: 'msgpack',
  encode: (body) => packr.pack(body),
  decode: (data) => unpackr.unpack(data),
};

/** What these tests look into, of all that is answered; without Conclave's types, a client takes it as it comes. */
interface Body {
  readonly value: string | Uint8Array | null;
  readonly revision: number;
  readonly client_id: number;
  readonly lease_id: string;
  readonly token: number;
  readonly holder: { readonly owner: string; readonly token: number } | null;
  readonly leader_id: string;
  readonly peer_id: string;
  readonly results: readonly (readonly [outcome: string, revision: number, changed: boolean])[];
  readonly found: readonly (readonly (string | number | null)[])[];
  readonly more: boolean;
  readonly configuration: { readonly peers: readonly { readonly peer_id: string }[] };
  readonly changes: readonly object[];
  readonly error: { readonly code: string; readonly message: string; readonly outcome: string };
}

interface Answer {
  readonly body: Body;
  /** The headers of an error; empty: none. */
  readonly error: string;
  readonly code: string;
}

async function ask(nats: NatsConnection, encoding: Encoding, subject: string, body: unknown = {}): Promise<Answer> {
  const reply = await nats.request(subject, encoding.encode(body), { timeout: 60_000 });
  return {
    body: encoding.decode(reply.data) as Body,
    error: reply.headers?.get('Nats-Service-Error') ?? '',
    code: reply.headers?.get('Nats-Service-Error-Code') ?? '',
  };
}

/** Resolves to true if NATS reports that nobody subscribes. */
function isUnanswered(asked: Promise<unknown>): Promise<boolean> {
  return asked.then(
    () => false,
    (error: unknown) => {
      if (error instanceof Error && error.cause instanceof errors.NoRespondersError) return true;
      throw error;
    },
  );
}

const founders = ['n1', 'n2', 'n3'];
const stops = new Stops();
let mesh: Mesh;
let plain: PlainClient;

beforeAll(async () => {
  const server: NatsServer = await startNats();
  stops.add(() => server.stop());
  mesh = await Mesh.open({ servers: [server], peers: founders, placement: 'one' });
  stops.add(() => mesh.stop());
  plain = mesh.plain;
  await mesh.start(...founders, 'n4');
  for (const peer of founders) {
    await until(`${peer} is open`, async () => ((await mesh.statusOnce(peer)).role !== 'opening' ? true : undefined));
  }
});

afterAll(() => stops.run());

describe('before there is a group', () => {
  test('a request to it fails at once without responders', async () => {
    expect(await isUnanswered(plain.ask('kv.put', { key: 'a', value: '1' }))).toBe(true);
    expect(await isUnanswered(plain.ask('admin.status'))).toBe(true);
  });

  test.each(['n.4', 'admin', 'kv', 'event', 'feed', '', 'n 4', 'n*', '>'])(
    'promise 25: it is not created with a peer named %j',
    async (name) => {
      const { body, errorCode } = await plain.ask('n1.admin.bootstrap', { peers: ['n1', name] });
      expect(errorCode).toBe(400);
      expect(body.error).toMatchObject({ code: 'EINVAL', outcome: 'not_done' });
      expect((await mesh.status('n1')).configuration).toBeNull();
    },
  );

  test('a bootstrap at one peer creates it, once', async () => {
    const { body } = await plain.ask('n1.admin.bootstrap', { peers: founders }, 60_000);
    expect(body).toMatchObject({ group_id: 'main', peers: founders, old_peers: [], founded: true });
    const again = await plain.ask('n2.admin.bootstrap', { peers: founders }, 60_000);
    expect(again.body).toMatchObject({ group_uid: body.group_uid, peers: founders, founded: false });
  });
});

describe.each([json, msgpack])('a client with $name', (encoding) => {
  const group = (rest: string, body?: unknown) => ask(plain.nats, encoding, `conclave.main.${rest}`, body);
  const key = `key-${encoding.name}`;

  afterEach(async () => {
    await plain.insist('admin.change_peers', { new_peers: founders });
  });

  test('puts, gets, swaps and deletes', async () => {
    const put = await group('kv.put', { key, value: 'eins ✓' });
    expect(put).toMatchObject({ error: '', code: '' });
    const { revision } = put.body;
    expect((await group('kv.get', { key })).body).toEqual({ key, value: 'eins ✓', revision });

    const swapped = await group('kv.cas', { key, value: 'zwei', expected_revision: revision });
    expect(swapped.body).toEqual({ swapped: true, revision: expect.any(Number) });
    expect(swapped.body.revision).toBeGreaterThan(revision);
    const refused = await group('kv.cas', { key, value: 'drei', expected_revision: revision });
    expect(refused).toMatchObject({ error: '', body: { swapped: false, revision: swapped.body.revision } });
    expect((await group('kv.get', { key })).body.value).toBe('zwei');

    expect((await group('kv.delete', { key })).body).toMatchObject({ deleted: true });
    expect((await group('kv.get', { key })).body).toEqual({ key, value: null, revision: 0 });
    expect((await group('kv.delete', { key })).body).toMatchObject({ deleted: false });
  });

  test('writes and reads several keys at once, also from a chosen peer', async () => {
    const commands = [
      [0, 'put', `${key}/1`, 'a'],
      [0, 'put', `${key}/2`, 'b'],
      [0, 'delete', `${key}/1`],
    ];
    const { results } = (await group('kv.batch', { commands })).body;
    expect(results.map(([outcome]) => outcome)).toEqual(['done', 'done', 'done']);
    const keys = [`${key}/1`, `${key}/2`];
    const { found } = (await group('kv.batch_get', { keys })).body;
    expect(found).toEqual([
      [null, 0],
      ['b', results[1]?.[1]],
    ]);
    await mesh.caughtUp('n2');
    const stale = await group('n2.kv.get', { key: `${key}/2`, consistency: 'stale' });
    expect(stale.body).toMatchObject({ value: 'b', revision: results[1]?.[1] });
  });

  test('reads a range page by page', async () => {
    const names = ['b', 'a', 'c\u{1f600}', 'c\uffff', 'c'];
    for (const name of names) await group('kv.put', { key: `${key}/range/${name}`, value: name });
    const prefix = `${key}/range/`;
    const first = (await group('kv.range', { prefix, limit: 3 })).body;
    expect(first).toMatchObject({ more: true, revision: expect.any(Number) });
    const last = first.found.at(-1)?.[0];
    const second = (await group('kv.range', { prefix, start_after: last, keys_only: true })).body;
    expect(second.more).toBe(false);
    const found = [...first.found, ...second.found];
    // In the order of UTF-8 bytes, which is not that of UTF-16 units.
    expect(found.map(([one]) => String(one).slice(prefix.length))).toEqual(['a', 'b', 'c', 'c\uffff', 'c\u{1f600}']);
    expect(found.map(([, value]) => value)).toEqual(['a', 'b', 'c', null, null]);
  });

  test('compares and then writes, atomically and once', async () => {
    const { client_id } = (await group('kv.open_session')).body;
    const [mine, shared] = [`${key}/mine`, `${key}/shared`];
    const transaction = {
      client_id,
      sequence: 1,
      compare: [[shared, 'revision', '=', 0]],
      then: [
        ['put', shared, 'v'],
        ['put', mine, 'w'],
        ['get', shared],
      ],
      else: [['get', shared]],
    };
    const first = await group('kv.txn', transaction);
    const { revision } = first.body;
    expect(first.body).toEqual({
      succeeded: true,
      revision,
      results: [
        ['put', revision - 1],
        ['put', revision],
        ['get', 'v', revision - 1],
      ],
    });
    expect(await group('kv.txn', transaction)).toEqual(first);
    const second = await group('kv.txn', { ...transaction, sequence: 2 });
    expect(second.body).toEqual({ succeeded: false, revision, results: [['get', 'v', revision - 1]] });
    const wrong = await group('kv.txn', { compare: [[shared, 'age', '>', 7]], then: [] });
    expect(wrong).toMatchObject({ code: '400', body: { error: { code: 'EINVAL', outcome: 'not_done' } } });
  });

  test('a key is deleted when its lease is not kept any more, and not before', async () => {
    // A slow machine may stand still for a second or two, and the kept one must not end meanwhile.
    const ttl = 4000;
    const { lease_id } = (await group('kv.lease_grant', { ttl_ms: ttl })).body;
    const { lease_id: kept } = (await group('kv.lease_grant', { ttl_ms: ttl })).body;
    await group('kv.put', { key: `${key}/leased`, value: 'v', lease_id });
    await group('kv.put', { key: `${key}/kept`, value: 'v', lease_id: kept });
    // A lease is shown by its number: the secret stays with whom it was granted to.
    const shown = (id: string) => Number(id.split('.')[0]);
    expect((await group('kv.lease_get', { lease_id })).body).toEqual({
      lease_id: shown(lease_id),
      ttl_ms: ttl,
      remaining_ms: expect.any(Number),
      keys: [`${key}/leased`],
      more: false,
    });
    await until('the key is gone', async () => {
      expect((await group('kv.lease_keep', { lease_id: kept })).error).toBe('');
      return (await group('kv.get', { key: `${key}/leased` })).body.value === null ? true : undefined;
    });
    expect(await group('kv.lease_keep', { lease_id })).toMatchObject({
      code: '404',
      body: { error: { code: 'ENOENT' } },
    });
    expect((await group('kv.get', { key: `${key}/kept` })).body.value).toBe('v');
    expect((await group('kv.lease_list')).body).toMatchObject({ leases: [[shown(kept), ttl, 1]], more: false });
    expect((await group('kv.lease_revoke', { lease_id: kept })).body).toMatchObject({ revoked: true });
    expect((await group('kv.get', { key: `${key}/kept` })).body.value).toBe(null);
  });

  test('promise 20: a lock whose lease ends is passed to the next client, with a higher token', async () => {
    const name = `lock-${key}`;
    const lease = async (ttl_ms: number) => (await group('kv.lease_grant', { ttl_ms })).body.lease_id;
    const [slow, quick] = [await lease(1000), await lease(60_000)];
    const first = await group('kv.lock', { name, owner: 'slow', lease_id: slow });
    expect(first.body).toMatchObject({ acquired: true, token: expect.any(Number) });
    const waiting = await group('kv.lock', { name, owner: 'quick', lease_id: quick, wait: true });
    expect(waiting.body).toMatchObject({ acquired: false, token: 0 });
    // The first one keeps its lease no longer.
    const { token } = await until('the lock is passed on', async () => {
      const { holder } = (await group('kv.lock_get', { name })).body;
      return holder?.owner === 'quick' ? holder : undefined;
    });
    expect(token).toBeGreaterThan(first.body.token);
    const write = async (holder: string, compared: number) => {
      const compare = [[name, 'lock', '=', compared]];
      return (await group('kv.txn', { compare, then: [['put', `${key}/guarded`, holder]] })).body;
    };
    expect(await write('quick', token)).toMatchObject({ succeeded: true });
    expect(await write('slow', first.body.token)).toMatchObject({ succeeded: false });
    expect((await group('kv.get', { key: `${key}/guarded` })).body.value).toBe('quick');
    const unlock = { name, lease_id: quick };
    expect((await group('kv.unlock', { ...unlock, token: first.body.token })).body).toMatchObject({ released: false });
    expect(await group('kv.unlock', { name, token })).toMatchObject({
      code: '400',
      body: { error: { code: 'EINVAL', outcome: 'not_done' } },
    });
    expect((await group('kv.unlock', { ...unlock, token })).body).toMatchObject({ released: true });
    expect((await group('kv.lock_get', { name })).body).toMatchObject({ holder: null, waiting: 0 });
    await group('kv.lease_revoke', { lease_id: quick });
  });

  test('a write that is sent twice in a session happens once', async () => {
    const { client_id } = (await group('kv.open_session')).body;
    const write = { key, value: 'once', client_id, sequence: 1 };
    const first = await group('kv.put', write);
    const second = await group('kv.put', write);
    expect(second).toEqual(first);
    expect((await group('kv.get', { key })).body.revision).toBe(first.body.revision);
  });

  test('a plain NATS client adds, changes and removes peers, and receives the events', async () => {
    const events = new EventsSince(mesh);

    const added = await group('admin.add_peer', { peer_id: 'n4' });
    expect(added).toMatchObject({ error: '', body: { old_peers: founders, new_peers: [...founders, 'n4'] } });
    const changed = await group('admin.change_peers', { new_peers: ['n1', 'n2', 'n4', 'n3'] });
    expect(changed.body).toEqual({ old_peers: [...founders, 'n4'], new_peers: [...founders, 'n4'] });
    const removed = await group('admin.remove_peer', { peer_id: 'n4' });
    expect(removed.body).toEqual({ old_peers: [...founders, 'n4'], new_peers: founders });

    const status = await group('admin.status');
    expect(status.body).toMatchObject({ group_id: 'main', role: 'leader', stage: 'none' });
    expect(status.body.configuration.peers.map(({ peer_id }) => peer_id)).toEqual(founders);
    expect(status.body.changes.slice(-2)).toMatchObject([
      { new_peers: [...founders, 'n4'], state: 'done' },
      { new_peers: founders, state: 'done' },
    ]);
    const leader = status.body.peer_id;
    await events.received('stage_changed', { peer_id: leader, stage: 'none', new_peers: founders });
    // A single peer needs no joint stage.
    expect(events.storyOf(leader)).toEqual([
      'stage catching_up',
      'stage stable',
      'appended n1,n2,n3,n4',
      'committed n1,n2,n3,n4',
      'stage none',
      'stage catching_up',
      'stage stable',
      'appended n1,n2,n3',
      'committed n1,n2,n3',
      'stage none',
    ]);
    for (const { body } of events.all) {
      expect(body).toMatchObject({ group_id: 'main', peer_id: expect.any(String), term: expect.any(Number) });
      expect(new Date(String(body.time)).toISOString()).toBe(body.time);
    }
  });

  test('transfers leadership, and asks a peer for the leader', async () => {
    const { peer_id: leader } = (await group('admin.status')).body;
    const next = founders.find((peer) => peer !== leader);
    expect(await group('admin.transfer_leader', { peer_id: next })).toEqual({ body: {}, error: '', code: '' });
    await until('all know the new leader', async () => {
      const answers = await Promise.all(founders.map((peer) => group(`${peer}.admin.get_leader`)));
      return answers.every(({ body }) => body.leader_id === next) ? true : undefined;
    });
  });

  test.each([
    ['a key is missing', 'kv.get', {}, 'EINVAL', 400],
    ['a value is of no such type', 'kv.put', { key: 'a', value: 1 }, 'EINVAL', 400],
    ['a consistency is unheard of', 'kv.get', { key: 'a', consistency: 'perhaps' }, 'EINVAL', 400],
    ['no peer is named', 'admin.add_peer', {}, 'EINVAL', 400],
    ['a group of nobody', 'admin.change_peers', { new_peers: [] }, 'EINVAL', 400],
    ['a peer is listed twice', 'admin.change_peers', { new_peers: ['n1', 'n1'] }, 'EINVAL', 400],
    ['there is no such operation', 'kv.increment', { key: 'a' }, 'ENOENT', 404],
    ['there is no such command', 'admin.explode', {}, 'ENOENT', 404],
    ['there is no change', 'admin.cancel_change', {}, 'ENOENT', 404],
    ['another is meant to lead', 'admin.remove_peer', { peer_id: 'n3', leader_id: 'n4' }, 'EPERM', 421],
    ['a peer is asked to write', 'n2.kv.put', { key: 'a', value: '1' }, 'EPERM', 421],
    ['nobody there to catch up', 'admin.add_peer', { peer_id: 'n9', timeout_ms: 300 }, 'ECATCHUP', 504],
  ])('an error has a code, a sentence and an outcome: %s', async (_why, rest, body, code, status) => {
    const answer = await group(rest, body);
    expect(answer.code).toBe(String(status));
    expect(answer.error).toMatch(new RegExp(`^${code}: .+`));
    expect(answer.body.error).toMatchObject({ code, message: expect.any(String), outcome: 'not_done' });
    expect(answer.error).toBe(`${code}: ${answer.body.error.message}`);
  });

  test.each(['n.4', 'admin', 'kv', 'event', 'feed', '', 'n 4', 'n*', '>', 'ñ4', 'n\n4', 'n'.repeat(1000)])(
    'promise 25: a peer is not added under the name %j',
    async (name) => {
      const before = await mesh.leaderStatus();
      const requests = [
        group('admin.add_peer', { peer_id: name }),
        group('admin.remove_peer', { peer_id: name }),
        group('admin.change_peers', { new_peers: ['n1', name] }),
        group('admin.transfer_leader', { peer_id: name }),
      ];
      for (const { code, body } of await Promise.all(requests)) {
        expect(code).toBe('400');
        expect(body.error).toMatchObject({ code: 'EINVAL', outcome: 'not_done' });
      }
      const after = await mesh.leaderStatus();
      expect(after.configuration).toEqual(before.configuration);
      expect(after.changes).toEqual(before.changes);
    },
  );
});

describe('one encoding only', () => {
  test('msgpack has bytes, which JSON reads as base64', async () => {
    const value = new Uint8Array([0, 255, 123, 10]);
    const { body } = await ask(plain.nats, msgpack, 'conclave.main.kv.put', { key: 'bytes', value });
    expect(body.revision).toBeGreaterThan(0);
    const found = await ask(plain.nats, msgpack, 'conclave.main.kv.get', { key: 'bytes' });
    expect(new Uint8Array(found.body.value as Uint8Array)).toEqual(value);
    const asJson = await ask(plain.nats, json, 'conclave.main.kv.get', { key: 'bytes' });
    expect(asJson.body.value).toBe('AP97Cg==');
  });

  test('an empty request is an empty map', async () => {
    const reply = await plain.nats.request('conclave.main.admin.status', new Uint8Array());
    expect(reply.headers).toBeUndefined();
    expect(reply.json()).toMatchObject({ role: 'leader' });
  });
});

describe('discovery of NATS micro services', () => {
  /** One answer of each peer, by its name. */
  async function discover(verb: string): Promise<Map<string, Record<string, never>>> {
    const found = new Map<string, Record<string, never>>();
    const replies = await plain.nats.requestMany(`$SRV.${verb}.conclave`, '', {
      strategy: 'count',
      maxMessages: 4,
      maxWait: 30_000,
    });
    for await (const reply of replies) {
      const body = reply.json<{ metadata: { peer_id: string } } & Record<string, never>>();
      found.set(body.metadata.peer_id, body);
    }
    return found;
  }

  test('each peer answers PING and INFO', async () => {
    for (const [verb, type] of [
      ['PING', 'ping'],
      ['INFO', 'info'],
    ] as const) {
      const found = await discover(verb);
      expect([...found.keys()].sort()).toEqual([...founders, 'n4']);
      for (const [peer_id, body] of found) {
        expect(body).toMatchObject({
          type: `io.nats.micro.v1.${type}_response`,
          name: 'conclave',
          id: expect.stringMatching(/^[A-Za-z0-9_-]+$/),
          version: expect.stringMatching(/^\d+\.\d+\.\d+/),
          metadata: { group_id: 'main', peer_id },
        });
      }
    }
  });

  test('STATS has role, term, commit index and lag of each peer; only the leader has the group’s endpoints', async () => {
    const { peer_id: leader, term, commit_index } = await mesh.leaderStatus();
    const found = await discover('STATS');
    expect([...found.keys()].sort()).toEqual([...founders, 'n4']);
    for (const [peer, body] of found) {
      expect(body).toMatchObject({ type: 'io.nats.micro.v1.stats_response', started: expect.any(String) });
      const endpoints = body.endpoints as unknown as { subject: string; num_requests: number; data: object }[];
      const subjects = endpoints.map(({ subject }) => subject);
      expect(subjects).toContain(`conclave.main.${peer}.admin.*`);
      expect(subjects.includes('conclave.main.kv.*')).toBe(peer === leader);
      for (const { data, num_requests } of endpoints) {
        expect(num_requests).toBeGreaterThanOrEqual(0);
        expect(data).toMatchObject({ commit_index: expect.any(Number), lag: expect.any(Number) });
        if (founders.includes(peer)) {
          expect(data).toMatchObject({ role: peer === leader ? 'leader' : 'follower', term, leader_id: leader });
        }
      }
    }
    const [ofLeader] = (found.get(leader)?.endpoints ?? []) as unknown as { data: { commit_index: number } }[];
    expect(ofLeader?.data.commit_index).toBeGreaterThanOrEqual(commit_index);
  });
});

describe('without a quorum', () => {
  test('an isolated leader stops serving: a request has no responders', async () => {
    const { peer_id: leader } = await mesh.leaderStatus();
    const events = new EventsSince(mesh);

    await mesh.kill(...founders.filter((peer) => peer !== leader));

    await events.received('leader_stepped_down', { peer_id: leader });
    await until('nobody answers for the group', async () =>
      (await isUnanswered(plain.ask('kv.get', { key: 'a' }))) ? true : undefined,
    );
    // Each peer still replies for itself.
    expect(await mesh.statusOnce(leader)).toMatchObject({ role: expect.not.stringMatching('leader'), leader_id: '' });
    await mesh.start(...founders);
    await plain.insist('kv.get', { key: 'a' });
  });
});
