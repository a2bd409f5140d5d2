/**
 * The end of a run: all faults end, and the group must recover by itself, complete or roll back every change, and
 * answer every request. It checks liveness, and what can be checked only in a quiescent group. Then one final fault follows,
 * from which the group must recover, too, and in some runs the loss of the quorum or a second history.
 */
import { actorKinds, type PeerId } from '@conclave/protocol';
import { callTimeoutMs } from '../clients/virtual-client.js';
import { InvariantViolation } from '../invariants/invariant-violation.js';
import { countDrops } from '../mesh/coverage.js';
import { serverNames } from '../mesh/virtual-nats.js';
import { goodConditions } from '../mesh/virtual-network.js';
import { differenceOf, linesOfPieces } from '../model/model-state.js';
import { checkClients } from './check-clients.js';
import { FinalFault } from './final-fault.js';
import { hasAbandonedHistory, needsPeerInQuarantine } from './peers-without-election.js';
import { QuorumLossCheck } from './quorum-loss-check.js';
import type { RunContext } from './run-context.js';
import { SecondHistory } from './second-history.js';

/** How long the mesh runs before the phase continues: until old messages have arrived, and until all processes have started. */
const drainMs = 2500;
const startMs = 4000;
/** How long the phase waits at most for each condition. */
const leaderMs = 20_000;
const changeMs = 60_000;
const replyMs = 20_000;
/** How often a bootstrap is sent that was not done, and how long the operator waits in between. */
const [bootstrapAttempts, bootstrapAgainMs] = [5, 2000];
const replacementMs = 60_000;
const repairMs = 120_000;

export class LivenessPhase {
  constructor(private readonly context: RunContext) {}

  /**
   * If lost disks have destroyed the quorum of a configuration, only safety is checked: the group cannot recover then.
   * @throws InvariantViolation
   */
  run(): void {
    const { mesh, quorums, clients } = this.context;
    this.endFaults();
    mesh.run(startMs);
    // Messages that were in flight may have fenced a node meanwhile.
    this.repairAll();
    if (mesh.disks.truncations > 0) mesh.coverage.count('log truncated', mesh.disks.truncations);
    if (!quorums.isWhole) {
      mesh.coverage.count('quorum lost for good');
      clients.close();
      this.checkClients();
      return;
    }
    this.bootstrapIfMissing();
    this.endReadOnly();
    if (!mesh.until(() => mesh.leader !== undefined, leaderMs) && needsPeerInQuarantine(mesh)) {
      mesh.coverage.count('only a peer in quarantine has the last entries');
      clients.close();
      this.checkClients();
      return;
    }
    this.expect('a-leader-is-elected', () => mesh.leader !== undefined, leaderMs);
    this.expect('read-only-ends', () => this.isGroupWritable(), replyMs);
    this.expect('changes-end', () => this.isStable(), changeMs);
    this.writeOnce();
    this.expect('lost-stores-are-replaced', () => this.isStable() && this.areStoresBound(), replacementMs);
    this.expect('snapshots-end', () => this.areSnapshotsOver(), replyMs);
    this.expect('clients-are-answered', () => clients.openCalls === 0, callTimeoutMs + replyMs);
    this.expect('requests-are-answered', () => mesh.requests.unanswered().length === 0, replyMs);
    this.expect('members-catch-up', () => this.haveMembersSameState(), replyMs);
    this.expect('states-are-repaired', () => this.areStatesRepaired(), repairMs);
    this.compareWithTheModel();
    for (const { core, isUp } of mesh.actors) if (isUp) countDrops(mesh.coverage, core);
    this.finalFault();
    clients.close();
    const members = this.members();
    this.context.invariants.onEnd(members);
    this.checkClients();
    mesh.coverage.count('group recovered');
    const expect = this.expect.bind(this);
    const dice = mesh.random.next();
    if (dice < 0.3) new QuorumLossCheck(this.context, expect, members).run();
    else if (dice < 0.5) new SecondHistory(this.context, expect, members).run();
  }

  private checkClients(): void {
    const { context } = this;
    context.recordContinuingHistories();
    const { clocks } = context.mesh;
    checkClients(context.clients.history, (fromMs, forMs) => clocks.whenPassed(fromMs, forMs));
  }

