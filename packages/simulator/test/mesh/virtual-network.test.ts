import { beforeEach, describe, expect, test } from 'vitest';
import { Coverage } from '../../src/mesh/coverage.js';
import { Random } from '../../src/mesh/random.js';
import { NatsConnection } from '../../src/mesh/virtual-nats.js';
import { type Endpoint, VirtualNetwork } from '../../src/mesh/virtual-network.js';
import { VirtualTime } from '../../src/mesh/virtual-time.js';

let time: VirtualTime;
let network: VirtualNetwork;
let received: string[];

function endpoint(name: string, server: 's1' | 's2' | 's3' = 's1'): Endpoint {
  const one = { name, owner: name.split('.')[0] as string, connection: new NatsConnection(server) };
  network.connect(one);
  return one;
}

function send(from: Endpoint, to: Endpoint, what: string): void {
  network.send(from, to.name, (target) => received.push(`${target.name} ${what}`));
}

function run(untilMs: number): void {
  time.run(untilMs - time.nowMs);
}

beforeEach(() => {
  time = new VirtualTime();
  received = [];
  network = new VirtualNetwork(new Random(1), new Coverage(), time);
});

const numbers = Array.from({ length: 50 }, (_, at) => at);

describe('a link', () => {
  test('keeps messages in order', () => {
    const [a, b] = [endpoint('n1.node'), endpoint('n2.node')];
    network.conditions.delay = 100;
    for (const number of numbers) send(a, b, String(number));
    run(200);
    expect(received).toEqual(numbers.map((number) => `n2.node ${number}`));
  });

  test('has no order relative to other links', () => {
    const [a, b, c] = [endpoint('n1.node'), endpoint('n2.node'), endpoint('n3.node')];
    network.conditions.delay = 100;
    for (const number of numbers) send(number % 2 === 0 ? a : b, c, String(number));
    run(200);
    expect(received).toHaveLength(50);
    expect(received).not.toEqual(numbers.map((number) => `n3.node ${number}`));
  });

  test('loses and repeats messages', () => {
    const [a, b] = [endpoint('n1.node'), endpoint('n2.node')];
    network.conditions = { loss: 0.5, repeat: 0.5, delay: 1, turn: 0 };
    for (const number of numbers) send(a, b, String(number));
    run(1000);
    const different = new Set(received).size;
    expect(different).toBeGreaterThan(10);
    expect(different).toBeLessThan(40);
    expect(received.length).toBeGreaterThan(different);
  });

  test('delivers what was sent to a crashed process to its successor', () => {
    const [a, b] = [endpoint('n1.node'), endpoint('n2.node')];
    send(a, b, 'late');
    network.disconnect(b);
    endpoint('n2.node');
    run(10);
    expect(received).toEqual(['n2.node late']);
  });
});

describe('a cut', () => {
  test.each([
    [[['n1'], ['n2']], false, ['n1.node own', 'n3.node over']],
    [[['n1'], ['n2']], true, ['n1.node own', 'n3.node over', 'n1.node back']],
    [[['n2'], ['n1']], true, ['n1.node own', 'n3.node over', 'n2.node there']],
    [[['n1.log-store'], ['n1.node']], true, ['n3.node over', 'n1.node back', 'n2.node there']],
  ])('of %j, one way: %s', (groups, oneWay, expected) => {
    const [a, b, c, store] = ['n1.node', 'n2.node', 'n3.node', 'n1.log-store'].map((name) => endpoint(name));
    if (a === undefined || b === undefined || c === undefined || store === undefined) throw new Error('they are there');
    network.cut(groups, oneWay);
    send(a, b, 'there');
    send(b, a, 'back');
    send(b, c, 'over');
    send(store, a, 'own');
    run(10);
    expect(received.toSorted()).toEqual(expected.toSorted());
    network.endCuts();
    received = [];
    send(a, b, 'there');
    send(store, a, 'own');
    run(20);
    expect(received.toSorted()).toEqual(['n1.node own', 'n2.node there']);
  });
});

