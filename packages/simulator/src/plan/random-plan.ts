/**
 * From a seed to a script: a group is created; then faults, calls and operators' commands happen at random, at a rate
 * of the run's own; then all faults end. The script follows from the seed alone and does not depend on how the run
 * goes.
 *
 * Each run leaves some kinds of fault out: they hide each other if all of them happen all the time.
 */
import { type Command, diskParts } from '../language/command.js';
import { Random } from '../mesh/random.js';
import { Builds } from './builds.js';
import { ClientCalls, clients } from './client-calls.js';
import { faultSequences, type PlanContext, rounded } from './fault-sequences.js';
import { Foundings } from './foundings.js';
import { FullDisks } from './full-disks.js';
import { Histories } from './histories.js';
import { KeyLeases } from './key-leases.js';
import { LongFaultSequences } from './long-fault-sequences.js';
import { NetworkFaults } from './network-faults.js';
import { ProcessFaults } from './process-faults.js';
import { Restores } from './restores.js';
import { StoreFaults } from './store-faults.js';
import { TimingFaults } from './timing-faults.js';

const peers = ['n1', 'n2', 'n3', 'n4', 'n5'];
const founders = peers.slice(0, 3);

/** Random streams of a plan. They differ from that of the run; the first ones: of the plan itself, and of how clients read. */
const planStream = 1;
const readStream = 7;
/** What else clients do. */
const useStream = 8;
/** What happens to stores. */
const storeStream = 3;
/** Which disks of leaders fill. */
const fillStream = 9;
/** What happens within a round trip. */
const timingStream = 11;
/** Which peers are asked to create the group, which exists. */
const foundingStream = 10;
/** Which builds processes run. */
const buildStream = 13;
/** When the group is created again. */
const historyStream = 21;
/** When it is restored from a backup. */
const backupStream = 27;
/** How clients use leases of keys. */
const leaseStream = 15;
/** Which peer has a longer election timeout. */
const timeoutStream = 25;
/** Which long fault sequence happens. */
const longStream = 23;

export function randomPlan(seed: number): Command[] {
  return new RandomPlan(seed).make();
}

/** A bootstrap asks all peers for three election timeouts, and once more if messages were lost. */
const foundingMs = 8000;

type Action = () => void;

class RandomPlan {
  private readonly commands: Command[] = [];
  /** How often processes fail in this run, from 0 to 1: with fewer faults a run makes more progress. */
  private readonly faultRate: number;
  private readonly actions: { readonly weight: number; readonly act: Action }[] = [];
  /** Whether clocks keep their bound, so that reads by lease are allowed. */
  private readonly hasBoundedClocks: boolean;
  private readonly processes: ProcessFaults;
  private readonly network: NetworkFaults;
  private readonly calls: ClientCalls;
  private readonly stores: StoreFaults;
  private readonly disks: FullDisks;
  private readonly timing: TimingFaults;
  private readonly foundings: Foundings;
  private readonly builds: Builds;
  private readonly histories: Histories;
  private readonly restores: Restores;
  private readonly leases: KeyLeases;
  private readonly long: LongFaultSequences;

  /** The number of the peer with a longer election timeout; 0: none. */
  private readonly slower: number;

  private readonly random: Random;
  private readonly reading: Random;
  private readonly using: Random;

  constructor(seed: number) {
    this.random = new Random(seed, planStream);
    this.reading = new Random(seed, readStream);
    this.faultRate = this.random.next();
    this.hasBoundedClocks = this.reading.chance(0.6);
    this.processes = new ProcessFaults(this.context(this.random), this.hasBoundedClocks);
    this.network = new NetworkFaults(this.context(this.random), this.faultRate);
    this.using = new Random(seed, useStream);
    this.calls = new ClientCalls(this.commands, peers, {
      reading: this.reading,
      using: this.using,
      hasBoundedClocks: this.hasBoundedClocks,
    });
    this.stores = new StoreFaults(this.context(new Random(seed, storeStream)));
    this.builds = new Builds(this.context(new Random(seed, buildStream)));
    this.histories = new Histories(this.context(new Random(seed, historyStream)), !this.builds.hasTwoBuilds);
    this.restores = new Restores(this.context(new Random(seed, backupStream)), !this.builds.hasTwoBuilds);
    this.disks = new FullDisks(this.context(new Random(seed, fillStream)));
    const timing = new Random(seed, timingStream);
    this.timing = new TimingFaults({
      ...this.context(timing),
      clients,
      read: (client, at) => this.calls.readIn(timing, client, at),
      write: (client) => this.calls.writeIn(timing, client),
    });
    this.leases = new KeyLeases(this.context(new Random(seed, leaseStream)));
    const timeouts = new Random(seed, timeoutStream);
    this.slower = timeouts.chance(0.1) ? 1 + timeouts.below(peers.length) : 0;
    const slower = this.hasBoundedClocks ? peers[this.slower - 1] : undefined;
    this.long = new LongFaultSequences(this.context(new Random(seed, longStream)), slower);
    this.foundings = new Foundings(this.context(new Random(seed, foundingStream)));
  }

