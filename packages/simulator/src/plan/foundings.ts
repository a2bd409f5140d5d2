/**
 * `bootstrap` at any time and of any list, also while volumes are lost, members start or are down, or a change has just ended: the
 * group is there all the while, and whoever holds it can be reached. So nothing may be founded (DESIGN, section 4, stage 0).
 *
 * It has a chance of its own: what else happens in a seed's plan does not depend on it.
 */
import { actorKinds } from '@conclave/protocol';
import { serverNames } from '../mesh/virtual-nats.js';
import type { PlanContext } from './fault-sequences.js';

/** Everybody is asked for three election timeouts; with the requests on their way. */
const foundingMs = 5000;
/** A process that has no server at first finds one within this. */
const connectMs = 2000;

/** Which actors of the members that hold the group run while it is asked for. */
type Holding = 'all' | 'no_nodes' | 'no_log_stores' | 'starting';

export class Foundings {
  private readonly often: number;
  private hasLostTheQuorum = false;

  /** @param stage whose `random` is the chance of this alone */
  constructor(private readonly stage: PlanContext) {
    const { random } = stage;
    this.often = random.chance(0.4) ? 0.02 * random.next() : 0;
  }

  /** Now and then. @param isNearEnd whether the run may lose its quorum for it */
  step(isNearEnd: boolean): void {
    const { random } = this.stage;
    if (!random.chance(this.often)) return;
    const takesQuorum = isNearEnd && !this.hasLostTheQuorum && random.chance(0.5);
    if (takesQuorum) this.hasLostTheQuorum = true;
    this.bootstrapBeside(takesQuorum);
  }

  private bootstrapBeside(takesQuorum: boolean): void {
    const { random, add, run, peers, call } = this.stage;
    this.clearFaults();
    const members = takesQuorum ? peers : random.pick([peers, [...peers.slice(0, 1), ...peers.slice(3)]]);
    if (random.chance(0.7)) {
      add({ type: 'change', peers: members, timeout: 3000 });
      run(2500);
    }
    call();
    run(300 * random.next());
    const lost = peers.slice(0, 3).filter(() => takesQuorum || random.chance(0.8));
    for (const peer of lost) {
      if (takesQuorum) add({ type: 'wipe', peer, ifSpare: false, ifHeld: true });
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

  /** Those who have lost their volumes, or some of them, or others; two lists that have nothing in common as well. */
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

  /** Whoever holds the group can be reached: of others nobody could know. */
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
