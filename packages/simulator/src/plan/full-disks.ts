/**
 * The disks of leaders fill, one after the other, as each transfers leadership to the next; some are freed again, in
 * any order. This has its own random stream: the rest of a seed's plan does not depend on it.
 */
import { leader, type PlanContext } from './fault-sequences.js';

/** Free space of a disk, in MiB: far below the reserve, and far above it. */
const fullMib = 10;
const roomyMib = 100_000;
const perStep = 0.02;

export class FullDisks {
  private readonly isOn: boolean;

  /** @param context its `random` is the stream of these faults alone */
  constructor(private readonly stage: PlanContext) {
    this.isOn = stage.random.chance(0.4);
  }

  /** Adds this once more now and then. */
  step(): void {
    const { random } = this.stage;
    if (!this.isOn || !random.chance(perStep)) return;
    if (random.chance(0.3)) this.lateTransferOrder();
    else this.leadersFill();
  }

  /**
   * A read-only leader transfers leadership to a peer whose node is paused: the order arrives after the transfer's
   * deadline, and the old leader is cut off from the new one. Clients reach both.
   */
  private lateTransferOrder(): void {
    const { random, add, run, peers, call } = this.stage;
    const late = [random.pick(peers)];
    add({ type: 'reconnect' });
    add({ type: 'start', targets: ['all'] });
    run(1200);
    add({ type: 'pause', targets: late.map((peer) => `${peer}.node`) });
    add({ type: 'disk', peer: leader, free: fullMib, fail: false });
    run(2000 + 500 * random.next());
    add({ type: 'cut', groups: [peers, [leader]], oneWay: true });
    add({ type: 'resume', targets: late.map((peer) => `${peer}.node`) });
    for (let times = 8; times > 0; times--) {
      run(40 * random.next());
      call();
    }
    run(1500 * random.next());
    add({ type: 'reconnect' });
    for (const peer of peers) add({ type: 'disk', peer, free: roomyMib, fail: false });
  }

  private leadersFill(): void {
    const { random, add, run, peers, call } = this.stage;
    for (let times = 2 + random.below(2); times > 0; times--) {
      add({ type: 'disk', peer: leader, free: fullMib, fail: false });
      call();
      // Leadership is transferred with the next tick, unless the next disk fills before.
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
