import { Connection, InProcessTransport, type LineLog, RequestServer, silentLog } from '@conclave/actor';
import type { Service } from '@conclave/actor/core';
import {
  asGroupId,
  asPeerId,
  ConclaveError,
  decode,
  encode,
  type GroupUid,
  limits,
  type Outcome,
  StatusReply,
  Subjects,
} from '@conclave/protocol';
import { NatsLogin } from '@conclave/protocol/login';
import { connect, headers, type Msg, type NatsConnection } from 'nats';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type NatsServer, startNats } from '../../../test/support/nats.js';
import { NodeActor, type NodeEffect, type NodeInput, ProcessAppends, type ServingCore } from '../src/index.js';

const groupId = asGroupId('g');
const peerId = asPeerId('n1');

/** What the core says of a write that there is no room for. */
let overload: Outcome = 'not_done';

/** A core that does what the test orders, so that only the shell is tested. */
class ScriptedCore implements ServingCore {
  readonly received: NodeInput[] = [];
  readonly uncommittedAppends = 0;
  constructor(private readonly script: (input: NodeInput) => readonly NodeEffect[]) {}

  step(input: NodeInput): readonly NodeEffect[] {
    if (input.type !== 'idle') this.received.push(input);
    return this.script(input);
  }
  health() {
    return { healthy: true, reason: '' };
  }
  outcomeOfOverload() {
    return overload;
  }
  measurements(): never {
    throw new Error('no test asks for metrics');
  }
  summary() {
    return {
      role: 'leader',
      term: 7,
      leader_id: 'n2',
      commit_index: 12,
      applied_index: 10,
      last_index: 13,
      group_uid: 'history-1' as GroupUid,
      level: 0,
    };
  }
}

/** Writes what it is given, and answers with the result. */
const service: Service = {
  reads: (operation) => operation === 'read' || operation === 'watch',
  parse: (operation, body) => {
    if (operation === 'throw') throw new TypeError('unforeseen');
    if (operation === 'bad') throw new ConclaveError('EINVAL', 'that is no request\r\nat all');
    if (operation === 'read') {
      return { type: 'read', consistency: 'linearizable', query: body, reply: (result) => ({ result }) };
    }
    if (operation === 'watch') {
      const { id, from } = body as { id: string; from: number };
      return { type: 'watch', watchId: id, selector: 'a', from, reply: ({ after }) => ({ after }) };
    }
    return {
      type: 'write',
      payload: encode(body),
      command: body,
      reply: (result) => {
        if (result === 'refused') throw new ConclaveError('ESESSION', 'the session has expired', 'unknown');
        return { result };
      },
    };
  },
};

const status: StatusReply = StatusReply.parse({
  group_id: 'g',
  group_uid: 'u',
  peer_id: 'n2',
  store_id: 's',
  session: 1,
  role: 'leader',
  term: 7,
  leader_id: 'n2',
  configuration: null,
  configuration_index: 0,
  stage: 'none',
  first_index: 1,
  last_index: 0,
  commit_index: 0,
  applied_index: 0,
  snapshot: null,
  taking: null,
  restoring: null,
  installing: null,
  lacking: { peers: [], old_peers: [] },
  progress: [],
  changes: [],
  health: { healthy: true, reason: '' },
  restart: [],
  read_only: '',
  disk_free_bytes: null,
  dropped: {},
});

let server: NatsServer;
let connection: Connection;
let client: NatsConnection;
let node: NodeActor;
let cores: ScriptedCore[];
let script: (input: NodeInput) => readonly NodeEffect[];
let failures: unknown[];

beforeAll(async () => {
  server = await startNats();
});
afterAll(async () => {
  await server.stop();
});

beforeEach(async () => {
  connection = await Connection.open({ login: NatsLogin.of({ servers: server.url }), name: 'n1', log: silentLog });
  client = await connect({ servers: server.url });
  cores = [];
  failures = [];
  script = answerAll;
});
afterEach(async () => {
  await node.stop();
  await client.close();
  await connection.close();
  expect(failures).toEqual([]);
});

/** Replies to each request with its own body. */
function answerAll(input: NodeInput): readonly NodeEffect[] {
  switch (input.type) {
    case 'start':
      return [{ type: 'serve', group: true }];
    case 'admin':
      return [{ type: 'reply', requestId: input.requestId, result: { command: input.command, body: input.body } }];
    case 'propose':
      return [{ type: 'reply', requestId: input.requestId, result: input.command }];
    case 'read':
      return [
        { type: 'reply', requestId: input.requestId, result: { addressee: input.addressee, query: input.query } },
      ];
    default:
      return [];
  }
}