describe('a slow peer', () => {
  test('receives and sends later, until cuts end; its own actors are near each other', () => {
    const [a, b, store] = [endpoint('n1.node'), endpoint('n2.node'), endpoint('n1.log-store')];
    network.slowDown('n1', 300);
    send(a, b, 'there');
    send(b, a, 'back');
    send(store, a, 'own');
    run(100);
    expect(received).toEqual(['n1.node own']);
    run(310);
    expect(received.toSorted()).toEqual(['n1.node back', 'n1.node own', 'n2.node there']);
    expect([...network.slowOwners]).toEqual(['n1']);
    network.endCuts();
    expect([...network.slowOwners]).toEqual([]);
  });

  test('is no longer slow after 0 ms', () => {
    const [a, b] = [endpoint('n1.node'), endpoint('n2.node')];
    network.slowDown('n2', 300);
    network.slowDown('n2', 0);
    send(a, b, 'there');
    run(10);
    expect(received).toEqual(['n2.node there']);
  });
});

describe('what the network reports', () => {
  test('is when a message arrives, and nothing for one that is lost', () => {
    const [a, b] = [endpoint('n1.node'), endpoint('n2.node')];
    network.conditions.delay = 10;
    const arrivesMs = network.send(a, b.name, () => received.push('there'));
    expect(arrivesMs).toBeLessThan(10);
    run((arrivesMs ?? 0) - 0.001);
    expect(received).toEqual([]);
    run(arrivesMs ?? 0);
    expect(received).toEqual(['there']);
    network.conditions.loss = 1;
    expect(network.send(a, b.name, () => {})).toBeUndefined();
  });

  test('is whether a message would arrive now', () => {
    const [a, b] = [endpoint('n1.node'), endpoint('n2.node')];
    expect(network.isOpen(a, 'n2.node')).toBe(true);
    expect(network.isOpen(a, 'n3.node')).toBe(false);
    network.cut([['n1'], ['n2']], true);
    expect(network.isOpen(a, 'n2.node')).toBe(false);
    expect(network.isOpen(b, 'n1.node')).toBe(true);
  });

  test('is the set of isolated peers: the smaller parts of a partition, and peers that receive nothing', () => {
    network.cut([['n1'], ['n2', 'n3']], false);
    network.cut([['n2'], ['n4.node']], true);
    expect([...network.isolated]).toEqual(['n1', 'n4.node']);
    network.endCuts();
    expect([...network.isolated]).toEqual([]);
  });
});

describe('a NATS server', () => {
  test('that goes down loses what is in flight, and its clients move to another server and stay there', () => {
    const [a, b] = [endpoint('n1.node', 's1'), endpoint('n2.node', 's2')];
    send(a, b, 'under way');
    network.nats.down('s1');
    send(a, b, 'without a server');
    run(2000);
    send(a, b, 'by another');
    run(3000);
    expect(received).toEqual(['n2.node by another']);
    network.nats.up('s1');
    network.nats.down('s2');
    network.nats.down('s3');
    run(6000);
    send(a, b, 'by the first');
    run(7000);
    expect(received).toEqual(['n2.node by another', 'n2.node by the first']);
  });

  test('passes nothing over a cut route, not even through a third server', () => {
    const [a, b, c] = [endpoint('n1.node', 's1'), endpoint('n2.node', 's2'), endpoint('n3.node', 's3')];
    network.nats.cutRoute('s2', 's1');
    send(a, b, 'cut');
    send(a, c, 'whole');
    send(c, b, 'whole');
    run(10);
    expect(received.toSorted()).toEqual(['n2.node whole', 'n3.node whole']);
    network.endCuts();
    send(a, b, 'healed');
    run(20);
    expect(received).toContain('n2.node healed');
  });
});
