/**
 * One more fault or command for a healthy group: for example an actor of its leader crashes, or an operator transfers leadership.
 * The exact outcome is checked, not only that the group recovers (DESIGN, section 5, the table of deaths).
 */
import { type ActorKind, defaultTimes, type PeerId, peerIds } from '@conclave/protocol';
import type { OperatorCommand } from '../language/command.js';
import { LastingFault } from './lasting-fault.js';
import type { Expect, RunContext } from './run-context.js';

/** Shorter than the time after which a client retries, and not longer than a lease: neither must be the reason for a success. */
const replyMs = 900;
/** A peer detects a silent actor within this many election timeouts: on the first tick after the actor was silent for one. */
const noticeTimeouts = 1.5;
const electionMs = 20_000;
const bootstrapMs = 6000;
const changeMs = 40_000;

export class FinalFault {
  constructor(
    private readonly context: RunContext,
    private readonly expect: Expect,
    private readonly leader: PeerId,
    private readonly members: readonly PeerId[],
  ) {}

  private get noticeMs(): number {
    return noticeTimeouts * this.context.mesh.electionTimeoutMs(this.leader);
  }

  run(): void {
    const { random, peers } = this.context.mesh;
    const dice = random.next();
    if (dice < 0.15) this.restartActorOfLeader(random.pick(['ballot-box', 'replicator'] as const));
    else if (dice < 0.25) this.crashActorOfLeader(random.pick(['log-store', 'ballot-box', 'replicator'] as const));
    else if (dice < 0.35) this.operate({ type: 'transfer' }, replyMs, this.hasSuccessor());
    else if (dice < 0.45) {
      const others = peers.filter((peerId) => peerId !== this.leader);
      const newPeers = this.members.length < peers.length ? peers : others;
      this.operate({ type: 'change', peers: newPeers, timeout: changeMs }, changeMs, true);
    } else if (dice < 0.6) this.bootstrapAgain();
    else if (dice < 0.7) this.crashNewPeers();
    else if (dice < 0.95) new LastingFault(this.context, this.expect, this.leader, this.members).run();
  }

  /** The new peers of a change crash in its joint stage: the leader must roll the change back at the deadline of the stage. */
  private crashNewPeers(): void {
    const { mesh, clients } = this.context;
    const { leader } = this;
    // A member with a lost disk has another store than the configuration names, and still cannot be added.
    const current = peerIds(mesh.status(leader).configuration?.peers ?? []);
    const dying = mesh.peers.filter((peerId) => !current.includes(peerId)).slice(0, 2);
    if (dying.length < 2) return;
    const change = clients.operate({ type: 'change', peers: [leader, ...dying], timeout: changeMs });
    this.expect('new-peers-catch-up', () => mesh.lastStatus(leader).stage === 'joint', changeMs);
    for (const peerId of dying) mesh.crashPeer(peerId);
    const isRolledBack = () => change.settlement?.outcome === 'not_done' && mesh.leader === leader;
    this.expect('a-joint-stage-is-rolled-back', isRolledBack, defaultTimes.jointTimeoutMs + this.noticeMs);
    for (const peerId of dying) mesh.startPeer(peerId);
    mesh.coverage.count('joint stage rolled back without its new peers');
  }

  /** Empty peers are asked to create the group, although it exists: they must find the existing group, and create nothing. */
  private bootstrapAgain(): void {
    const { mesh } = this.context;
    const empty = mesh.peers.filter(
      (peerId) => !this.members.includes(peerId) && mesh.node(peerId).summary().last_index === 0,
    );
    const [at] = empty;
    if (at === undefined) return;
    this.operate({ type: 'bootstrap', at, peers: empty, timeout: bootstrapMs }, bootstrapMs, true);
    mesh.run(2 * this.noticeMs);
    mesh.coverage.count('group founded while it has a leader: refused');
  }

  /** Whether another member can lead: not one whose state differs from the majority's, or may do so, because there is no majority. */
  private hasSuccessor(): boolean {
    const { mesh } = this.context;
    const isDiverged = (peerId: PeerId): boolean => mesh.lastStatus(peerId).health.reason.startsWith('diverged');
    return this.members.some((peerId) => peerId !== this.leader && !isDiverged(peerId));
  }

  /** The ballot-box or the replicator of the leader restarts: the leader must stay, and commit an entry that it has just appended. */
  private restartActorOfLeader(kind: ActorKind): void {
    const { mesh, clients } = this.context;
    const { leader } = this;
    const { term, last_index } = mesh.node(leader).summary();
    const call = clients.call({ type: 'client', client: 'c9', operation: 'put', key: 'last', value: kind });
    this.expect('a-leader-appends', () => mesh.node(leader).summary().last_index > last_index, replyMs);
    mesh.crash(leader, kind);
    mesh.start(leader, kind);
    this.expect('a-leader-survives-an-actors-restart', () => call.outcome === 'ok', replyMs);
    mesh.run(2 * this.noticeMs);
    const stillLeads = () => mesh.leader === leader && mesh.node(leader).summary().term === term;
    this.expect('a-leader-survives-an-actors-restart', stillLeads, 0);
    mesh.coverage.count(`leader survives the restart of its ${kind}`);
  }

  /** An actor of the leader crashes and is not restarted: another peer must be elected. */
  private crashActorOfLeader(kind: ActorKind): void {
    const { mesh, quorums } = this.context;
    const { leader } = this;
    if (this.members.length < 3 || !quorums.isSpare(leader)) return;
    mesh.crash(leader, kind);
    this.expect('a-leader-without-an-actor-steps-down', () => mesh.leader !== leader, this.noticeMs);
    this.expect('a-leader-is-elected', () => mesh.leader !== undefined, electionMs);
    mesh.start(leader, kind);
    mesh.coverage.count(`leader steps down without its ${kind}`);
  }

  private operate(command: OperatorCommand, withinMs: number, isPossible: boolean): void {
    if (!isPossible) return;
    let call = this.context.clients.operate(command);
    const isServed = (): boolean => {
      const { settlement } = call;
      // A peer may still carry out an earlier command: the operator repeats this one.
      const isBusy = settlement?.outcome === 'not_done' && settlement.error.code === 'EBUSY';
      if (isBusy) call = this.context.clients.operate(command);
      return settlement?.outcome === 'done';
    };
    this.expect('an-operator-is-served', isServed, withinMs);
  }
}
