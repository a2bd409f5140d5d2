/**
 * Upgrades: in some runs all peers begin with the older build; peers, and single processes, change to the newer one and
 * back at any time, and the feature level is raised at any time. This has its own random stream: the rest of a seed's
 * plan does not depend on it.
 */
import { actorKinds } from '@conclave/protocol';
import type { PeersCommand } from '../language/command.js';
import type { PlanContext } from './fault-sequences.js';

export class Builds {
  private readonly isOn: boolean;
  private readonly often: number;
  private readonly forward: number;

  /** @param context its `random` is the stream of these faults alone */
  constructor(private readonly stage: PlanContext) {
    const { random } = stage;
    this.isOn = random.chance(0.35);
    this.often = 0.05 + 0.15 * random.next();
    this.forward = 0.5 + 0.5 * random.next();
  }

  /** Whether the run has processes of two builds. */
  get hasTwoBuilds(): boolean {
    return this.isOn;
  }

  /** The options of the mesh that these faults need. */
  options(): Partial<PeersCommand> {
    const { random } = this.stage;
    return this.isOn ? { old: 1, settle: 300 + random.below(6000) } : {};
  }

  /** Adds one more of these faults now and then. */
  step(): void {
    const { random } = this.stage;
    if (this.isOn && random.chance(this.often)) this.act();
  }

  private act(): void {
    const { random, add, peers } = this.stage;
    const dice = random.next();
    if (dice < 0.2) return add({ type: 'raise' });
    if (dice < 0.35) {
      return this.upgradeAll();
    }
    const build = random.chance(this.forward) ? 'new' : 'old';
    const peer = random.pick(peers);
    const target = random.chance(0.8) ? peer : `${peer}.${random.pick(actorKinds)}`;
    add({ type: 'build', build, targets: [target] });
  }

  /** Upgrades as an operator does: one peer after the other. Then some change back, or were forgotten. */
  private upgradeAll(): void {
    const { random, add, run, peers, call } = this.stage;
    const spares = random.chance(0.5) ? [] : peers.slice(3);
    for (const peer of peers.filter((each) => !spares.includes(each))) {
      add({ type: 'build', build: 'new', targets: [peer] });
      run(600 * random.next());
      call();
    }
    run(2500 * random.next());
    add({ type: 'raise' });
    run(500 * random.next());
    if (spares.length > 0) add({ type: 'add', peer: random.pick(spares), timeout: 3000 });
    if (random.chance(0.5)) add({ type: 'build', build: 'old', targets: [random.pick(peers)] });
    for (let calls = 0; calls < 4; calls++) call();
    run(2000 * random.next());
  }
}