  private endFaults(): void {
    const { mesh } = this.context;
    mesh.network.conditions = { ...goodConditions };
    mesh.network.endCuts();
    for (const server of serverNames) mesh.network.nats.up(server);
    mesh.diskDriver.clearFaults();
    for (const peerId of mesh.peers) {
      for (const processKind of [...actorKinds, 'duplicate-node'] as const) {
        mesh.resume(peerId, processKind);
        const actor = mesh.actor(peerId, processKind);
        if (actor !== undefined) mesh.skew(actor, 1, 0);
      }
      mesh.crash(peerId, 'duplicate-node');
    }
    // Messages of the duplicate node may still fence the peer's other node.
    mesh.run(drainMs);
    this.repairAll();
  }

  private repairAll(): void {
    for (const peerId of this.context.mesh.peers) this.repair(peerId);
  }

  /**
   * Does what an operator would do: replaces a damaged disk, discards an abandoned history, starts processes that are down, and restarts
   * a fenced node.
   */
  private repair(peerId: PeerId): void {
    const { mesh } = this.context;
    if (mesh.disks.isDamaged(peerId) || hasAbandonedHistory(mesh, this.context.invariants.record, peerId)) {
      mesh.crashPeer(peerId);
      mesh.disks.wipe(peerId);
    }
    for (const kind of actorKinds) {
      if (mesh.buildOf(peerId, kind) === 'old') {
        mesh.setBuild(peerId, kind, 'new');
        mesh.crash(peerId, kind);
      }
      const isFenced = kind === 'node' && mesh.isUp(peerId, kind) && mesh.node(peerId).summary().role === 'fenced';
      if (isFenced) mesh.coverage.count('fenced node started again');
      if (isFenced || !mesh.isUp(peerId, kind)) mesh.start(peerId, kind);
    }
  }

  /**
   * Bootstraps the group if no peer holds an entry: the script's bootstrap has failed because of the faults. A founder that has
   * given up keeps others from founding the group for some seconds.
   */
  private bootstrapIfMissing(): void {
    const { mesh, clients } = this.context;
    const [at] = mesh.peers;
    if (at === undefined || mesh.peers.some((peerId) => mesh.disks.lastIndex(peerId) > 0)) return;
    mesh.coverage.count('group founded after all faults');
    const isBusy = (): boolean => {
      const bootstrap = clients.operate({ type: 'bootstrap', at, peers: mesh.peers, timeout: replyMs });
      this.expect('groups-are-bootstrapped', () => bootstrap.settlement !== undefined, 2 * replyMs);
      return bootstrap.settlement?.outcome === 'not_done';
    };
    for (let attempt = 1; isBusy() && attempt < bootstrapAttempts; attempt += 1)
      mesh.until(() => false, bootstrapAgainMs);
  }

  /** Does what an operator would do with read-only peers: makes them writable. */
  private endReadOnly(): void {
    const { mesh, clients } = this.context;
    for (const peer of mesh.peers) {
      // On the wire, `told` means: by an operator (decision 0113).
      if (mesh.status(peer).read_only !== 'told') continue;
      const call = clients.operate({ type: 'read-only', peer, on: false });
      this.expect('read-only-ends', () => call.settlement !== undefined, replyMs);
      this.expect('read-only-ends', () => mesh.lastStatus(peer).read_only === '', replyMs);
    }
  }

  /** Whether all members accept entries, as far as the leader knows. */
  private isGroupWritable(): boolean {
    const { mesh } = this.context;
    return mesh.leader !== undefined && mesh.lastStatus(mesh.leader).progress.every(({ read_only }) => !read_only);
  }

  private writeOnce(): void {
    const { mesh, clients } = this.context;
    const call = clients.call({ type: 'client', client: 'c9', operation: 'put', key: 'last', value: 'one' });
    this.expect('writes-are-accepted', () => call.settledMs !== undefined, replyMs);
    if (call.outcome !== 'ok') {
      throw new InvariantViolation('writes-are-accepted', `the group accepts no write: ${call.outcome} ${call.code}`);
    }
    mesh.coverage.count('write after all faults');
  }

  private finalFault(): void {
    const { leader } = this.context.mesh;
    if (leader === undefined) return;
    const expect = this.expect.bind(this);
    new FinalFault(this.context, expect, leader, this.members()).run();
    this.expect('a-leader-is-elected', () => this.context.mesh.leader !== undefined, leaderMs);
    this.expect('clients-are-answered', () => this.context.clients.openCalls === 0, callTimeoutMs + replyMs);
    this.expect('members-catch-up', () => this.haveMembersSameState(), replyMs);
  }

  private isStable(): boolean {
    const { leader } = this.context.mesh;
    if (leader === undefined) return false;
    const { stage, configuration } = this.context.mesh.lastStatus(leader);
    return stage === 'none' && configuration !== null && configuration.old_peers.length === 0;
  }

