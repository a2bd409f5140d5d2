/**
 * Sequences of several steps, each in good conditions, that random faults never produce. A plan has one of them or
 * none. They have their own random stream: apart from the time that passes, the rest of a seed's plan does not depend
 * on it.
 */
import { serverNames } from '../mesh/virtual-nats.js';
import { clients } from './client-calls.js';
import { leader, type PlanContext } from './fault-sequences.js';

/** The leases of locks last this long, because no client keeps them (`clients/lock-calls.ts`). */
const lockLeaseMs = 4000;
const electionMs = 3000;

export class LongFaultSequences {
  private sequence: (() => void) | undefined;
  /** The share of the run after which it happens. */
  private readonly dueAt: number;
  private values = 0;
  private isOver = false;

  /**
   * @param context its `random` is the stream of this alone
   * @param slower the peer that has a longer election timeout than all others, in a plan that reads by lease
   */
  constructor(
    private readonly stage: PlanContext,
    slower: string | undefined,
  ) {
    const { random } = stage;
    const scenes = [
      () => this.locksOfOneLease(),
      () => this.cutInboundOfFollower(),
      () => this.writersOutrunANewPeer(),
      () => this.readOnlyLeaderIsCutOff(),
    ];
    this.sequence = random.chance(0.3) ? random.pick(scenes) : undefined;
    this.dueAt = 0.1 + 0.8 * random.next();
    if (slower !== undefined && random.chance(0.7)) this.sequence = () => this.slowLeaderIsCutOff(slower);
  }

  /** @param share of the run that is over */
  step(share: number): void {
    if (this.isOver || share < this.dueAt) return;
    this.isOver = true;
    this.sequence?.();
  }

  /**
   * A client holds two locks for which others wait, and has requested them in another order than they were first held.
   * One member restores that from its snapshot. When the lease ends, all members pass both locks on, in the same order.
   */
  private locksOfOneLease(): void {
    const { random, add, run, peers } = this.stage;
    this.clearFaults();
    const lock = (client: string, operation: 'lock' | 'unlock', key: string): void => {
      add({ type: 'client', client, operation, key });
      run(150);
    };
    // Earlier locks end with their leases.
    run(lockLeaseMs + 1000);
    lock('c2', 'lock', 'l');
    lock('c1', 'lock', 'm');
    lock('c1', 'lock', 'l');
    lock('c2', 'unlock', 'l');
    for (const key of ['m', 'l']) lock('c3', 'lock', key);
    const peer = random.pick(peers);
    add({ type: 'snapshot', peer });
    run(500);
    add({ type: 'crash', targets: [`${peer}.node`] });
    add({ type: 'start', targets: ['all'] });
    run(lockLeaseMs + 1500);
    for (const key of ['m', 'l']) lock('c3', 'unlock', key);
  }

  /** A follower receives nothing but can send, while nothing is written: its log is as long as any. */
  private cutInboundOfFollower(): void {
    const { random, add, run, peers } = this.stage;
    this.clearFaults();
    const peer = random.pick(peers);
    for (const times of [1, 2]) {
      run(1500);
      add({ type: 'cut', groups: [peers.filter((one) => one !== peer), [peer]], oneWay: true });
      run(electionMs + times * 500 * random.next());
      add({ type: 'reconnect' });
    }
  }

  /** Writes come as fast as a new peer, whose disk is slow, can store them. */
  private writersOutrunANewPeer(): void {
    const { random, add, run, peers } = this.stage;
    this.clearFaults();
    const peer = random.pick(peers.slice(3));
    add({ type: 'remove', peer, timeout: 3000 });
    run(1500);
    add({ type: 'disk', peer, delay: 150 + random.below(250), fail: false });
    add({ type: 'add', peer, timeout: 8000 });
    for (let writes = 0; writes < 200; writes++) {
      this.write();
      run(15 + 10 * random.next());
    }
    add({ type: 'disk', peer, delay: 2, fail: false });
    run(500);
  }

  /** A read-only leader is cut off and receives requests while another one is elected. */
  private readOnlyLeaderIsCutOff(): void {
    const { random, add, run, peers } = this.stage;
    this.clearFaults();
    for (const peer of peers) add({ type: 'read-only', peer, on: true });
    run(1000);
    add({ type: 'cut', groups: [[leader], peers], oneWay: random.chance(0.3) });
    for (let writes = 0; writes < 8; writes++) {
      run(250 * random.next());
      this.write();
    }
    for (const peer of peers) add({ type: 'read-only', peer, on: false });
    run(1000);
    add({ type: 'reconnect' });
  }

  /** The others elect another leader before this one's election timeout is over, and clients read by lease of both. */
  private slowLeaderIsCutOff(slower: string): void {
    const { add, run, peers } = this.stage;
    this.clearFaults();
    for (let times = 0; times < 3; times++) {
      add({ type: 'transfer', peer: slower });
      run(2000);
      this.write();
      add({ type: 'cut', groups: [[slower], peers.filter((peer) => peer !== slower)], oneWay: false });
      add({ type: 'run', ms: electionMs, until: 'elected' });
      for (let rounds = 0; rounds < 8; rounds++) {
        this.write();
        run(20);
        for (const client of clients)
          add({ type: 'client', client, operation: 'get', key: `w${this.values % 4}`, by: 'lease' });
        run(15);
      }
      add({ type: 'reconnect' });
      run(electionMs);
    }
  }

  private write(): void {
    this.values += 1;
    const { random, add } = this.stage;
    const client = random.pick(clients);
    add({ type: 'client', client, operation: 'put', key: `w${this.values % 4}`, value: `w${this.values}` });
  }

  private clearFaults(): void {
    const { add, run, peers } = this.stage;
    add({ type: 'reconnect' });
    add({ type: 'network', loss: 0, repeat: 0, delay: 2 });
    for (const server of serverNames) add({ type: 'nats', state: 'up', server });
    for (const peer of peers) add({ type: 'disk', peer, delay: 2, fail: false });
    add({ type: 'resume', targets: ['all'] });
    add({ type: 'start', targets: ['all'] });
    run(electionMs);
  }
}
