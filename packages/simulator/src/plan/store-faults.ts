/**
 * Faults of snapshots, stores and disks: small snapshots, lost disks, full disks. This has its own random stream: the
 * rest of a seed's plan does not depend on it.
 *
 * Owns the mesh's options for snapshots: in most runs snapshots are so small that a log is compacted many times, and so
 * few entries are kept that a peer which was down for a while needs a snapshot.
 */
import { actorKinds } from '@conclave/protocol';
import type { PeersCommand } from '../language/command.js';
import { stateParts } from '../mesh/corrupted-state.js';
import { leader, type PlanContext } from './fault-sequences.js';

/** Free space of a disk, in MiB: far below the reserve, and far above it. */
const fullMib = 10;
const roomyMib = 100_000;

export class StoreFaults {
  private readonly scenes: readonly (() => void)[];
  private readonly often: number;

  /** @param context its `random` is the stream of these faults alone */
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

  /** The options of the mesh that these faults need. */
  options(): Partial<PeersCommand> {
    const { random } = this.stage;
    // As in production: a run is too short for one to be taken by itself.
    if (random.chance(0.15)) return {};
    return {
      ...(random.chance(0.8) ? { snapshot: 60 + random.below(1200) } : {}),
      ...(random.chance(0.3) ? { every: 500 + random.below(4000) } : {}),
      keep: random.chance(0.6) ? random.below(4) : random.below(40),
      chunk: 40 + random.below(200),
      // The first chunk is assumed to be as large as chunks may be, so an installation waits for up to a second.
      ...(random.chance(0.4) ? { pace: 300_000 + random.below(3_000_000) } : {}),
    };
  }

  /** Adds one more of these faults now and then. */
  step(): void {
    const { random } = this.stage;
    if (random.chance(this.often) && this.scenes.length > 0) random.pick(this.scenes)();
  }

  /** In some runs most disks are lost and an operator resets the rest; then the run continues as before. */
  loseTheQuorum(): void {
    const { random, add, run, peers } = this.stage;
    if (!random.chance(0.2)) return;
    // Of five members two may be left, which continue together.
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

  /** A state machine's memory is corrupted; then a snapshot of it may be taken before the members compare their digests. */
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

  /**
   * A peer is down while the others continue and compact what it lacks; when it returns, a process crashes during the
   * transfer.
   */
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

  /** A peer's disk is lost and it returns empty: its store has to be replaced, whatever happens meanwhile. */
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

  /** A disk has less free space than the reserve for a while; sometimes the disks of a majority. */
  private diskIsFull(): void {
    const { random, add, run, peers } = this.stage;
    const full = peers.filter(() => random.chance(0.35));
    for (const peer of full) add({ type: 'disk', peer, free: fullMib, fail: false });
    this.manyWrites();
    run(random.chance(0.5) ? 200 * random.next() : 2500 * random.next());
    this.manyWrites();
    for (const peer of full) if (random.chance(0.8)) add({ type: 'disk', peer, free: roomyMib, fail: false });
  }

  /** A while after something has begun, one or several of the peers involved crash, and restart. */
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
