import { asGroupId, asPeerId, encode, encodeJson, limits, Subjects } from '@conclave/protocol';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type NatsServer, startNats } from '../../../test/support/nats.js';
import { type Observation, ObservedBuffer, observe, observeMessages } from '../src/index.js';

let server: NatsServer;
let publisher: NatsConnection;
let connection: NatsConnection;
const subjects = new Subjects();
const groupId = asGroupId('main');

beforeAll(async () => {
  server = await startNats();
  publisher = await connect({ servers: server.url });
  connection = await connect({ servers: server.url });
});
afterAll(async () => {
  await Promise.all([publisher.close(), connection.close()]);
  await server.stop();
});

const elected = {
  group_id: 'main',
  peer_id: 'n1',
  term: 3,
  time: '2026-01-01T00:00:00.000Z',
  peers: ['n1'],
  old_peers: [],
};
const removed = { group_id: 'main', peer_id: 'n1', term: 3, time: '2026-01-01T00:00:00.000Z', index: 9 };
const hello = { group_id: 'main', nonce: 'n' };
const publishEvent = (name: string, body: unknown) =>
  publisher.publish(subjects.event(groupId, name, asPeerId('n1')), encodeJson(body));

async function take<T>(observation: Observation<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  for await (const one of observation) {
    taken.push(one);
    if (taken.length === count) break;
  }
  return taken;
}

describe('events', () => {
  it('are typed and in order; messages that are none are counted', async () => {
    const observation = observe({ connection, groupId: 'main' });
    await observation.ready;
    publishEvent('leader_elected', elected);
    publishEvent('leader_elected', { ...elected, term: 'three' });
    publishEvent('leader_elected', { ...elected, group_id: 'other' });
    publishEvent('constructor', elected);
    publishEvent('leader_elected', { ...elected, peer_id: 'n2' });
    publisher.publish(subjects.event(groupId, 'peer_removed', asPeerId('n1')), '{');
    publisher.publish('conclave.other.event.peer_removed.n1', encodeJson(removed));
    publishEvent('peer_removed', removed);
    expect(await take(observation, 2)).toEqual([
      { name: 'leader_elected', body: elected },
      { name: 'peer_removed', body: removed },
    ]);
    expect([observation.malformed, observation.dropped]).toEqual([5, 0]);
    observation.close();
    expect(await take(observation, 1)).toEqual([]);
  });

  it('can be chosen, and be called for', async () => {
    const observation = observe({ connection, groupId: 'main', events: ['peer_removed'] });
    const received: string[] = [];
    const calling = observe({ connection, groupId: 'main', onEvent: ({ name }) => received.push(name) });
    await Promise.all([observation.ready, calling.ready]);
    publishEvent('leader_elected', elected);
    publishEvent('peer_removed', removed);
    const [event] = await take(observation, 1);
    expect(event?.body.index).toBe(9);
    await connection.flush();
    expect(received).toEqual(['leader_elected', 'peer_removed']);
    observation.close();
    calling.close();
  });

  it('end with the connection', async () => {
    const own = await connect({ servers: server.url });
    const observation = observe({ connection: own, groupId: 'main' });
    const none = take(observation, 1);
    await own.close();
    expect(await none).toEqual([]);
    observation.close();
  });
});

describe('messages', () => {
  it('are decoded, with their receivers', async () => {
    const observation = observeMessages({ connection, groupId: 'main' });
    const chosen = observeMessages({ connection, groupId: 'main', peers: ['n2'], recipients: ['log-store'] });
    await Promise.all([observation.ready, chosen.ready]);
    const data = encode(hello);
    publisher.publish('conclave.main.n1.log-store.hello.n1', data);
    publisher.publish('conclave.main.n1.log-store.hello.n1', encode({ group_id: 'main' }));
    publisher.publish('conclave.main.n1.log-store.hello.n1', 'nonsense');
    publisher.publish('conclave.main.n1.log-store.nothing.n1', data);
    publisher.publish('conclave.main.n1.stranger.hello.n1', data);
    publisher.publish('conclave.main.n2.admin.status', '{}');
    publisher.publish('conclave.main.n2.log-store.hello.n1', data);
    publisher.publish('conclave.main.n2.log-store.hello.n2', data);
    const message = { name: 'log-store.hello', body: hello };
    const toFirst = { peerId: 'n1', recipient: 'log-store', message, bytes: data.length };
    const toSecond = { ...toFirst, peerId: 'n2' };
    expect(await take(observation, 2)).toEqual([toFirst, toSecond]);
    expect(await take(chosen, 1)).toEqual([toSecond]);
    expect(observation.malformed).toBe(5);
    observation.close();
    chosen.close();
  });

  it('unpacks the group’s events from bundles with those of other groups', async () => {
    const observation = observeMessages({ connection, groupId: 'main', recipients: ['log-store', 'feed'] });
    await observation.ready;
    const tick = { group_id: 'main', store_id: 's', session: 1, link: 1, seq: 3 };
    const messages = [
      ['log-store.tick', { ...tick, group_id: 'other' }],
      ['log-store.tick', tick],
      ['log-store.tick', { ...tick, seq: 'three' }],
      ['node.ack', tick],
    ];
    publisher.publish('conclave.admin.n1.log-store.bundle.n1', encode({ messages }));
    publisher.publish('conclave.admin.n1.log-store.bundle.n1', 'nonsense');
    publisher.publish('conclave.admin.n1.log-store.bundle.n1', encode({ messages: [['log-store.tick', tick]] }));
    const message = { name: 'log-store.tick', body: tick };
    expect(await take(observation, 2)).toMatchObject([
      { peerId: 'n1', recipient: 'log-store', message },
      { peerId: 'n1', recipient: 'log-store', message },
    ]);
    expect(observation.malformed).toBe(3);
    observation.close();
  });
});

describe('the buffer', () => {
  it('keeps the newest, and counts what went', async () => {
    const buffer = new ObservedBuffer<number>(4);
    for (let one = 1; one <= 11; one++) buffer.push(one);
    buffer.end();
    const left: number[] = [];
    for await (const one of buffer) left.push(one);
    expect([left, buffer.dropped]).toEqual([[8, 9, 10, 11], 7]);
  });

  it('holds as many as its bound permits', () => {
    const buffer = new ObservedBuffer<number>();
    for (let one = 0; one <= limits.observedEvents; one++) buffer.push(one);
    expect(buffer.dropped).toBe(1);
  });

  it('passes it on at once to a caller that waits', async () => {
    const buffer = new ObservedBuffer<number>(1);
    const both = Promise.all([buffer.next(), buffer.next()]);
    buffer.push(1);
    buffer.push(2);
    expect(await both).toEqual([
      { done: false, value: 1 },
      { done: false, value: 2 },
    ]);
    const last = buffer.next();
    buffer.end();
    expect(await last).toEqual({ done: true, value: undefined });
  });
});