/** Starts the node; resolves when it serves the group's subjects, if it does. */
async function start(log: LineLog = silentLog): Promise<void> {
  const subjects = new Subjects();
  node = new NodeActor(
    {
      groupId,
      peerId,
      actor: 'node',
      incarnation: 'i1',
      transport: new InProcessTransport(),
      log,
      fail: (error) => failures.push(error),
    },
    {
      makeCore: () => {
        const core = new ScriptedCore((input) => script(input));
        cores.push(core);
        return core;
      },
      appends: new ProcessAppends(),
      service,
      connection,
      requests: new RequestServer(connection, subjects, log),
      version: '1.2.3',
    },
  );
  node.start();
  // The first step has been taken when the turn after this one comes.
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  await connection.settled();
}

interface Answer {
  readonly body: unknown;
  readonly header: string | undefined;
  readonly code: string | undefined;
}

async function ask(subject: string, body: unknown): Promise<Answer> {
  const data = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
  return answerOf(await client.request(subject, data, { timeout: 5000 }));
}

function answerOf(reply: Msg): Answer {
  const json = reply.data[0] === 0x7b;
  return {
    body: json ? reply.json() : decode(reply.data),
    header: reply.headers?.get('Nats-Service-Error'),
    code: reply.headers?.get('Nats-Service-Error-Code'),
  };
}

function refusal(code: string, status: number, message: string, more: Record<string, unknown> = {}): Answer {
  const header = `${code}: ${message}`.replace(/[\r\n]+/g, ' ');
  return { body: { error: { code, message, outcome: 'not_done', ...more } }, header, code: String(status) };
}

const fine = { header: undefined, code: undefined };

