/**
 * In some runs the group is deleted and founded anew under its name while its clients stay, with what they were given: sessions,
 * revisions, tokens, leases, watches. It has a chance of its own: what else happens in a seed's plan does not depend on it.
 */
import { serverNames } from '../mesh/virtual-nats.js';
import type { PlanContext } from './fault-sequences.js';

/** Everybody is asked for three election timeouts. */
const foundingMs = 4500;
/** Nothing is reset before a leader has not been heard for so long. */
const silenceMs = 3000;

export class Histories {
  /** The shares of the run behind which it happens. */
  private readonly dueAt: number[];

  /** @param stage whose `random` is the chance of this alone */
  constructor(
    private readonly stage: PlanContext,
    /** Whether all peers say which history they are in: at feature level 0 they do not. */
    areNamed: boolean,
  ) {
    const { random } = stage;
    const times = areNamed && random.chance(0.14) ? 1 + random.below(2) : 0;
    this.dueAt = Array.from({ length: times }, () => 0.1 + 0.85 * random.next()).sort();
  }

  /** Now and then. @param share of the run that is over */
  step(share: number): void {
    const [due] = this.dueAt;
    if (due === undefined || share < due) return;
    this.dueAt.shift();
    const { random, add, run, peers, call } = this.stage;
    if (random.chance(0.4)) resetOne(this.stage);
    for (let calls = 1 + random.below(3); calls > 0; calls--) call();
    run(random.chance(0.5) ? 30 * random.next() : 300 * random.next());
    if (random.chance(0.7)) clearFaults(this.stage);
    const first = random.below(peers.length);
    const founders = [0, 1, 2].map((place) => peers[(first + place) % peers.length] ?? '');
    add({ type: 'recreate', peers: random.chance(0.2) ? founders.slice(0, 1) : founders });
    run(random.chance(0.5) ? 30 * random.next() : 3000 * random.next());
    for (let calls = 1 + random.below(3); calls > 0; calls--) call();
    run(foundingMs + 1000 * random.next());
    for (let calls = 2 + random.below(3); calls > 0; calls--) call();
  }
}

/** All but one are away and are discarded: a reset, whose history counts above the one before. */
export function resetOne(stage: PlanContext): void {
  const { random, add, run, peers, call } = stage;
  clearFaults(stage);
  add({ type: 'start', targets: ['all'] });
  run(1500);
  const left = random.pick(peers);
  add({ type: 'crash', targets: peers.filter((peer) => peer !== left) });
  run(silenceMs);
  add({ type: 'reset-survivors', alone: true, now: true });
  run(500 + 1000 * random.next());
  add({ type: 'start', targets: ['all'] });
  run(2500 + 1000 * random.next());
  for (let calls = 2 + random.below(3); calls > 0; calls--) call();
  run(300 * random.next());
}

export function clearFaults({ add }: PlanContext): void {
  add({ type: 'reconnect' });
  add({ type: 'network', loss: 0, repeat: 0, delay: 2 });
  for (const server of serverNames) add({ type: 'nats', state: 'up', server });
}
