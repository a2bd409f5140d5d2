import { asGroupId, asPeerId, encode, encodeJson, limits, type Message, Subjects } from '@conclave/protocol';
import { NatsLogin } from '@conclave/protocol/login';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type NatsServer, startNats } from '../../../test/support/nats.js';
import {
  Connection,
  InProcessTransport,
  NatsTransport,
  PeerTransport,
  silentLog,
  type Transport,
} from '../src/index.js';
import { append, entries, seqOf, stored, tick } from './messages.js';
import { describeTransport, type TransportPair } from './transport-conformance.js';

const groupId = asGroupId('g');
const n1 = asPeerId('n1');
const n2 = asPeerId('n2');
const subjects = new Subjects();
let server: NatsServer;

beforeAll(async () => {
  server = await startNats();
});
afterAll(async () => {
  await server.stop();
});

function openConnection(name: string): Promise<Connection> {
  return Connection.open({ login: NatsLogin.of({ servers: server.url }), name, log: silentLog });
}

/** Two processes, each with its connection. */
async function openPair(make: (peerId: typeof n1, connection: Connection) => Transport): Promise<TransportPair> {
  const connections = await Promise.all([openConnection('n1'), openConnection('n2')]);
  const [first, second] = connections;
  const pair = { n1: make(n1, first), n2: make(n2, second) };
  return {
    ...pair,
    settled: async () => {
      await Promise.all(connections.map((connection) => connection.settled()));
    },
    close: async () => {
      await Promise.all([pair.n1.close(), pair.n2.close()]);
      await Promise.all(connections.map((connection) => connection.close()));
    },
  };
}

describeTransport(
  'the transport within a process',
  async () => {
    const transport = new InProcessTransport();
    return {
      n1: transport,
      n2: transport,
      settled: () => new Promise((resolve) => setImmediate(resolve)),
      close: () => transport.close(),
    };
  },
  false,
);

describeTransport(
  'the transport on NATS, each actor in a process of its own',
  async () => {
    // Within a peer there are two processes too: what one publishes is not echoed to itself.
    const pair = await openPair((peerId, connection) => new NatsTransport(connection, subjects, peerId));
    const listeningConnection = await openConnection('n1, another process');
    const listening = new NatsTransport(listeningConnection, subjects, n1);
    const first = pair.n1;
    return {
      ...pair,
      n1: {
        send: (peerId, message) => first.send(peerId, message),
        subscribe: (address, receive) => listening.subscribe(address, receive),
        subscribeToPeerFeed: (feed, receive) => listening.subscribeToPeerFeed(feed, receive),
        get dropped() {
          return { ...first.dropped, ...listening.dropped };
        },
        close: async () => {
          await Promise.all([first.close(), listening.close()]);
        },
      },
      settled: async () => {
        await pair.settled();
        await listeningConnection.settled();
      },
      close: async () => {
        await pair.close();
        await listening.close();
        await listeningConnection.close();
      },
    };
  },
  true,
);

for (const mirror of [false, true]) {
  describeTransport(
    `the transport of a process that hosts a whole peer${mirror ? ', with copies for observers' : ''}`,
    () =>
      openPair((peerId, connection) => {
        const outer = new NatsTransport(connection, subjects, peerId);
        return new PeerTransport(peerId, new InProcessTransport(), outer, { mirror });
      }),
    true,
  );
}

describeTransport(
  'the transport on NATS of processes that host several groups, with small messages in bundles',
  async () => {
    const other = asGroupId('other');
    const pair = await openPair((peerId, connection) => {
      const outer = new NatsTransport(connection, subjects, peerId);
      const transport = new PeerTransport(peerId, new InProcessTransport(), outer);
      transport.subscribe({ groupId: other, peerId, actor: 'log-store' }, () => undefined);
      transport.subscribe({ groupId: other, peerId, actor: 'node' }, () => undefined);
      transport.subscribe({ groupId: asGroupId('third'), peerId, actor: 'log-store' }, () => undefined);
      return transport;
    });
    const n1Transport = pair.n1;
    return {
      ...pair,
      n1: {
        // Each with one of another group before it, so that it has something to share a bundle with.
        send: (peerId, message) => {
          if (peerId === n1)
            n1Transport.send(n1, { name: 'log-store.tick', body: { ...tick(0).body, group_id: other } });
          else n1Transport.send(peerId, { name: 'node.append_entries', body: { ...entries(0).body, group_id: other } });
          n1Transport.send(peerId, message);
        },
        subscribe: (address, receive) => n1Transport.subscribe(address, receive),
        subscribeToPeerFeed: (feed, receive) => n1Transport.subscribeToPeerFeed(feed, receive),
        get dropped() {
          return n1Transport.dropped;
        },
        close: () => n1Transport.close(),
      },
    };
  },
  true,
);

