/**
 * `bootstrap` at any time and with any list, also while disks are lost, members start or are down, or a change has just
 * ended. The group exists all the time, and a peer that has it is reachable. So no bootstrap may succeed (DESIGN,
 * section 4, stage 0).
 *
 * This has its own random stream: the rest of a seed's plan does not depend on it.
 */
import { actorKinds } from '@conclave/protocol';
import { serverNames } from '../mesh/virtual-nats.js';
import type { PlanContext } from './fault-sequences.js';

/** A bootstrap asks all peers for three election timeouts; with the time of the requests. */
const foundingMs = 5000;
/** A process without a NATS server finds one within this time. */
const connectMs = 2000;

/** Which actors of the members run during the request. */
type Holding = 'all' | 'no_nodes' | 'no_log_stores' | 'starting';

export class Foundings {
  private readonly often: number;
  private hasLostTheQuorum = false;

  /** @param context its `random` is the stream of this alone */
  constructor(private readonly stage: PlanContext) {
    const { random } = stage;
    this.often = random.chance(0.4) ? 0.02 * random.next() : 0;
  }

  /** Adds one now and then. @param isNearEnd whether the run may lose its quorum for it */
  step(isNearEnd: boolean): void {
    const { random } = this.stage;
    if (!random.chance(this.often)) return;
    const costsQuorum = isNearEnd && !this.hasLostTheQuorum && random.chance(0.5);
    if (costsQuorum) this.hasLostTheQuorum = true;
    this.bootstrapBeside(costsQuorum);
  }

  private bootstrapBeside(costsQuorum: boolean): void {
    const { random, add, run, peers, call } = this.stage;
    this.clearFaults();
    const members = costsQuorum ? peers : random.pick([peers, [...peers.slice(0, 1), ...peers.slice(3)]]);
    if (random.chance(0.7)) {
      add({ type: 'change', peers: members, timeout: 3000 });
      run(2500);
    }
    call();
    run(300 * random.next());
    const lost = peers.slice(0, 3).filter(() => costsQuorum || random.chance(0.8));
    for (const peer of lost) {
      if (costsQuorum) add({ type: 'wipe', peer, ifSpare: false, ifHeld: true });
      else add({ type: 'wipe', peer, ifSpare: true });
    }
    const holding = random.pick<Holding>(['all', 'all', 'no_nodes', 'no_log_stores', 'starting']);
    const holders = peers.filter((peer) => !lost.includes(peer));
    if (holding === 'no_nodes') add({ type: 'crash', targets: holders.map((peer) => `${peer}.node`) });
    if (holding === 'no_log_stores') {
      add({ type: 'crash', targets: holders });
      const others = actorKinds.filter((kind) => kind !== 'log-store');
      add({ type: 'start', targets: holders.flatMap((peer) => others.map((kind) => `${peer}.${kind}`)) });
    }
    if (holding === 'starting') add({ type: 'crash', targets: holders });
    run(random.chance(0.5) ? 50 * random.next() : 1000 * random.next());
    if (lost.length > 0) add({ type: 'start', targets: lost });
    run(300 * random.next());
    this.ask(lost);
    run(400 * random.next());
    if (holding === 'starting') add({ type: 'start', targets: holders });
    run(foundingMs + connectMs);
    add({ type: 'start', targets: ['all'] });
  }

  /** Picks the peers that lost their disks, some of them, or others; also two lists that have no peer in common. */
  private ask(lost: readonly string[]): void {
    const { random, add, run, peers, somePeers } = this.stage;
    const [at = random.pick(peers), ...others] = lost;
    const list = random.chance(0.6) ? [at, ...others] : [...new Set([at, ...somePeers()])];
    add({ type: 'bootstrap', at, peers: list, timeout: foundingMs });
    if (random.chance(0.6)) return;
    run(100 * random.next());
    const rest = peers.filter((peer) => !list.includes(peer));
    const [second = at] = random.chance(0.5) ? rest : others;
    add({ type: 'bootstrap', at: second, peers: rest.includes(second) ? rest : [second], timeout: foundingMs });
  }

  /** Makes the peers that have the group reachable: the requests could not find it otherwise. */
  private clearFaults(): void {
    const { add, run } = this.stage;
    add({ type: 'reconnect' });
    add({ type: 'network', loss: 0, repeat: 0, delay: 2 });
    for (const server of serverNames) add({ type: 'nats', state: 'up', server });
    add({ type: 'resume', targets: ['all'] });
    add({ type: 'start', targets: ['all'] });
    run(connectMs);
  }
}