  make(): Command[] {
    const { random } = this;
    // Two random values of an option that was removed: the seeds keep their plans.
    if (random.chance(0.5)) random.below(20);
    this.add({
      type: 'peers',
      peers,
      ...(random.chance(0.3) ? { session: 1000 + random.below(4000) } : {}),
      ...(random.chance(0.06) ? { wire: 1 } : {}),
      ...this.stores.options(),
      ...this.builds.options(),
      ...(this.slower === 0 ? {} : { slower: this.slower }),
    });
    this.found();
    if (this.using.chance(0.5)) this.add({ type: 'watch', prefix: this.using.pick(['', 'a', 'k']) });
    this.setWeights();
    this.network.changeConditions();
    this.timing.begin();
    this.setDisks();
    const steps = 60 + random.below(140);
    for (let step = 0; step < steps; step++) {
      if (step === Math.floor(0.7 * steps)) this.stores.loseTheQuorum();
      if (step === Math.floor(0.8 * steps)) this.timing.resetDuringReplacement();
      this.step();
      this.foundings.step(step > 0.85 * steps);
      this.histories.step(step / steps);
      this.restores.step(step / steps);
      this.long.step(step / steps);
    }
    this.add({ type: 'quiesce' });
    return this.commands;
  }

  private add(command: Command): void {
    this.commands.push(command);
  }

  private found(): void {
    const { random } = this;
    // Rarely in bad conditions: most of those runs make no progress.
    if (random.chance(0.1)) this.network.changeConditions();
    this.run(200 + 300 * random.next());
    this.add({ type: 'bootstrap', at: 'n1', peers: founders, timeout: foundingMs });
    if (random.chance(0.15)) this.bootstrapConcurrently();
    // A bootstrap asks all peers for three election timeouts.
    this.run(4200 + 2000 * random.next());
    // If the group exists, another bootstrap changes nothing.
    if (random.chance(0.3)) this.bootstrapAgain();
  }

  private bootstrapAgain(): void {
    this.add({ type: 'bootstrap', at: this.random.pick(founders), peers: founders, timeout: foundingMs });
  }

  /** Another peer creates it at the same time. */
  private bootstrapConcurrently(): void {
    const { random } = this;
    this.run(40 * random.next());
    this.bootstrapAgain();
  }

  private run(ms: number): void {
    this.add({ type: 'run', ms: rounded(ms) });
  }

  // ---- what may happen ---------------------------------------------------------------------------

  private setWeights(): void {
    const { random, faultRate } = this;
    const always = (weight: number, act: Action): void => {
      this.actions.push({ weight, act });
    };
    /** Not in each run, and with a weight by the run's fault rate. */
    const atTimes = (weight: number, act: Action): void => {
      if (random.chance(0.55)) always(weight * (0.2 + faultRate), act);
    };
    always(40, () => this.calls.add(this.random));
    always(8, () => this.processes.startSome());
    always(4, () => this.endSome());
    always(random.chance(0.8) ? 10 * random.next() : 0, () => this.operate());
    always(random.chance(0.6) ? 3 * random.next() : 0, () => this.addFaultSequence());
    atTimes(12, () => this.processes.crashActor());
    atTimes(4, () => this.processes.crashPeer());
    atTimes(0.6, () => this.processes.crashAll());
    atTimes(6, () => this.processes.pause());
    atTimes(2, () => this.processes.skew());
    atTimes(5, () => this.network.partition());
    atTimes(3, () => this.network.cutOneWay());
    atTimes(3, () => this.network.cutWithinPeer(this.processes.randomTarget()));
    atTimes(3, () => this.disk());
    atTimes(0.7, () => this.flip());
    atTimes(1, () => this.wipe());
    atTimes(0.7, () => this.processes.startDuplicateNode());
    atTimes(2, () => this.network.stopServers());
    atTimes(2, () => this.network.cutRoute());
    atTimes(1.5, () => this.crashClient());
    atTimes(2, () => this.network.changeConditions());
    if (this.reading.chance(0.3)) always(2, () => this.makeReadOnly());
  }