describe('bundles on NATS', () => {
  it('carry the messages of several groups in one; a message outside a bundle has its own subject', async () => {
    const pair = await openPair((peerId, connection) => new NatsTransport(connection, subjects, peerId));
    const observer = await connect({ servers: server.url });
    try {
      const seen: string[] = [];
      observer.subscribe('conclave.>', {
        callback: (_error, { subject }) => {
          seen.push(subject);
        },
      });
      await observer.flush();
      const groups = ['a', 'b', 'c'].map((name) => asGroupId(name));
      const messages: string[] = [];
      let resolve = (): void => undefined;
      const all = new Promise<void>((done) => {
        resolve = done;
      });
      for (const one of groups) {
        pair.n1.subscribe({ groupId: one, peerId: n1, actor: 'node' }, () => undefined);
        for (const actor of ['node', 'ballot-box', 'replicator'] as const) {
          pair.n2.subscribe({ groupId: one, peerId: n2, actor }, (message) => {
            messages.push(`${actor} of ${one}: ${message.name}`);
            if (messages.length === 10) resolve();
          });
        }
      }
      await pair.settled();
      for (const one of groups) {
        pair.n1.send(n2, { name: 'node.append_entries', body: { ...entries(1).body, group_id: one } });
        pair.n1.send(n2, { name: 'feed.stored', body: { ...stored(1).body, group_id: one } });
      }
      pair.n1.send(n2, { name: 'node.append_entries', body: { ...entries(2, 64).body, group_id: asGroupId('a') } });
      await all;
      await observer.flush();
      expect(seen).toEqual([
        'conclave.admin.n2.node.bundle.n1',
        'conclave.admin.n2.feed.bundle.n1',
        'conclave.a.n2.node.append_entries.n1',
      ]);
      expect(messages.toSorted()).toEqual(
        [
          'node of a: node.append_entries',
          ...['a', 'b', 'c'].flatMap((one) => [
            `ballot-box of ${one}: feed.stored`,
            `node of ${one}: node.append_entries`,
            `replicator of ${one}: feed.stored`,
          ]),
        ].toSorted(),
      );
      expect(pair.n2.dropped).toEqual({});
    } finally {
      await observer.close();
      await pair.close();
    }
  });

  it('are checked on receipt: a message that does not belong there is dropped and counted', async () => {
    const pair = await openPair((peerId, connection) => new NatsTransport(connection, subjects, peerId));
    const client = await connect({ servers: server.url });
    try {
      const messages: Message[] = [];
      const last = new Promise<void>((resolve) => {
        pair.n1.subscribe({ groupId, peerId: n1, actor: 'log-store' }, (message) => {
          messages.push(message);
          if (seqOf(message) === 99) resolve();
        });
      });
      await pair.settled();
      const subject = subjects.bundle(n1, 'log-store', n1);
      const { name, body } = tick(1);
      client.publish(subject, 'garbage');
      client.publish(subject, encode({ messages: 'none' }));
      client.publish(subject, encode({ messages: [[name]] }));
      const tooMany = Array.from({ length: limits.bundleMessages + 1 }, () => [name, body]);
      client.publish(subject, encode({ messages: tooMany }));
      client.publish(
        subject,
        encode({
          messages: [
            ['log-store.no_such_message', body],
            ['node.ack', body],
            [name, { ...body, seq: -1 }],
            [name, { ...body, group_id: 'elsewhere' }],
            ['log-store.append', { ...append(1).body, batches: append(1).body.batches }],
            [name, body],
          ],
        }),
      );
      client.publish(subject, encode({ messages: [[name, tick(99).body]] }));
      await last;
      expect(messages).toEqual([tick(1), tick(99)]);
      expect(pair.n1.dropped).toEqual({
        'not_msgpack:bundle': 1,
        'malformed:bundle': 4,
        unknown_message: 2,
        'malformed:log-store.tick': 1,
        bundled_for_nobody: 1,
        'not_to_be_bundled:log-store.append': 1,
      });
    } finally {
      await client.close();
      await pair.close();
    }
  });
});

