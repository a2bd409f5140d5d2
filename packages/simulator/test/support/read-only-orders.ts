/** Orders in which disks fill and are freed (promise 32): after each step reads are answered, and writes are done or rejected. */
import type { PeerId } from '@conclave/protocol';
import { expect } from 'vitest';
import type { RecordedCall } from '../../src/clients/history.js';
import type { ClientCommand, Command } from '../../src/language/command.js';
import type { Random } from '../../src/mesh/random.js';
import { checkClients } from '../../src/run/check-clients.js';
import { Simulation } from '../../src/run/simulation.js';

export const timeout = 120_000;
/** How long an election or transfer may take after a disk has filled or was freed. */
const settleMs = 4000;
/** How long a read may take afterwards. */
const readMs = 500;
const full = 1;
const roomy = 10_000;

interface DiskStep {
  readonly peer: string;
  readonly free: number;
}

class Group {
  readonly simulation: Simulation;
  private written = 0;

  constructor(
    readonly peers: readonly string[],
    seed: number,
  ) {
    this.simulation = new Simulation({ type: 'peers', peers }, seed);
    this.do({ type: 'run', ms: 500 });
    this.do({ type: 'bootstrap', at: 'n1', peers, timeout: 10_000 });
    this.until('a leader of all', () => this.configured().length === peers.length);
    this.do({ type: 'run', ms: 2000 });
  }

  do(command: Command): void {
    this.simulation.execute(command);
  }

  until(what: string, condition: () => boolean, withinMs = 20_000): void {
    if (!this.simulation.mesh.until(condition, withinMs)) throw new Error(`not within ${withinMs} ms: ${what}`);
  }

  private configured(): readonly unknown[] {
    const { mesh } = this.simulation;
    if (mesh.leader === undefined) return [];
    const { configuration } = mesh.status(mesh.leader);
    return configuration?.old_peers.length === 0 ? configuration.peers : [];
  }

  get leader(): PeerId {
    const { leader } = this.simulation.mesh;
    if (leader === undefined) throw new Error('nobody leads');
    return leader;
  }

  call(command: ClientCommand): RecordedCall {
    return this.simulation.clients.call(command);
  }

  put(): RecordedCall {
    this.written += 1;
    return this.call({ type: 'client', client: 'c1', operation: 'put', key: 'k', value: `v${this.written}` });
  }

  /** Linearizable reads of all kinds. A read-only follower lacks entries, and answers none of these. */
  expectReads(what: string): void {
    const { leader } = this;
    const read = (by: 'quorum' | 'lease', at?: string): RecordedCall =>
      this.call({ type: 'client', client: `c${by.length}`, operation: 'get', key: 'k', by, at });
    const others = this.peers.filter((peer) => peer !== leader && this.isGroupWritable(peer));
    const reads = [read('quorum'), read('lease'), ...others.map((peer) => read('quorum', peer))];
    this.simulation.mesh.until(() => reads.every(({ settledMs }) => settledMs !== undefined), readMs);
    expect(
      reads.map(({ outcome, code }) => code ?? outcome),
      `reads at ${leader} after ${what}`,
    ).toEqual(reads.map(() => 'ok'));
  }

  private isGroupWritable(peer: string): boolean {
    const { mesh } = this.simulation;
    return mesh.isUp(peer as PeerId, 'node') && mesh.status(peer as PeerId).read_only === '';
  }

  /** Whether a majority accepts entries. */
  expectWrite(isGroupWritable: boolean, what: string): void {
    const call = this.put();
    this.until('a write is answered', () => call.settledMs !== undefined);
    expect(`${call.outcome} ${call.code ?? ''}`.trim(), `a write after ${what}`).toBe(
      isGroupWritable ? 'ok' : 'not_done EREADONLY',
    );
  }

  end(): void {
    this.simulation.clients.close();
    checkClients(this.simulation.clients.history);
  }
}

function textOf(steps: readonly DiskStep[]): string {
  return steps.map(({ peer, free }) => `${peer} ${free === full ? 'full' : 'free'}`).join(', ');
}

/** Every order in which each disk fills once, and is freed some time later. */
export function ordersOf(peers: readonly string[]): DiskStep[][] {
  const orders: DiskStep[][] = [];
  const extend = (steps: DiskStep[]): void => {
    if (steps.length === 2 * peers.length) orders.push(steps);
    for (const peer of peers) {
      const times = steps.filter((step) => step.peer === peer).length;
      if (times < 2) extend([...steps, { peer, free: times === 0 ? full : roomy }]);
    }
  };
  extend([]);
  return orders;
}

/** Returns a random one of these orders. */
export function drawnOrder(peers: readonly string[], random: Random): DiskStep[] {
  const steps: DiskStep[] = [];
  while (steps.length < 2 * peers.length) {
    const peer = random.pick(peers);
    const times = steps.filter((step) => step.peer === peer).length;
    if (times < 2) steps.push({ peer, free: times === 0 ? full : roomy });
  }
  return steps;
}

export function followOrder(peers: readonly string[], order: readonly DiskStep[], seed: number): void {
  const group = new Group(peers, seed);
  const isFull = new Set<string>();
  for (const [at, step] of order.entries()) {
    group.do({ type: 'disk', ...step, fail: false });
    if (step.free === full) isFull.add(step.peer);
    else isFull.delete(step.peer);
    group.put();
    group.do({ type: 'run', ms: settleMs });
    const what = textOf(order.slice(0, at + 1));
    group.expectReads(what);
    group.expectWrite(2 * (peers.length - isFull.size) > peers.length, what);
    group.expectReads(what);
  }
  group.end();
}

/** As `followOrder`, for disks that are all full at once; then the leader crashes, and the next one has to answer reads. */
export function followLeaderDeath(peers: readonly string[], order: readonly DiskStep[], at: number): void {
  const group = new Group(peers, at + 1);
  group.expectWrite(true, 'nothing');
  for (const step of order.slice(0, peers.length)) {
    group.do({ type: 'disk', ...step, fail: false });
    group.do({ type: 'run', ms: at % 2 === 0 ? 0 : settleMs });
  }
  group.do({ type: 'run', ms: settleMs });
  const { leader } = group;
  group.do({ type: 'crash', targets: [leader] });
  group.until('another leads', () => group.simulation.mesh.leader !== undefined);
  group.do({ type: 'run', ms: settleMs });
  group.expectReads(`${textOf(order.slice(0, peers.length))}, death of ${leader}`);
  group.expectWrite(false, 'the death of the leader');
  group.do({ type: 'start', targets: ['all'] });
  for (const step of order.slice(peers.length)) group.do({ type: 'disk', ...step, fail: false });
  group.do({ type: 'run', ms: settleMs });
  group.expectReads('all are free again');
  group.expectWrite(true, 'all are free again');
  group.end();
}