  /** Whether the configuration names, for each member, the store that the peer has: lost stores are replaced automatically (promise 6). */
  private areStoresBound(): boolean {
    const { mesh, quorums } = this.context;
    if (mesh.leader === undefined) return false;
    const peers = mesh.lastStatus(mesh.leader).configuration?.peers ?? [];
    return peers.every(({ peer_id, store_id }) => quorums.storeOf(peer_id) === store_id);
  }

  /** Whether no snapshot is being taken, sent or restored. */
  private areSnapshotsOver(): boolean {
    const { mesh } = this.context;
    return mesh.peers.every((peerId) => {
      const { taking, restoring, installing, progress } = mesh.lastStatus(peerId);
      const isSending = peerId === mesh.leader && progress.some(({ install }) => install !== null);
      return taking === null && restoring === null && installing === null && !isSending;
    });
  }

  /** Returns the members that have the store that the configuration names for them. */
  private members(): PeerId[] {
    const { mesh, quorums } = this.context;
    const leader = mesh.leader;
    if (leader === undefined) return [];
    const peers = mesh.lastStatus(leader).configuration?.peers ?? [];
    return peers.filter(({ peer_id, store_id }) => quorums.storeOf(peer_id) === store_id).map(({ peer_id }) => peer_id);
  }

  /**
   * Whether all members have stored and applied the leader's whole log, and return the same values for all keys. Each call reads the
   * leader's last index again, because the leader may append entries by itself.
   */
  private haveMembersSameState(): boolean {
    const { mesh, clients } = this.context;
    const [first, ...others] = this.members();
    if (first === undefined || mesh.leader === undefined) return false;
    const { last_index } = mesh.summary(mesh.leader);
    const hasAll = (peerId: PeerId): boolean =>
      mesh.summary(peerId).applied_index === last_index && mesh.disks.lastIndex(peerId) === last_index;
    if (!hasAll(first) || !others.every(hasAll)) return false;
    const keys = [...new Set(clients.history.calls.map(({ key }) => key))];
    const found = JSON.stringify(mesh.query(first, keys));
    if (found === undefined) throw new Error('a state machine answers a query');
    for (const peerId of others) {
      const there = JSON.stringify(mesh.query(peerId, keys));
      if (there !== found)
        throw new InvariantViolation('members-have-the-same-state', `${first}: ${found}; ${peerId}: ${there}`);
    }
    return true;
  }

  /** Checks that each member whose state was not corrupted has the state of the model: keys, leases, locks and sessions. */
  private compareWithTheModel(): void {
    const { mesh, invariants } = this.context;
    const corrupted = this.members().filter((peerId) => mesh.isCorrupted(peerId));
    if (corrupted.length > 0 && corrupted.length < this.members().length / 2) {
      const seen = `the state of ${corrupted.join(', ')} was corrupted, and the comparison of digests did not detect it`;
      throw new InvariantViolation('states-are-repaired', seen);
    }
    const { states, commits } = invariants.record;
    for (const peerId of this.members()) {
      const entry = commits.at(mesh.node(peerId).summary().applied_index);
      if (entry === undefined || mesh.isCorrupted(peerId)) continue;
      const [expected, found] = [states.of(entry), linesOfPieces(mesh.stateOf(peerId))];
      const isSame = expected.length === found.length && expected.every((line, at) => line === found[at]);
      if (!isSame)
        throw new InvariantViolation('members-have-the-same-state', `${peerId}: ${differenceOf(expected, found)}`);
    }
  }

  /**
   * Whether no member's state differs from the majority's, and no member reports that its state differs. If no state has a majority,
   * only an operator can choose the right one: then this returns true.
   */
  private areStatesRepaired(): boolean {
    const { mesh } = this.context;
    if (!this.haveMembersSameState()) return false;
    const members = this.members();
    const digests = members.map((peerId) => mesh.digest(peerId));
    const maxEqual = Math.max(...digests.map((digest) => digests.filter((one) => one === digest).length));
    if (maxEqual <= members.length / 2) {
      mesh.coverage.count('no majority of the states agrees');
      return true;
    }
    const isReported = (peerId: PeerId): boolean => mesh.lastStatus(peerId).health.reason.startsWith('diverged');
    return maxEqual === members.length && !members.some(isReported);
  }

  private expect(invariant: string, condition: () => boolean, withinMs: number): void {
    if (this.context.mesh.until(condition, withinMs)) return;
    throw new InvariantViolation(invariant, `not within ${withinMs} ms, although all faults have ended`);
  }
}