describe('a peer’s transport', () => {
  /** What an observer sees of a peer's messages when one is sent within a process, and then one to another peer. */
  async function observed(mirror: boolean): Promise<string[]> {
    const pair = await openPair((peerId, connection) => {
      const outer = new NatsTransport(connection, subjects, peerId);
      return new PeerTransport(peerId, new InProcessTransport(), outer, { mirror });
    });
    const observer = await connect({ servers: server.url });
    try {
      const seen: string[] = [];
      const last = new Promise<void>((resolve) => {
        observer.subscribe('conclave.>', {
          callback: (_error, message) => {
            seen.push(message.subject);
            if (message.subject === 'conclave.g.n2.node.append_entries.n1') resolve();
          },
        });
      });
      const messages: Message[] = [];
      pair.n1.subscribe({ groupId, peerId: n1, actor: 'log-store' }, (message) => messages.push(message));
      await observer.flush();
      await pair.settled();
      pair.n1.send(n1, tick(1));
      pair.n1.send(n1, append(2));
      pair.n1.send(n2, entries(3));
      await last;
      expect(messages.map(seqOf)).toEqual([1, 2]);
      return seen;
    } finally {
      await observer.close();
      await pair.close();
    }
  }

  it('delivers in the process what no other process subscribes to', async () => {
    // Replicators and ballot-box are elsewhere, so the feed's message goes out too.
    expect(await observed(false)).toEqual(['conclave.g.n1.feed.append.n1', 'conclave.g.n2.node.append_entries.n1']);
  });

  it('publishes copies of such messages if that is configured, and receives none of them', async () => {
    expect(await observed(true)).toEqual([
      'conclave.g.n1.log-store.tick.n1',
      'conclave.g.n1.feed.append.n1',
      'conclave.g.n2.node.append_entries.n1',
    ]);
  });
});

describe('the transport on NATS checks messages on receipt', () => {
  let connection: Connection;
  let transport: NatsTransport;
  let client: NatsConnection;

  beforeAll(async () => {
    connection = await openConnection('n1');
    transport = new NatsTransport(connection, subjects, n1);
    client = await connect({ servers: server.url });
  });
  afterAll(async () => {
    await client.close();
    await transport.close();
    await connection.close();
  });

  it('drops and counts what is no message, and delivers what follows', async () => {
    const messages: Message[] = [];
    const last = new Promise<void>((resolve) => {
      transport.subscribe({ groupId, peerId: n1, actor: 'log-store' }, (message) => {
        messages.push(message);
        if (seqOf(message) === 99) resolve();
      });
    });
    await connection.settled();
    const subject = 'conclave.g.n1.log-store.tick.n1';
    const { body } = tick(1);
    client.publish(subject);
    client.publish(subject, 'garbage');
    client.publish(subject, encodeJson(body));
    client.publish(subject, new Uint8Array([0xde, 0xff, 0xff]));
    client.publish(subject, encode([1, 2, 3]));
    client.publish(subject, encode({ ...body, seq: 'one' }));
    client.publish(subject, encode({ ...body, seq: -1 }));
    client.publish(subject, encode({ ...body, group_id: 'h' }));
    client.publish(subject, encode({ ...body, group_id: 'a.b' }));
    client.publish('conclave.g.n1.log-store.no_such_message.n1', encode(body));
    client.publish('conclave.g.n1.log-store.constructor.n1', encode(body));
    client.publish('conclave.g.n1.feed.append.n1', encode({ ...append(1).body, batches: [new Uint8Array(40)] }));
    client.publish('conclave.g.n1.feed.append.n1', encode({ ...append(1).body, batches: [new Uint8Array(0)] }));
    client.publish('conclave.g.n1.feed.append.n1', encode({ ...append(1).body, batches: ['text'] }));
    client.publish('conclave.g.n1.log-store.health', encode({}));
    client.publish('conclave.g.n1.feed.append.n1', encode(append(98).body));
    client.publish(subject, encode(tick(99).body));
    await last;
    expect(messages).toEqual([append(98), tick(99)]);
    expect(transport.dropped).toEqual({
      'not_msgpack:log-store.tick': 4,
      'malformed:log-store.tick': 4,
      'other_group:log-store.tick': 1,
      unknown_message: 2,
      'bad_batch:feed.append': 2,
      'malformed:feed.append': 1,
    });
  });
});

