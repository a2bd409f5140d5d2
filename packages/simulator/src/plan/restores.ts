/**
 * In some runs a backup of the group is read, and later the group is deleted and created again from it, while its
 * clients stay: once or in a chain, sometimes with a reset in between, or twice with the same backup. This has its own
 * random stream.
 */

import type { PlanContext } from './fault-sequences.js';
import { clearFaults, resetOne } from './histories.js';

/** A bootstrap asks all peers for three election timeouts, twice. */
const foundingMs = 9000;

export class Restores {
  /** Shares of the run after which a backup is read and restored. */
  private readonly due: { readonly share: number; readonly act: () => void }[] = [];

  /** @param areNamed whether all peers name their history */
  constructor(
    private readonly stage: PlanContext,
    areNamed: boolean,
  ) {
    const { random } = stage;
    const times = areNamed && random.chance(0.14) ? 1 + random.below(2) : 0;
    let share = 0.1 + 0.2 * random.next();
    for (let restore = 0; restore < times; restore++) {
      if (restore === 0 || random.chance(0.7)) this.due.push({ share, act: () => this.backup() });
      share += 0.05 + 0.2 * random.next();
      if (random.chance(0.25)) this.due.push({ share, act: () => resetOne(stage) });
      share += 0.1 * random.next();
      this.due.push({ share, act: () => this.restore() });
      share += 0.05 + 0.15 * random.next();
    }
  }

  /** Adds one when it is due. @param share of the run that is over */
  step(share: number): void {
    const [next] = this.due;
    if (next === undefined || share < next.share) return;
    this.due.shift();
    next.act();
  }

  private backup(): void {
    const { random, add, run, peers, call } = this.stage;
    if (random.chance(0.7)) clearFaults(this.stage);
    for (let calls = 1 + random.below(3); calls > 0; calls--) call();
    run(200 * random.next());
    // A peer without the group has no snapshot: so several are asked, of which one probably has it.
    for (const peer of peers.filter(() => random.chance(0.6))) {
      add({ type: 'snapshot', peer });
      run(400 + 400 * random.next());
      add({ type: 'backup', peer });
    }
    run(300 * random.next());
    // These are lost with the group.
    for (let calls = 1 + random.below(4); calls > 0; calls--) call();
  }

  private restore(): void {
    const { random, add, run, peers, call } = this.stage;
    for (let calls = 1 + random.below(3); calls > 0; calls--) call();
    run(300 * random.next());
    if (random.chance(0.8)) clearFaults(this.stage);
    const first = random.below(peers.length);
    const founders = [0, 1, 2].map((place) => peers[(first + place) % peers.length] ?? '');
    add({ type: 'recreate', peers: random.chance(0.2) ? founders.slice(0, 1) : founders, backup: true });
    run(random.chance(0.5) ? 30 * random.next() : 3000 * random.next());
    for (let calls = 1 + random.below(3); calls > 0; calls--) call();
    run(foundingMs + 1000 * random.next());
    for (let calls = 2 + random.below(4); calls > 0; calls--) call();
    run(500 * random.next());
  }
}
