/**
 * Faults within one round trip, or against one message: bursts of reads and writes, a leader that returns, messages
 * that arrive when they are outdated. This has its own random stream: the rest of a seed's plan does not depend on it.
 */
import type { Command } from '../language/command.js';
import { leader, type PlanContext } from './fault-sequences.js';

/** As of slow disks in `random-plan.ts`: an election takes longer. */
const slowDiskMs = 500;
const fastDiskMs = 2;

/** What a plan provides to these faults. */
export interface TimingStage extends Omit<PlanContext, 'call' | 'somePeers'> {
  /** Adds a read of this client. `at`: on the subject of that peer. */
  read(client: string, at: string | undefined): Command;
  write(client: string): Command;
  readonly clients: readonly string[];
}

export class TimingFaults {
  private readonly often: number;
  private readonly scenes: readonly (() => void)[];

  /** @param context its `random` is the stream of these faults alone */
  constructor(private readonly stage: TimingStage) {
    const { random } = stage;
    this.often = random.chance(0.8) ? 0.01 + 0.05 * random.next() : 0;
    const all = [
      () => this.burst(),
      () => this.burst(),
      () => this.oldLeaderReturns(),
      () => this.lateMessages('node.timeout_now'),
      () => this.lateTimeoutNow(),
      () => this.lateAppends(),
      () => this.secondNodeVotes(),
      () => this.ballotBoxesRestart(),
    ];
    this.scenes = all.filter(() => random.chance(0.7));
  }

  /** At least one burst per plan: half of all bugs in reads need no other fault. */
  begin(): void {
    this.burst();
  }

  /** Adds one more of these faults now and then. */
  step(): void {
    const { random } = this.stage;
    if (random.chance(this.often) && this.scenes.length > 0) random.pick(this.scenes)();
  }

  /** In some runs an operator resets a group in which the replacement of a lost store is stuck in its joint stage. */
  resetDuringReplacement(): void {
    const { random, add, run, peers } = this.stage;
    if (!random.chance(0.12)) return;
    add({ type: 'reconnect' });
    add({ type: 'start', targets: ['all'] });
    run(1500);
    add({ type: 'wipe', peer: random.pick(peers), ifSpare: true });
    run(100 * random.next());
    add({ type: 'start', targets: ['all'] });
    add({ type: 'run', ms: 8000, until: 'heal' });
    // The entry is in flight to some disks.
    run(random.chance(0.5) ? 5 * random.next() : 60 * random.next());
    const left = random.chance(0.5) ? leader : random.pick(peers);
    if (left === leader) add({ type: 'cut', groups: [[leader], peers], oneWay: false });
    else add({ type: 'crash', targets: peers.filter((peer) => peer !== left) });
    this.call();
    run(2500 + 500 * random.next());
    add({ type: 'reset-survivors', alone: random.chance(0.7), now: true });
    run(1500 * random.next());
    add({ type: 'reconnect' });
    add({ type: 'start', targets: ['all'] });
    run(2000 * random.next());
    this.burst();
  }

  /** Reads at one peer, the leader among others, and writes, all within a round trip or two. */
  private burst(): void {
    const { random, add, peers, clients } = this.stage;
    const at = random.chance(0.5) ? undefined : random.pick(peers);
    for (let calls = 6 + random.below(8); calls > 0; calls--) {
      const client = random.pick(clients);
      add(random.chance(0.35) ? this.stage.write(client) : this.stage.read(client, at));
      if (random.chance(0.6)) add({ type: 'run', ms: Math.round(3000 * random.next()) / 1000 });
    }
  }

  /** An isolated leader receives requests while another one leads, and again when it is back. */
  private oldLeaderReturns(): void {
    const { random, add, run, peers } = this.stage;
    this.burst();
    const alone = random.chance(0.3);
    const groups = alone ? [peers, [leader]] : [[leader], peers];
    add({ type: 'cut', groups, oneWay: alone });
    this.burst();
    if (random.chance(0.7)) add({ type: 'run', ms: 4000, until: 'elected' });
    run(random.chance(0.5) ? 30 * random.next() : 1200 * random.next());
    this.burst();
    add({ type: 'reconnect' });
    run(8 * random.next());
    this.burst();
  }

  /** Adds some calls. */
  private call(): void {
    const { random, add, clients } = this.stage;
    for (let calls = 1 + random.below(3); calls > 0; calls--) {
      const client = random.pick(clients);
      add(random.chance(0.7) ? this.stage.write(client) : this.stage.read(client, undefined));
    }
  }

  private lateMessages(message: string): void {
    const { random, add, run } = this.stage;
    add({ type: 'delay', message, ms: 200 + random.below(2500) });
    run(200 * random.next());
  }

