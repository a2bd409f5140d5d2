/**
 * One seed, one run: first a phase with faults, in which nothing may be lost; then the faults end, and the group must
 * come back by itself.
 */
import { actorKinds, type Configuration, decodeConfiguration, majority, type PeerId } from '@conclave/protocol';
import { Judges } from './judges.js';
import { CoreMesh } from './mesh/core-mesh.js';
import { RandomClients } from './random-clients.js';

const all = ['n1', 'n2', 'n3', 'n4', 'n5'] as PeerId[];
const founders = all.slice(0, 3);

export interface RunResult {
  readonly acknowledged: number;
  readonly reads: number;
  readonly changes: number;
  readonly leaders: number;
  /** False: a wiped store has taken the quorum of a configuration away, so that nobody can come back. */
  readonly cameBack: boolean;
}

/** @throws Error saying what did not hold. */
export function randomRun(seed: number, steps: number): RunResult {
  const run = new RandomRun(seed);
  run.found();
  for (let step = 0; step < steps; step++) run.step();
  return run.end();
}

class RandomRun {
  private readonly mesh: CoreMesh;
  private readonly judges: Judges;
  private readonly clients: RandomClients;
  private readonly down = new Set<string>();
  private steps = 0;
  /** How often processes fail in this run: a calm one gets further. */
  private readonly harshness: number;

  constructor(seed: number) {
    this.mesh = new CoreMesh(all, seed);
    this.harshness = this.mesh.random.next();
    this.judges = new Judges(this.mesh);
    this.clients = new RandomClients(this.mesh, all);
    this.mesh.watcher = {
      onSent: (...sent) => this.judges.onSent(...sent),
      onEvent: (...happened) => this.judges.onEvent(...happened),
      onApplied: (...applied) => this.judges.onApplied(...applied),
      onSynced: (...synced) => this.judges.onSynced(...synced),
      onAnswered: (...answered) => this.clients.onAnswered(...answered),
    };
  }

  found(): void {
    const { mesh } = this;
    const { random } = mesh;
    mesh.run(500);
    mesh.answered(mesh.admin('n1' as PeerId, 'peer', 'bootstrap', { peers: founders }), 20_000);
    mesh.faults = { loss: random.next() * 0.1, repeat: random.next() * 0.1, delayMs: 1 + random.next() * 30 };
  }

  step(): void {
    const { mesh, clients } = this;
    const { random } = mesh;
    mesh.run(random.next() * 150);
    const dice = random.next();
    if (dice < 0.4) clients.write();
    else if (dice < 0.52) clients.read();
    else if (dice < 0.62) this.crashActor();
    else if (dice < 0.66) this.crashPeer();
    else if (dice < 0.82) this.startSome();
    else if (dice < 0.86) this.cut();
    else if (dice < 0.91) mesh.isLinked = () => true;
    else if (dice < 0.915) mesh.startRival(this.pick(all));
    else if (dice < 0.925) this.wipe();
    else clients.command();
    this.steps += 1;
    if (this.steps % 10 === 0) this.judges.checkCommitted(all);
  }

  private pick<T>(items: readonly T[]): T {
    return items[this.mesh.random.below(items.length)] as T;
  }

  private crashActor(): void {
    if (this.mesh.random.next() > this.harshness) return;
    const [peer, kind] = [this.pick(all), this.pick(actorKinds)];
    this.mesh.crash(peer, kind);
    this.down.add(`${peer} ${kind}`);
    if (this.mesh.random.next() < 0.5) this.start(`${peer} ${kind}`);
  }

  private crashPeer(): void {
    if (this.mesh.random.next() > this.harshness) return;
    const peer = this.pick(all);
    this.mesh.crashPeer(peer);
    for (const kind of actorKinds) this.down.add(`${peer} ${kind}`);
  }

  private startSome(): void {
    for (const name of [...this.down]) if (this.mesh.random.next() < 0.4) this.start(name);
  }

  private start(name: string): void {
    const [peer, kind] = name.split(' ') as [PeerId, (typeof actorKinds)[number]];
    this.mesh.start(peer, kind);
    this.down.delete(name);
  }

