/** Conditions of the network, cuts, and NATS servers that stop, at random. Remembers which servers are down. */
import { actorKinds } from '@conclave/protocol';
import { type ServerName, serverNames } from '../mesh/virtual-nats.js';
import { leader, type PlanContext, rounded } from './fault-sequences.js';

export class NetworkFaults {
  private readonly serversDown = new Set<ServerName>();

  /** @param faultRate from 0 to 1: how bad the conditions of this run may become */
  constructor(
    private readonly stage: PlanContext,
    private readonly faultRate: number,
  ) {}

  changeConditions(): void {
    const { random, add } = this.stage;
    const bad = (max: number): number => (random.chance(0.7) ? rounded(max * random.next() * this.faultRate) : 0);
    add({
      type: 'network',
      loss: bad(0.15),
      repeat: bad(0.15),
      delay: rounded(1 + random.next() * random.next() * 60),
      turn: random.chance(0.5) ? rounded(3 * random.next()) : 0,
    });
  }

  partition(): void {
    const { random, peers, add } = this.stage;
    const [one, other] = random.chance(0.2) ? [[leader], peers] : this.twoSides();
    add({ type: 'cut', groups: [one, other], oneWay: false });
  }

  cutOneWay(): void {
    const { random, peers, add } = this.stage;
    const [one, other] = random.chance(0.2) ? [[leader], peers] : this.twoSides();
    add({ type: 'cut', groups: random.chance(0.5) ? [one, other] : [other, one], oneWay: true });
  }

  cutWithinPeer(peer: string): void {
    const { random, add } = this.stage;
    const [one, other] = [random.pick(actorKinds), random.pick(actorKinds)];
    const groups = [[`${peer}.${one}`], [`${peer}.${other}`]];
    if (one !== other) add({ type: 'cut', groups, oneWay: random.chance(0.6) });
  }

  private twoSides(): [string[], string[]] {
    const { random, peers } = this.stage;
    const apart = new Set([random.pick(peers), ...peers.filter(() => random.chance(0.3))]);
    if (apart.size === peers.length) apart.delete(random.pick(peers));
    return [peers.filter((peer) => apart.has(peer)), peers.filter((peer) => !apart.has(peer))];
  }

  stopServers(): void {
    const { random, add } = this.stage;
    const server = random.pick(serverNames);
    const servers = random.chance(0.1) ? serverNames : [server];
    for (const one of servers) {
      add({ type: 'nats', state: 'down', server: one });
      this.serversDown.add(one);
    }
  }

  cutRoute(): void {
    const { random, add } = this.stage;
    const [first, second] = random.pick([
      ['s1', 's2'],
      ['s1', 's3'],
      ['s2', 's3'],
    ] as const);
    add({ type: 'cut', groups: [[first, second]], oneWay: false });
  }

  endSome(): void {
    const { random, add } = this.stage;
    if (random.chance(0.7)) add({ type: 'reconnect' });
    for (const server of [...this.serversDown]) {
      if (random.chance(0.4)) continue;
      add({ type: 'nats', state: 'up', server });
      this.serversDown.delete(server);
    }
  }
}
