/** Crashes, pauses and wrong clocks of processes, at random. Remembers which processes are down or paused. */
import { actorKinds } from '@conclave/protocol';
import { leader, type PlanContext, rounded } from './fault-sequences.js';

/** Leases hold as long as no clock runs a tenth faster than another. */
const boundedClockRates = { min: 0.95, max: 1.05 };

export class ProcessFaults {
  private readonly down = new Set<string>();
  private readonly paused = new Set<string>();

  /** @param hasBoundedClocks whether clocks keep the bound that leases need */
  constructor(
    private readonly stage: PlanContext,
    private readonly hasBoundedClocks: boolean,
  ) {}

  /** Picks a peer by its name, or the one that leads at that time. */
  randomTarget(): string {
    const { random, peers } = this.stage;
    return random.chance(0.25) ? leader : random.pick(peers);
  }

  crashActor(): void {
    const { random, peers } = this.stage;
    const randomTarget = this.randomTarget();
    const kind = random.pick(actorKinds);
    this.crash([`${randomTarget}.${kind}`]);
    // It is not known which peer led.
    if (random.chance(0.5))
      this.start(randomTarget === leader ? peers.map((peer) => `${peer}.${kind}`) : [`${randomTarget}.${kind}`]);
  }

  crashPeer(): void {
    const randomTarget = this.randomTarget();
    this.crash(actorKinds.map((kind) => `${randomTarget}.${kind}`));
    if (this.stage.random.chance(0.3))
      this.start(randomTarget === leader ? ['all'] : actorKinds.map((kind) => `${randomTarget}.${kind}`));
  }

  crashAll(): void {
    const { add, run, random } = this.stage;
    add({ type: 'crash', targets: ['all'] });
    run(300 * random.next());
    add({ type: 'start', targets: ['all'] });
    this.down.clear();
    this.paused.clear();
  }

  crash(targets: readonly string[]): void {
    this.stage.add({ type: 'crash', targets });
    for (const target of targets) this.down.add(target);
  }

  /** Another fault ends this process, or may end it. */
  onDown(target: string): void {
    this.down.add(target);
  }

  start(targets: readonly string[]): void {
    // It is not known which peer led when it went down: all are started.
    this.stage.add({ type: 'start', targets: targets.some((target) => target.startsWith(leader)) ? ['all'] : targets });
    for (const target of targets) this.down.delete(target);
  }

  startSome(): void {
    const some = [...this.down].filter(() => this.stage.random.chance(0.5));
    if (some.length > 0) this.start(some);
  }

  pause(): void {
    const { random, add, run } = this.stage;
    const peer = this.randomTarget();
    const targets = random.chance(0.3)
      ? actorKinds.map((kind) => `${peer}.${kind}`)
      : [`${peer}.${random.pick(actorKinds)}`];
    add({ type: 'pause', targets });
    for (const target of targets) this.paused.add(target);
    if (random.chance(0.4)) return;
    run(random.chance(0.3) ? 3000 * random.next() : 300 * random.next());
    this.resume(targets);
  }

  resumeSome(): void {
    const resumed = [...this.paused].filter(() => this.stage.random.chance(0.6));
    if (resumed.length > 0) this.resume(resumed);
  }

  private resume(targets: readonly string[]): void {
    this.stage.add({
      type: 'resume',
      targets: targets.some((target) => target.startsWith(leader)) ? ['all'] : targets,
    });
    for (const target of targets) this.paused.delete(target);
  }

  skew(): void {
    const { random, peers, add } = this.stage;
    const target = `${random.pick(peers)}.${random.pick(actorKinds)}`;
    const share = random.next();
    const offset = random.chance(0.5) ? random.below(3000) : 0;
    const { min, max } = boundedClockRates;
    // A clock that jumps has exceeded any bound.
    if (this.hasBoundedClocks) add({ type: 'skew', target, rate: rounded(min + (max - min) * share), offset: 0 });
    else add({ type: 'skew', target, rate: rounded(0.5 + 1.5 * share), offset });
  }

  startDuplicateNode(): void {
    const { random, peers, add, run } = this.stage;
    const peer = random.pick(peers);
    add({ type: 'duplicate-node', peer });
    if (random.chance(0.3)) return;
    run(1000 * random.next());
    add({ type: 'crash', targets: [`${peer}.${random.chance(0.5) ? 'duplicate-node' : 'node'}`] });
    this.down.add(`${peer}.node`);
  }
}
