/**
 * The disks of leaders fill, one after the other, as each hands over to the next; some are freed again, in any order. It has a
 * chance of its own: what else happens in a seed's plan does not depend on it.
 */
import { leader, type Stage } from './scenes.js';

/** Of a disk, in MiB: far below the reserve, and far above. */
const fullMib = 10;
const roomyMib = 100_000;
const perStep = 0.02;

export class DisksFill {
  private readonly isOn: boolean;

  /** @param stage whose `random` is the chance of these faults alone */
  constructor(private readonly stage: Stage) {
    this.isOn = stage.random.chance(0.4);
  }

  /** Once more, now and then. */
  step(): void {
    const { random } = this.stage;
    if (this.isOn && random.chance(perStep)) this.leadersFill();
  }

  private leadersFill(): void {
    const { random, add, run, peers, call } = this.stage;
    for (let times = 2 + random.below(2); times > 0; times--) {
      add({ type: 'disk', peer: leader, free: fullMib, fail: false });
      call();
      // The leadership is handed over with the next tick, unless the next disk fills before.
      run(random.chance(0.3) ? 120 * random.next() : 300 + 1500 * random.next());
      call();
    }
    if (random.chance(0.3)) add({ type: 'crash', targets: [leader] });
    run(2000 * random.next());
    add({ type: 'start', targets: ['all'] });
    for (const peer of peers) {
      if (random.chance(0.9)) add({ type: 'disk', peer, free: roomyMib, fail: false });
      if (random.chance(0.3)) run(600 * random.next());
    }
  }
}