describe('the requests to a node', () => {
  it('accepts commands as JSON and as msgpack, and replies in the same encoding', async () => {
    await start();
    const body = { peer_id: 'n4' };
    const expected = { body: { command: 'add_peer', body }, ...fine };
    expect(await ask('conclave.g.admin.add_peer', body)).toEqual(expected);
    const packed = await client.request('conclave.g.admin.add_peer', encode(body));
    expect(packed.data[0]).not.toBe(0x7b);
    expect(answerOf(packed)).toEqual(expected);
    expect(await ask('conclave.g.admin.status', '')).toEqual({ body: { command: 'status', body: {} }, ...fine });
    expect(cores[0]?.received[1]).toEqual({
      type: 'admin',
      requestId: 1,
      addressee: 'group',
      command: 'add_peer',
      body,
    });
  });

  it.each([
    ['JSON', (body: unknown) => JSON.stringify(body)],
    ['msgpack', encode],
  ])('publishes for a watch that was asked for as %s in kind', async (_name, encoded) => {
    script = (input) => {
      if (input.type !== 'watch') return answerAll(input);
      const { requestId, watchId, encoding, from = 1 } = input;
      const changes = [[from, 'put', 'a', new Uint8Array([1, 2])]];
      const reply = { type: 'reply', requestId, result: { after: from - 1, revision: from, renewMs: 1 } } as const;
      return [reply, { type: 'publish', watchId, encoding, body: { after: from - 1, revision: from, changes } }];
    };
    await start();
    const messages = client.subscribe('conclave.g.watch.w1', { max: 1 });
    const reply = await client.request('conclave.g.kv.watch', encoded({ id: 'w1', from: 7 }));
    expect(answerOf(reply)).toEqual({ body: { after: 6 }, ...fine });
    const isJson = reply.data[0] === 0x7b;
    for await (const { data } of messages) {
      expect(data[0] === 0x7b).toBe(isJson);
      const value = isJson ? 'AQI=' : new Uint8Array([1, 2]);
      const body = { after: 6, revision: 7, changes: [[7, 'put', 'a', value]] };
      expect(isJson ? JSON.parse(Buffer.from(data).toString()) : decode(data)).toEqual(body);
    }
    expect(await ask('conclave.g.n1.kv.watch', { id: 'w1', from: 7 })).toMatchObject({
      body: { error: { code: 'EPERM', outcome: 'not_done', leader_id: 'n2' } },
    });
  });

  it('promise 35: learns from NATS that no client is subscribed to what it publishes for a watch', async () => {
    const body = { after: 1, revision: 2, changes: [] };
    let unheard: (watchId: string) => void;
    const received = new Promise<string>((resolve) => {
      unheard = resolve;
    });
    script = (input) => {
      if (input.type === 'watch_without_subscribers') unheard(input.watchId);
      if (input.type !== 'watch') return answerAll(input);
      const publish = (watchId: string) => ({ type: 'publish', watchId, encoding: input.encoding, body }) as const;
      return [publish('me.subscribed'), publish('me.gone')];
    };
    await start();
    const messages = client.subscribe('conclave.g.watch.me.subscribed', { max: 1 });
    client.publish('conclave.g.kv.watch', JSON.stringify({ id: 'me.subscribed' }));
    for await (const message of messages) expect(message.json()).toEqual(body);
    expect(await received).toBe('me.gone');
  });

  it('continues a watch in JSON without a change that is too large for a message', async () => {
    script = (input) => {
      if (input.type !== 'watch') return answerAll(input);
      // Each of these takes six bytes in JSON.
      const changes = [[3, 'put', 'a', '\u0001'.repeat(limits.valueBytes)]];
      const body = { after: 2, revision: 3, changes };
      const small = { after: 3, revision: 4, changes: [[4, 'put', 'a', 'small']] };
      const { watchId, encoding } = input;
      return [
        { type: 'publish', watchId, encoding, body },
        { type: 'publish', watchId, encoding, body: small },
      ];
    };
    await start();
    const messages = client.subscribe('conclave.g.watch.w1', { max: 2 });
    client.publish('conclave.g.kv.watch', JSON.stringify({ id: 'w1', from: 3 }));
    const bodies: unknown[] = [];
    for await (const message of messages) bodies.push(message.json());
    expect(bodies).toEqual([
      // This service does not say how to make a change smaller.
      { after: 2, revision: 3, changes: [], omitted: 1 },
      { after: 3, revision: 4, changes: [[4, 'put', 'a', 'small']] },
    ]);
  });

  it('accepts each command on its subject, and refuses it on others', async () => {
    await start();
    expect(await ask('conclave.g.n1.admin.get_leader', {})).toMatchObject(fine);
    expect(await ask('conclave.g.n1.admin.status', {})).toMatchObject(fine);
    expect(await ask('conclave.g.n1.admin.add_peer', { peer_id: 'n4' })).toEqual(
      refusal('ENOENT', 404, 'add_peer is a command on <group>.admin'),
    );
    expect(await ask('conclave.g.admin.bootstrap', { peers: ['n1'] })).toEqual(
      refusal('ENOENT', 404, 'bootstrap is a command on <group>.<peer>.admin'),
    );
    expect(await ask('conclave.g.admin.constructor', {})).toEqual(
      refusal('ENOENT', 404, 'there is no command "constructor"'),
    );
  });

  it('refuses what is malformed with EINVAL, and nothing of it reaches the core', async () => {
    await start();
    const { received } = cores[0] as ScriptedCore;
    for (const bad of [
      '{',
      '[1]',
      '{"peer_id": "a.b"}',
      '{"peer_id": 7}',
      '{"peer_id": "feed"}',
      '{}',
      '  ',
      'garbage',
    ]) {
      const { body, code } = await ask('conclave.g.admin.add_peer', bad);
      expect(body).toMatchObject({ error: { code: 'EINVAL', outcome: 'not_done' } });
      expect(code).toBe('400');
    }
    for (const bad of [new Uint8Array([0xc1]), new Uint8Array([0xde, 0xff, 0xff]), encode([1]), encode('text')]) {
      const { body, code } = await ask('conclave.g.admin.add_peer', bad);
      expect(body).toMatchObject({ error: { code: 'EINVAL', outcome: 'not_done' } });
      expect(code).toBe('400');
    }
    expect(received.map(({ type }) => type)).toEqual(['start']);
  });

  it('passes writes and reads to the core, and returns its results', async () => {
    await start();
    const body = { key: 'a' };
    expect(await ask('conclave.g.kv.put', body)).toEqual({ body: { result: body }, ...fine });
    expect(await ask('conclave.g.kv.read', body)).toEqual({
      body: { result: { addressee: 'group', query: body } },
      ...fine,
    });
    expect(await ask('conclave.g.n1.kv.read', body)).toEqual({
      body: { result: { addressee: 'peer', query: body } },
      ...fine,
    });
  });

  it('refuses requests that the service refuses, or that are addressed to a peer although the leader answers', async () => {
    await start();
    expect(await ask('conclave.g.kv.bad', {})).toEqual(refusal('EINVAL', 400, 'that is no request\r\nat all'));
    expect(await ask('conclave.g.kv.throw', {})).toEqual(
      refusal('ESTATEMACHINE', 500, 'the request could not be understood'),
    );
    expect(await ask('conclave.g.n1.kv.put', {})).toEqual(
      refusal('EPERM', 421, 'a write goes to <group>.kv, which the leader answers', { leader_id: 'n2' }),
    );
    expect(cores[0]?.received.length).toBe(1);
  });

  it('returns the refusals of the core, and those of the reply', async () => {
    script = (input) => {
      if (input.type === 'admin') {
        const error = { code: 'EBUSY', message: 'a change is in progress', outcome: 'not_done' } as const;
        return [{ type: 'refuse', requestId: input.requestId, error }];
      }
      if (input.type === 'propose') return [{ type: 'reply', requestId: input.requestId, result: 'refused' }];
      return answerAll(input);
    };
    await start();
    expect(await ask('conclave.g.admin.cancel_change', {})).toEqual(refusal('EBUSY', 429, 'a change is in progress'));
    expect(await ask('conclave.g.kv.put', {})).toEqual(
      refusal('ESESSION', 440, 'the session has expired', { outcome: 'unknown' }),
    );
  });

  it('refuses a request whose reply would be too large', async () => {
    script = (input) => {
      if (input.type !== 'read' && input.type !== 'propose') return answerAll(input);
      return [{ type: 'reply', requestId: input.requestId, result: new Uint8Array(limits.messageBytes) }];
    };
    await start();
    const message = 'the reply is too large for a message: ask for less';
    expect(await ask('conclave.g.kv.read', encode({}))).toEqual(refusal('EINVAL', 400, message));
    expect(await ask('conclave.g.kv.put', encode({}))).toEqual(refusal('EINVAL', 400, message, { outcome: 'unknown' }));
  });

  it('does what is asked without a reply subject', async () => {
    const lines: string[] = [];
    await start({ write: (level, text) => lines.push(`${level}: ${text}`) });
    client.publish('conclave.g.admin.add_peer', '{"peer_id":"n4"}');
    client.publish('conclave.g.admin.add_peer', 'garbage');
    expect(await ask('conclave.g.admin.status', {})).toMatchObject(fine);
    expect(cores[0]?.received.map((input) => (input.type === 'admin' ? input.command : input.type))).toEqual([
      'start',
      'add_peer',
      'status',
    ]);
    expect(lines).toContain('warn: a request without a reply subject was refused');
  });

  it('promise 28: refuses what is past the bound of waiting requests before it is decoded', async () => {
    script = (input) => (input.type === 'propose' ? [] : answerAll(input));
    await start();
    for (let request = 0; request < limits.openRequests; request++) client.publish('conclave.g.kv.put', '{}');
    const message = `${limits.openRequests} requests, or their bytes, are waiting for their replies`;
    overload = 'unknown';
    expect(await ask('conclave.g.kv.put', {})).toEqual(refusal('EBUSY', 429, message, { outcome: 'unknown' }));
    expect(await ask('conclave.g.n1.kv.read', {})).toEqual(refusal('EBUSY', 429, message));
    overload = 'not_done';
    expect(await ask('conclave.g.kv.put', '{ no JSON')).toEqual(refusal('EBUSY', 429, message));
  });

  it('promise 28: answers what NATS had sent before it unsubscribed', async () => {
    const ends: NodeEffect = { type: 'serve', group: false };
    script = (input) => (input.type === 'propose' ? [ends, ...answerAll(input)] : answerAll(input));
    await start();
    const asked = Array.from({ length: 500 }, () => ask('conclave.g.kv.put', {}));
    const answers = await Promise.all(asked.map((one) => one.catch((error: Error) => error.message)));
    // Which of them the server had read by then is the server's choice: of the others it says itself that nobody is there.
    const sent = answers.filter((answer) => typeof answer !== 'string');
    expect(new Set(answers.filter((answer) => typeof answer === 'string'))).toSatisfy(areNoResponders);
    expect(sent.length).toBeGreaterThan(1);
    for (const answer of sent) expect(answer).toMatchObject(fine);
    await expect(client.request('conclave.g.kv.put')).rejects.toThrow('no responders');
  });

  it('answers on the group’s subjects only while the core serves it', async () => {
    script = (input) => {
      if (input.type !== 'admin' || input.addressee === 'group') return answerAll(input);
      return [
        { type: 'serve', group: input.command === 'get_leader' },
        { type: 'serve', group: input.command === 'get_leader' },
        { type: 'reply', requestId: input.requestId, result: {} },
      ];
    };
    await start();
    expect(await ask('conclave.g.admin.status', {})).toMatchObject(fine);
    await ask('conclave.g.n1.admin.status', {});
    await expect(client.request('conclave.g.admin.status')).rejects.toThrow('no responders');
    await expect(client.request('conclave.g.kv.put')).rejects.toThrow('no responders');
    await ask('conclave.g.n1.admin.get_leader', {});
    await connection.settled();
    expect(await ask('conclave.g.admin.status', {})).toMatchObject(fine);
  });

  it('publishes events as JSON with group, peer, term and time', async () => {
    script = (input) => {
      if (input.type !== 'admin') return answerAll(input);
      const detail = { peers: [peerId], old_peers: [] };
      return [{ type: 'event', event: { name: 'leader_elected', detail } }, ...answerAll(input)];
    };
    await start();
    const event = new Promise<Msg>((resolve) => {
      client.subscribe('conclave.g.event.>', { callback: (_error, message) => resolve(message) });
    });
    await ask('conclave.g.admin.status', {});
    const published = await event;
    expect(published.subject).toBe('conclave.g.event.leader_elected.n1');
    const body = published.json<Record<string, unknown>>();
    expect(body).toMatchObject({ group_id: 'g', peer_id: 'n1', term: 7, peers: ['n1'], old_peers: [] });
    expect(Number.isNaN(Date.parse(String(body.time)))).toBe(false);
  });

  it('publishes the outcome of each admin command that changes something, and its sender as far as that is known', async () => {
    const error = { code: 'EBUSY', message: 'a change is in progress', outcome: 'unknown' } as const;
    script = (input) => {
      if (input.type !== 'admin' || input.command !== 'add_peer') return answerAll(input);
      return [{ type: 'refuse', requestId: input.requestId, error }];
    };
    await start();
    const seen: unknown[] = [];
    client.subscribe('conclave.g.event.admin_command.n1', {
      callback: (_error, message) => {
        const { command, outcome, code, caller } = message.json<Record<string, unknown>>();
        seen.push([command, outcome, code, caller]);
      },
    });
    const send = async (command: string, body: unknown, header?: readonly [string, string]) => {
      const named = headers();
      if (header !== undefined) named.set(...header);
      await client.request(`conclave.g.admin.${command}`, JSON.stringify(body), { headers: named, timeout: 5000 });
    };
    await send('status', {});
    await send('cancel_change', {});
    await send('add_peer', { peer_id: 'n4' }, ['Conclave-Caller', 'me@here']);
    await send('transfer_leader', {}, ['Nats-Request-Info', '{"acc":"OPS","user":"ann","rtt":1}']);
    await send('transfer_leader', {}, ['Nats-Request-Info', 'nonsense']);
    await send('add_peer', { peer_id: 'no name' });
    await client.flush();
    expect(seen).toEqual([
      ['cancel_change', 'done', '', { name: '', source: 'unknown' }],
      ['add_peer', 'unknown', 'EBUSY', { name: 'me@here', source: 'named' }],
      // Without a service import that header is the sender's own.
      ['transfer_leader', 'done', '', { name: '', source: 'unknown' }],
      ['transfer_leader', 'done', '', { name: '', source: 'unknown' }],
    ]);
  });

  it('asks the group for its status, and passes the core the answer, or that no leader answers', async () => {
    const answers: unknown[] = [];
    let answered = (): void => undefined;
    script = (input) => {
      if (input.type === 'start') return [];
      if (input.type === 'group_answered') {
        answers.push([input.askId, input.round, input.status, input.hosts]);
        answered();
        return [];
      }
      if (input.type !== 'admin') return [];
      return [{ type: 'ask_group', askId: answers.length + 1, round: 5 }, ...answerAll(input)];
    };
    await start();
    const next = () =>
      new Promise<void>((resolve) => {
        answered = resolve;
      });
    const nobody = next();
    await ask('conclave.g.n1.admin.status', {});
    await nobody;
    client.subscribe('conclave.g.admin.status', {
      callback: (_error, message) => {
        message.respond(encode(status));
      },
    });
    await client.flush();
    const request = next();
    await ask('conclave.g.n1.admin.status', {});
    await request;
    expect(answers).toEqual([
      [1, 5, null, []],
      [2, 5, status, []],
    ]);
  });

  it('restarts with a new core when the core requests it; open requests are refused with an unknown outcome', async () => {
    script = (input) => {
      if (input.type === 'propose') return [];
      if (input.type === 'admin') return [{ type: 'restart', reason: 'the log-store restarted' }];
      return answerAll(input);
    };
    await start();
    const open = ask('conclave.g.kv.put', {});
    client.publish('conclave.g.n1.admin.status');
    const message = 'this peer’s node restarts: the log-store restarted';
    expect(await open).toEqual(refusal('EPERM', 421, message, { outcome: 'unknown' }));
    expect(cores.length).toBe(2);
    script = answerAll;
    await connection.settled();
    expect(await ask('conclave.g.kv.put', { key: 'a' })).toMatchObject(fine);
    expect(cores[1]?.received.map(({ type }) => type)).toEqual(['start', 'propose']);
  });
});