  private cut(): void {
    const { mesh } = this;
    const apart = new Set(all.filter(() => mesh.random.next() < 0.4));
    const oneWay = mesh.random.next() < 0.3;
    mesh.isLinked = (from, to) => {
      const [a, b] = [apart.has(from.peerId), apart.has(to.peerId)];
      return oneWay ? !a || b : a === b;
    };
  }

  /** A volume is lost, of a peer that no configuration needs for its quorum. */
  private wipe(): void {
    const { mesh } = this;
    const peer = this.pick(all);
    if (this.configurations().some((configuration) => !this.hasQuorum(configuration, peer))) return;
    mesh.crashPeer(peer);
    mesh.wipe(peer);
    mesh.startPeer(peer);
    for (const kind of actorKinds) this.down.delete(`${peer} ${kind}`);
  }

  /** All that may yet be in force somewhere. */
  private configurations(): Configuration[] {
    const { mesh } = this;
    const committed = Math.max(...all.map((peer) => mesh.node(peer).summary().commit_index));
    return all.flatMap((peer) => {
      const stored = mesh.disks.entries(peer).filter(({ kind }) => kind === 'configuration');
      const last = stored.findLastIndex(({ index }) => index <= committed);
      const inMemory = mesh.status(peer).configuration;
      const onDisk = stored.slice(Math.max(last, 0)).map(({ payload }) => decodeConfiguration(payload));
      return inMemory === null ? onDisk : [...onDisk, inMemory];
    });
  }

  /** Whether a majority of each set has the stores that it is bound to, also without one peer. */
  private hasQuorum({ peers, old_peers }: Configuration, without?: PeerId): boolean {
    return [peers, old_peers].every((members) => {
      const whole = members.filter(
        ({ peer_id, store_id }) => peer_id !== without && this.storeOf(peer_id) === store_id,
      );
      return members.length === 0 || whole.length >= majority(members.length);
    });
  }

  private storeOf(peer: PeerId): string {
    return this.mesh.logStore(peer).durableState.storeId;
  }

  end(): RunResult {
    const { mesh, judges, clients } = this;
    mesh.faults = { loss: 0, repeat: 0, delayMs: 2 };
    mesh.isLinked = () => true;
    for (const peer of all) mesh.crashRival(peer);
    // Its last words may yet fence the other.
    mesh.run(1000);
    for (const name of [...this.down]) this.start(name);
    // Of two nodes one is fenced for good: somebody has to start it again.
    for (const peer of all) if (mesh.node(peer).summary().role === 'fenced') mesh.start(peer, 'node');
    mesh.run(8000);
    judges.checkCommitted(all);
    const cameBack = this.configurations().every((configuration) => this.hasQuorum(configuration));
    if (cameBack) this.comeBack();
    const leaders = mesh.events.filter(({ event }) => event.name === 'leader_elected').length;
    return { ...clients.counts(), leaders, cameBack };
  }

  private comeBack(): void {
    const { mesh, judges, clients } = this;
    mesh.until('there is a leader', () => mesh.leader !== undefined, 20_000);
    mesh.until('the change has ended', () => this.isStable(), 60_000);
    const last = mesh.answered(mesh.put(mesh.leader as PeerId, 'last', 'one'), 20_000);
    if (last === 'silence' || !('result' in last)) throw new Error(`the group takes no write: ${JSON.stringify(last)}`);
    mesh.run(2000);
    const { configuration } = mesh.status(mesh.leader as PeerId);
    const peers = configuration?.peers ?? [];
    const members = peers.filter(({ peer_id, store_id }) => this.storeOf(peer_id) === store_id);
    judges.checkAtTheEnd(members.map(({ peer_id }) => peer_id));
    clients.checkAtTheEnd(members.map(({ peer_id }) => peer_id));
  }

  private isStable(): boolean {
    const { leader } = this.mesh;
    if (leader === undefined) return false;
    const { stage, configuration } = this.mesh.status(leader);
    return stage === 'none' && configuration !== null && configuration.old_peers.length === 0;
  }
}