describe('the sender of a message', () => {
  /** A peer's process, and a client that publishes as it likes. */
  async function withClient(
    work: (connection: Connection, transport: NatsTransport, client: NatsConnection) => Promise<void>,
  ): Promise<void> {
    const connection = await openConnection('n1');
    const transport = new NatsTransport(connection, subjects, n1);
    const client = await connect({ servers: server.url });
    try {
      await work(connection, transport, client);
    } finally {
      await client.close();
      await transport.close();
      await connection.close();
    }
  }

  /** Settled when the process has received what the client published. */
  async function received(connection: Connection, client: NatsConnection): Promise<void> {
    await client.flush();
    await connection.settled();
  }

  const vote = (from: string) => ({
    ...{ group_id: 'g', group_uid: 'u', term: 1000, kind: 'vote', election_id: 1, last_index: 1, last_term: 1 },
    ...{ candidate_id: from, candidate_store_id: 's', transfer: false },
  });

  it('is the one that the subject names: else the message is dropped and counted', () =>
    withClient(async (connection, transport, client) => {
      const messages: Message[] = [];
      for (const actor of ['node', 'log-store', 'replicator'] as const) {
        transport.subscribe({ groupId, peerId: n1, actor }, (message) => messages.push(message));
      }
      await connection.settled();
      client.publish('conclave.g.n1.node.request_vote.n3', encode(vote('n2')));
      client.publish('conclave.g.n1.node.append_entries.n2', encode(entries(1).body));
      client.publish('conclave.g.n1.feed.stored.n2', encode(stored(1).body));
      // Only a peer's own actors send these, and entries to its log-store.
      client.publish('conclave.g.n1.log-store.tick.n2', encode(tick(1).body));
      client.publish('conclave.g.n1.feed.append.n2', encode({ ...append(1).body, leader_id: 'n2' }));
      client.publish('conclave.g.n1.feed.append.n2', encode(append(1).body));
      const bundled = [
        ['node.append_entries', entries(1).body],
        ['node.append_entries', { ...entries(2).body, leader_id: 'n2' }],
      ];
      client.publish('conclave.admin.n1.node.bundle.n2', encode({ messages: bundled }));
      client.publish('conclave.g.n1.node.request_vote.n2', encode(vote('n2')));
      await received(connection, client);
      expect(messages.map(({ name }) => name)).toEqual(['node.append_entries', 'node.request_vote']);
      expect(transport.dropped).toEqual({
        'other_sender:node.request_vote': 1,
        'other_sender:node.append_entries': 2,
        'other_sender:feed.stored': 1,
        'other_sender:log-store.tick': 1,
        'other_sender:feed.append': 2,
      });
    }));

  it('promise 31: is not in subjects of the first version: these are received from its peers alone, and they get such', () =>
    withClient(async (connection, transport, client) => {
      const messages: Message[] = [];
      const seen: string[] = [];
      client.subscribe('conclave.g.>', { callback: (_error, { subject }) => void seen.push(subject) });
      transport.subscribe({ groupId, peerId: n1, actor: 'node' }, (message) => messages.push(message));
      await connection.settled();
      client.publish('conclave.g.n1.node.request_vote', encode(vote('n2')));
      await received(connection, client);
      expect(messages).toEqual([]);
      const list = { peer_id: 'n2', incarnation: 'i', version: 1, groups: [] };
      client.publish('conclave.admin.n3.groups', encodeJson(list));
      client.publish('conclave.admin.n2.groups', encodeJson(list));
      await received(connection, client);
      await connection.settled();
      client.publish('conclave.g.n1.node.request_vote', encode(vote('n2')));
      client.publish('conclave.g.n1.node.request_vote', encode(vote('n3')));
      await received(connection, client);
      expect(messages).toEqual([{ name: 'node.request_vote', body: vote('n2') }]);
      expect(transport.dropped).toEqual({ 'no_sender:node.request_vote': 1 });
      seen.length = 0;
      transport.send(n2, entries(1));
      transport.send(asPeerId('n3'), entries(2));
      // Followers of the first version listen there.
      transport.send(n1, append(3));
      transport.send(n1, tick(4));
      await connection.settled();
      await client.flush();
      expect(seen).toEqual([
        'conclave.g.n2.node.append_entries.n1',
        'conclave.g.n2.node.append_entries',
        'conclave.g.n3.node.append_entries.n1',
        'conclave.g.n1.feed.append.n1',
        'conclave.g.n1.feed.append',
        'conclave.g.n1.log-store.tick.n1',
      ]);
    }));
});