describe('what changes nothing and fails', () => {
  it('is not done, never unknown, when the node restarts or the process stops', async () => {
    script = (input) => {
      if (input.type === 'admin' && input.command === 'get_leader') return [{ type: 'restart', reason: 'a snapshot' }];
      return input.type === 'start' ? answerAll(input) : [];
    };
    const asks = () =>
      ['kv.read', 'kv.watch', 'admin.status', 'admin.check'].map((rest) =>
        ask(`conclave.g.${rest}`, rest === 'kv.watch' ? { id: 'o.w', from: 1 } : {}),
      );
    await start();
    const open = asks();
    await client.flush();
    client.publish('conclave.g.n1.admin.get_leader');
    for (const answer of await Promise.all(open)) {
      expect(answer).toMatchObject({ body: { error: { code: 'EPERM', outcome: 'not_done' } } });
    }
    await connection.settled();
    const more = asks();
    await client.flush();
    await connection.settled();
    await node.stop();
    for (const answer of await Promise.all(more)) {
      expect(answer).toMatchObject({ body: { error: { code: 'ESHUTDOWN', outcome: 'not_done' } } });
    }
  });

  it('is not done either if the core reports it as unknown', async () => {
    script = (input) =>
      'requestId' in input
        ? [{ type: 'refuse', requestId: input.requestId, error: { code: 'EBUSY', message: 'm', outcome: 'unknown' } }]
        : answerAll(input);
    await start();
    const outcome = async (rest: string) => (await ask(`conclave.g.${rest}`, {})).body;
    expect(await outcome('admin.check')).toMatchObject({ error: { outcome: 'not_done' } });
    expect(await outcome('kv.read')).toMatchObject({ error: { outcome: 'not_done' } });
    expect(await outcome('kv.put')).toMatchObject({ error: { outcome: 'unknown' } });
  });
});