  private step(): void {
    const { random } = this;
    this.stores.step();
    this.disks.step();
    this.timing.step();
    this.builds.step();
    this.leases.step();
    this.run(this.pauseMs());
    const total = this.actions.reduce((sum, { weight }) => sum + weight, 0);
    let dice = random.next() * total;
    for (const { weight, act } of this.actions) {
      dice -= weight;
      if (dice < 0) return act();
    }
  }

  /** Often short, so that a command meets what the previous one has started; sometimes long enough for an election. */
  private pauseMs(): number {
    const { random } = this;
    const dice = random.next();
    if (dice < 0.4) return 15 * random.next();
    return dice < 0.93 ? 150 * random.next() : 500 + 2500 * random.next();
  }

  private addFaultSequence(): void {
    this.random.pick(faultSequences)(this.context(this.random));
  }

  private context(random: Random): PlanContext {
    return {
      random,
      peers,
      add: (command) => this.add(command),
      run: (ms) => this.run(ms),
      call: () => this.calls.add(random),
      somePeers: () => this.somePeers(),
    };
  }

  // ---- clients and operators ---------------------------------------------------------------------

  private crashClient(): void {
    this.add({ type: 'crash', targets: [this.random.pick(clients)] });
  }

  private operate(): void {
    const { random } = this;
    const dice = random.next();
    const timeout = random.chance(0.5) ? 200 + random.below(3000) : 3000;
    if (dice < 0.5) this.add({ type: 'change', peers: this.somePeers(), timeout });
    else if (dice < 0.58) this.add({ type: 'add', peer: random.pick(peers), timeout });
    else if (dice < 0.66) this.add({ type: 'remove', peer: random.pick(peers), timeout });
    else if (dice < 0.8) this.add({ type: 'cancel' });
    else if (dice < 0.87) this.add({ type: 'transfer' });
    else if (dice < 0.94) this.add({ type: 'transfer', peer: random.pick(peers) });
    // All peers: one of them has the group if it exists. A shorter list might miss it.
    else this.add({ type: 'bootstrap', at: random.pick(peers), peers, timeout: 2 * timeout });
  }

  /** Mostly ended again: otherwise little is written. */
  private makeReadOnly(): void {
    const { reading } = this;
    const peer = reading.pick(peers);
    this.add({ type: 'read-only', peer, on: true });
    if (reading.chance(0.4)) return;
    this.run(1500 * reading.next());
    this.add({ type: 'read-only', peer, on: false });
  }

  private somePeers(): string[] {
    const some = peers.filter(() => this.random.chance(0.6));
    return some.length === 0 ? [this.random.pick(peers)] : some;
  }

  // ---- disks -------------------------------------------------------------------------------------

  /** Sets how long syncing takes, on some disks longer than on others. */
  private setDisks(): void {
    const { random } = this;
    if (random.chance(0.4)) return;
    for (const peer of peers) {
      const delay = rounded(2 + 30 * random.next() * random.next());
      this.add({ type: 'disk', peer, delay, fail: false });
    }
  }

  private disk(): void {
    const { random } = this;
    const peer = random.pick(peers);
    if (random.chance(0.5)) {
      this.add({ type: 'disk', peer, delay: random.chance(0.3) ? 2 : this.slowness(), fail: false });
      return;
    }
    this.add({ type: 'disk', peer, fail: true });
    this.processes.onDown(`${peer}.log-store`);
  }

  /** Rarely so slow that another peer is elected before a write is done. */
  private slowness(): number {
    return rounded((this.random.chance(0.2) ? 4000 : 500) * this.random.next());
  }

  private flip(): void {
    const { random } = this;
    const peer = random.pick(peers);
    const part = random.pick(diskParts);
    this.add({ type: 'flip', peer, part, index: part === 'meta' ? 0 : 1 + random.below(60), ifSpare: true });
    // It is found when it is read.
    if (random.chance(0.6)) {
      this.processes.crash([`${peer}.log-store`]);
      this.processes.start([`${peer}.log-store`]);
    }
  }

  private wipe(): void {
    const peer = this.random.pick(peers);
    this.add({ type: 'wipe', peer, ifSpare: true });
    this.add({ type: 'start', targets: [peer] });
  }

  private endSome(): void {
    this.processes.resumeSome();
    this.network.endSome();
  }
}
