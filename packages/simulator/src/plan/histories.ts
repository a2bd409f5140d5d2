/**
 * In some runs the group is deleted and created again under its name while its clients stay, with their sessions,
 * revisions, tokens, leases and watches. This has its own random stream: the rest of a seed's plan does not depend on
 * it.
 */
import { serverNames } from '../mesh/virtual-nats.js';
import type { PlanContext } from './fault-sequences.js';

/** A bootstrap asks all peers for three election timeouts. */
const foundingMs = 4500;
/** A reset is refused until nothing was received from a leader for this long. */
const silenceMs = 3000;

export class Histories {
  /** The shares of the run after which it happens. */
  private readonly dueAt: number[];

  /** @param context its `random` is the stream of this alone */
  constructor(
    private readonly stage: PlanContext,
    /** Whether all peers name their history: at feature level 0 they do not. */
    areNamed: boolean,
  ) {
    const { random } = stage;
    const times = areNamed && random.chance(0.14) ? 1 + random.below(2) : 0;
    this.dueAt = Array.from({ length: times }, () => 0.1 + 0.85 * random.next()).sort();
  }

  /** Adds one when it is due. @param share of the run that is over */
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

/** All peers but one are down and are then discarded: a reset, whose history continues above the previous one. */
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