describe('a connection to NATS', () => {
  it('refuses a server that allows only smaller messages, and reports what to set', async () => {
    const small = await startNats({ configuration: 'max_payload: 65536' });
    try {
      await expect(
        Connection.open({ login: NatsLogin.of({ servers: small.url }), name: 'n1', log: silentLog }),
      ).rejects.toThrow(`allows messages of 65536 bytes; Conclave needs max_payload: ${limits.messageBytes}`);
    } finally {
      await small.stop();
    }
  });

  it('drops and counts while there is no server, and is back by itself when there is one', async () => {
    const own = await startNats();
    const connection = await Connection.open({ login: NatsLogin.of({ servers: own.url }), name: 'n1', log: silentLog });
    const other = await Connection.open({ login: NatsLogin.of({ servers: own.url }), name: 'n2', log: silentLog });
    try {
      const transport = new NatsTransport(connection, subjects, n1);
      const arrived = new Promise<number>((resolve) => {
        new NatsTransport(other, subjects, n2).subscribe({ groupId, peerId: n2, actor: 'node' }, (message) =>
          resolve(seqOf(message)),
        );
      });
      await other.settled();
      const lost = Promise.all([until(connection, 'disconnect'), until(other, 'disconnect')]);
      await own.kill();
      await lost;
      const payload = 512 * 1024;
      for (let seq = 1; seq <= 200; seq++) transport.send(n2, entries(seq, payload));
      expect(transport.dropped).toEqual({ not_published: 200 });
      expect(connection.dropped).toEqual({ disconnected: 200 });
      const back = Promise.all([until(connection, 'reconnect'), until(other, 'reconnect')]);
      await own.restart();
      await back;
      await other.settled();
      transport.send(n2, entries(201));
      expect(await arrived).toBe(201);
    } finally {
      await connection.close();
      await other.close();
      await own.stop();
    }
  });

  it('waits for the first server, and connects to the next one of its list', async () => {
    const own = await startNats();
    try {
      await own.kill();
      const opening = Connection.open({
        login: NatsLogin.of({ servers: [own.url, server.url] }),
        name: 'n1',
        log: silentLog,
      });
      const connection = await opening;
      expect(connection.nats.getServer()).toBe(`127.0.0.1:${server.port}`);
      await connection.close();
    } finally {
      await own.stop();
    }
  });

  it('bounds what a server that hangs has not received, and disconnects from it', async () => {
    const own = await startNats();
    const servers = [own.url, server.url];
    const connection = await Connection.open({
      login: NatsLogin.of({ servers }),
      name: 'n1',
      log: silentLog,
      pingIntervalMs: 300,
    });
    try {
      own.signal('SIGSTOP');
      const left = until(connection, 'reconnect');
      const data = new Uint8Array(limits.messageBytes - 1024);
      let sent = 0;
      while (connection.dropped.outbound_full === undefined && sent < 1000) {
        // Each is larger than what the client keeps back, so it is written at once. In one turn: no ping finds the server silent.
        connection.publish('conclave.nobody', data);
        sent += 1;
      }
      expect(connection.dropped).toEqual({ outbound_full: 1 });
      // What the sockets' buffers of the kernel hold comes on top.
      expect(sent * data.length).toBeLessThan(limits.outboundBytes + 16 * 1024 * 1024);
      await left;
      expect(connection.nats.getServer()).toBe(`127.0.0.1:${server.port}`);
    } finally {
      own.signal('SIGCONT');
      await connection.close();
      await own.stop();
    }
  }, 30_000);
});

/** Settled when the connection has this status next. */
async function until(connection: Connection, type: 'disconnect' | 'reconnect'): Promise<void> {
  for await (const status of connection.nats.status()) {
    if (status.type === type) return;
  }
}
