/**
 * What a plan does about snapshots, lost stores and full disks, between all else that it does. It has a chance of its own:
 * what else happens in a seed's plan does not depend on it.
 *
 * Owns the options of the mesh that have to do with it: in most runs snapshots are so small that a log is compacted many
 * times, and so few entries are kept that whoever was away for a while needs a snapshot.
 */
import { actorKinds } from '@conclave/protocol';
import type { PeersCommand } from '../language/command.js';
import { stateParts } from '../mesh/flipped-state.js';
import { leader, type PlanContext } from './fault-sequences.js';

/** Of a disk, in MiB: far below the reserve, and far above. */
const fullMib = 10;
const roomyMib = 100_000;

export class StoreFaults {
  private readonly scenes: readonly (() => void)[];
  private readonly often: number;

  /** @param stage whose `random` is the chance of these faults alone */
  constructor(private readonly stage: PlanContext) {
    const { random } = stage;
    this.often = random.chance(0.7) ? 0.12 * random.next() : 0;
    const all = [
      () => this.takeSnapshot(),
      () => this.peerIsFarBehind(),
      () => this.peerIsFarBehind(),
      () => this.storeIsLost(),
      () => this.diskIsFull(),
      () => this.manyWrites(),
      () => this.stateIsSpoiled(),
    ];
    this.scenes = all.filter(() => random.chance(0.7));
  }

  /** For the mesh. */
  options(): Partial<PeersCommand> {
    const { random } = this.stage;
    // As in production: in a run so short there is none by itself.
    if (random.chance(0.15)) return {};
    return {
      ...(random.chance(0.8) ? { snapshot: 60 + random.below(1200) } : {}),
      ...(random.chance(0.3) ? { every: 500 + random.below(4000) } : {}),
      keep: random.chance(0.6) ? random.below(4) : random.below(40),
      chunk: 40 + random.below(200),
      // The first chunk is taken for as large as chunks may be: so an installation waits for up to a second.
      ...(random.chance(0.4) ? { pace: 300_000 + random.below(3_000_000) } : {}),
    };
  }

  /** One more thing, now and then. */
  step(): void {
    const { random } = this.stage;
    if (random.chance(this.often) && this.scenes.length > 0) random.pick(this.scenes)();
  }

  /** In some runs: most disks are lost, and an operator has the rest go on; then everything else goes on as well. */
  loseTheQuorum(): void {
    const { random, add, run, peers } = this.stage;
    if (!random.chance(0.2)) return;
    // Of five members two may be left, who can go on together.
    if (random.chance(0.6)) {
      add({ type: 'reconnect' });
      add({ type: 'start', targets: ['all'] });
      add({ type: 'change', peers, timeout: 3000 });
      run(2500);
    }
    const [left = '', other = ''] = [random.pick(peers), random.pick(peers)];
    for (const peer of peers) {
      if (peer !== left && peer !== other && random.chance(0.9))
        add({ type: 'wipe', peer, ifSpare: false, ifHeld: true });
    }
    if (random.chance(0.5)) add({ type: 'reconnect' });
    if (random.chance(0.8)) add({ type: 'start', targets: ['all'] });
    this.manyWrites();
    run(1500 + 2500 * random.next());
    add({ type: 'reset-survivors', alone: random.chance(0.5) });
    if (random.chance(0.3)) this.crashDuring([left]);
    run(500 + 2500 * random.next());
    if (random.chance(0.6)) add({ type: 'reset-survivors', alone: true });
    run(3000 * random.next());
    this.manyWrites();
  }

  /** A state machine's memory is spoiled; then a snapshot may be taken of it, before anybody compares. */
  private stateIsSpoiled(): void {
    const { random, add, run, peers } = this.stage;
    const peer = random.pick(peers);
    this.manyWrites();
    add({ type: 'corrupt', peer, part: random.pick(stateParts) });
    if (random.chance(0.5)) add({ type: 'snapshot', peer });
    this.manyWrites();
    run(random.chance(0.6) ? 4000 * random.next() : 300 * random.next());
    if (random.chance(0.3)) this.crashDuring([peer, leader]);
  }

  private takeSnapshot(): void {
    const { random, add, peers } = this.stage;
    const peer = random.pick(peers);
    add({ type: 'snapshot', peer });
    if (random.chance(0.3)) this.crashDuring([peer]);
  }

  private manyWrites(): void {
    const { random, run, call } = this.stage;
    for (let times = 3 + random.below(6); times > 0; times--) {
      call();
      run(30 * random.next());
    }
  }

  /** A peer is away while the others go on, and let go what it lacks; when it comes back, somebody dies in the middle. */
  private peerIsFarBehind(): void {
    const { random, add, run, peers } = this.stage;
    const away = random.pick(peers);
    const isCut = random.chance(0.3);
    if (isCut)
      add({ type: 'cut', groups: [[away], peers.filter((peer) => peer !== away)], oneWay: random.chance(0.3) });
    else add({ type: 'crash', targets: random.chance(0.5) ? [away] : [`${away}.log-store`] });
    this.manyWrites();
    for (const peer of peers) if (peer !== away && random.chance(0.7)) add({ type: 'snapshot', peer });
    run(300 * random.next());
    this.manyWrites();
    add(isCut ? { type: 'reconnect' } : { type: 'start', targets: [away] });
    this.crashDuring([away, leader]);
  }

  /** A peer's store is lost, and it comes back empty: it has to be healed, whatever happens meanwhile. */
  private storeIsLost(): void {
    const { random, add, run, peers } = this.stage;
    const lost = random.chance(0.2) ? leader : random.pick(peers);
    add({ type: 'wipe', peer: lost, ifSpare: true });
    run(300 * random.next());
    add({ type: 'start', targets: ['all'] });
    if (random.chance(0.5)) this.manyWrites();
    run(random.chance(0.5) ? 3000 + 2000 * random.next() : 1500 * random.next());
    if (random.chance(0.6)) this.crashDuring([lost, leader]);
  }

  /** A disk has less room than the reserve, for a while; of a majority, now and then. */
  private diskIsFull(): void {
    const { random, add, run, peers } = this.stage;
    const full = peers.filter(() => random.chance(0.35));
    for (const peer of full) add({ type: 'disk', peer, free: fullMib, fail: false });
    this.manyWrites();
    run(random.chance(0.5) ? 200 * random.next() : 2500 * random.next());
    this.manyWrites();
    for (const peer of full) if (random.chance(0.8)) add({ type: 'disk', peer, free: roomyMib, fail: false });
  }

  /** A while after something has begun, one of those who are at it dies, or several, and comes back. */
  private crashDuring(among: readonly string[]): void {
    const { random, add, run, call } = this.stage;
    for (let times = 1 + random.below(3); times > 0; times--) {
      run(random.chance(0.7) ? 120 * random.next() : 1500 * random.next());
      const one = random.pick(among);
      const dice = random.next();
      if (dice < 0.15) continue;
      if (dice < 0.75) add({ type: 'crash', targets: [`${one}.${random.pick(actorKinds)}`] });
      else if (dice < 0.95) add({ type: 'crash', targets: [one] });
      else add({ type: 'crash', targets: ['all'] });
      if (random.chance(0.3)) call();
      run(random.chance(0.6) ? 60 * random.next() : 1500 * random.next());
      add({ type: 'start', targets: ['all'] });
    }
  }
}