describe('a node in service discovery', () => {
  it('answers PING, INFO and STATS by ADR-32', async () => {
    await start();
    await ask('conclave.g.admin.status', {});
    await ask('conclave.g.admin.status', 'garbage');
    const identity = {
      name: 'conclave',
      id: 'i1-g',
      version: '1.2.3',
      metadata: { group_id: 'g', peer_id: 'n1' },
    };
    for (const suffix of ['', '.conclave', '.conclave.i1-g']) {
      expect((await ask(`$SRV.PING${suffix}`, '')).body).toEqual({
        type: 'io.nats.micro.v1.ping_response',
        ...identity,
      });
    }
    const { body: info } = await ask('$SRV.INFO.conclave', '');
    expect(info).toMatchObject({
      type: 'io.nats.micro.v1.info_response',
      ...identity,
      endpoints: [
        { name: 'peer-admin', subject: 'conclave.g.n1.admin.*' },
        { name: 'peer-kv', subject: 'conclave.g.n1.kv.*' },
        { name: 'group-admin', subject: 'conclave.g.admin.*' },
        { name: 'group-kv', subject: 'conclave.g.kv.*' },
      ],
    });
    const { body: stats } = await ask('$SRV.STATS.conclave', '');
    const { endpoints } = stats as { endpoints: Record<string, unknown>[] };
    expect(endpoints[2]).toMatchObject({
      name: 'group-admin',
      num_requests: 2,
      num_errors: 1,
      data: { role: 'leader', term: 7, commit_index: 12, lag: 2 },
    });
    expect(String(endpoints[2]?.last_error)).toContain('EINVAL');
  });
});

function areNoResponders(messages: ReadonlySet<unknown>): boolean {
  return [...messages].every((message) => String(message).includes('no responders'));
}