  /** A `timeout_now` arrives after its leader has given up the transfer, and perhaps after another peer was elected. */
  private lateTimeoutNow(): void {
    const { random, add, run, peers } = this.stage;
    add({ type: 'delay', message: 'node.timeout_now', ms: 1500 + random.below(2500) });
    if (random.chance(0.2)) add({ type: 'remove', peer: random.pick(peers), timeout: 2000 });
    else if (random.chance(0.7)) add({ type: 'transfer' });
    else add({ type: 'read-only', peer: random.pick(peers), on: true });
    run(300 * random.next());
    this.burst();
    if (random.chance(0.5)) {
      add({ type: 'crash', targets: [`${leader}.node`] });
      add({ type: 'run', ms: 3500, until: 'elected' });
      add({ type: 'start', targets: ['all'] });
    } else {
      run(1500 + 1000 * random.next());
    }
    this.burst();
    run(2000 * random.next());
    this.burst();
    for (const peer of peers) add({ type: 'read-only', peer, on: false });
    add({ type: 'reconnect' });
  }

  /** Appends arrive when the log has advanced without them, or when a snapshot is about to replace it. */
  private lateAppends(): void {
    const { random, add, run, peers } = this.stage;
    const away = random.pick(peers);
    const message = random.pick(['feed.append', 'node.append_entries', 'node.append_entries']);
    add({ type: 'disk', peer: away, delay: 100 + random.below(slowDiskMs), fail: false });
    for (let times = 3; times > 0; times--) {
      this.call();
      run(30 * random.next());
    }
    add({ type: 'delay', message, ms: 50 + random.below(800) });
    for (let times = 4; times > 0; times--) {
      this.call();
      run(60 * random.next());
    }
    for (const peer of peers) if (peer !== away && random.chance(0.8)) add({ type: 'snapshot', peer });
    if (random.chance(0.5)) {
      add({ type: 'crash', targets: [`${away}.log-store`] });
      run(400 * random.next());
      add({ type: 'start', targets: ['all'] });
    }
    for (let times = 4; times > 0; times--) {
      this.call();
      run(150 * random.next());
    }
    if (random.chance(0.4)) this.followersFallOut();
    add({ type: 'reconnect' });
    add({ type: 'disk', peer: away, delay: fastDiskMs, fail: false });
  }

  /** A leader is elected again while followers of another leader are still subscribed to its feed. */
  private followersFallOut(): void {
    const { random, add, run } = this.stage;
    add({ type: 'pause', targets: [`${leader}.node`] });
    this.call();
    add({ type: 'run', ms: 3000, until: 'elected' });
    this.call();
    run(20 * random.next());
    add({ type: 'resume', targets: ['all'] });
    add({ type: 'transfer' });
    this.call();
    run(300 * random.next());
  }

  /**
   * A second node of a follower opens its log-store, and the first one does not learn of that: earlier acknowledgements
   * of the log-store are still in flight to it, and nothing else reaches it.
   */
  private secondNodeVotes(): void {
    const { random, add, run, peers } = this.stage;
    const peer = random.pick(peers);
    const [node, store] = [`${peer}.node`, `${peer}.log-store`];
    add({ type: 'delay', from: store, to: node, ms: 300 + random.below(600) });
    run(100 * random.next());
    add({ type: 'duplicate-node', peer });
    run(40 * random.next());
    add({ type: 'cut', groups: [[node], [store]], oneWay: true });
    if (random.chance(0.5)) add({ type: 'cut', groups: [[leader], [`${peer}.duplicate-node`]], oneWay: false });
    if (random.chance(0.3)) add({ type: 'transfer' });
    run(600 + 900 * random.next());
    this.burst();
    run(1500 * random.next());
    this.burst();
    add({ type: 'reconnect' });
    run(300 * random.next());
    add({ type: 'crash', targets: [`${peer}.duplicate-node`, node] });
    add({ type: 'start', targets: ['all'] });
  }

  /** Ballot-boxes restart while candidates wait for their disks. */
  private ballotBoxesRestart(): void {
    const { random, add, run, peers } = this.stage;
    for (const peer of peers) add({ type: 'disk', peer, delay: 150 + random.below(slowDiskMs), fail: false });
    add({ type: 'crash', targets: [`${leader}.node`] });
    run(900 * random.next());
    for (let times = 6; times > 0; times--) {
      run(250 * random.next());
      const spared = random.pick(peers);
      const targets = peers.filter((peer) => peer !== spared).map((peer) => `${peer}.ballot-box`);
      add({ type: 'crash', targets });
      add({ type: 'start', targets });
    }
    for (const peer of peers) add({ type: 'disk', peer, delay: fastDiskMs, fail: false });
    add({ type: 'start', targets: ['all'] });
  }
}
