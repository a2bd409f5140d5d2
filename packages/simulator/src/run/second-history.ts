/**
 * At the very end of some runs a second group of the same name is created on purpose (`new`), while all peers of the first group are
 * down. Then these peers return. Both groups have a leader, so neither serves until the other one is gone (promise 29).
 *
 * Invariants and clients were checked before, because these checks support only one history at a time.
 */
import { majority, type PeerId } from '@conclave/protocol';
import { summaryOf } from '../invariants/record/nodes.js';
import type { Expect, RunContext } from './run-context.js';

const foundMs = 20_000;
const electionMs = 20_000;
/** Each leader publishes its history once a second. */
const noticeMs = 1500;
/** Within this time a leader that was just elected receives the echoes of its quorum. */
const confirmMs = 1000;
/** A leader forgets another history that was not announced for five seconds. */
const forgetMs = 7000;

export class SecondHistory {
  constructor(
    private readonly context: RunContext,
    private readonly expect: Expect,
    private readonly members: readonly PeerId[],
  ) {}

  run(): void {
    const { mesh } = this.context;
    mesh.observer = {};
    const founders = this.founders();
    const [at] = founders;
    if (at === undefined) return;
    const before = mesh.peers.filter((peerId) => !founders.includes(peerId));
    for (const peerId of mesh.peers) mesh.crashPeer(peerId);
    for (const peerId of founders) {
      mesh.disks.wipe(peerId);
      mesh.startPeer(peerId);
    }
    this.found(at, founders);
    for (const peerId of before) mesh.startPeer(peerId);
    this.expect('both-histories-are-led', () => this.histories().size === 2, electionMs);
    this.expect('two-histories-stop-each-other', () => this.haveAllStopped(), noticeMs);
    for (const type of ['propose', 'read'] as const) this.expectRefused(type);
    for (const peerId of before) mesh.crashPeer(peerId);
    const servesAgain = () =>
      mesh.servers.some((actor) => founders.includes(actor.peerId) && !this.hasStopped(actor.peerId));
    this.expect('the-remaining-history-serves-again', servesAgain, forgetMs);
    mesh.coverage.count('two histories have stopped each other');
  }

  /** Peers outside the group; if there are none, members that the rest can spare. */
  private founders(): PeerId[] {
    const { members } = this;
    const others = this.context.mesh.peers.filter((peerId) => !members.includes(peerId));
    return others.length > 0 ? others : members.slice(majority(members.length));
  }

  private found(at: PeerId, peers: readonly PeerId[]): void {
    const { mesh } = this.context;
    mesh.run(1000);
    let isFounded = false;
    const body = { peers: [...peers], timeout_ms: foundMs, new: true };
    mesh.request(
      mesh.nodeActor(at),
      (requestId) => ({ type: 'admin', requestId, addressee: 'peer', command: 'bootstrap', body }),
      (answer) => {
        isFounded = 'result' in answer;
      },
    );
    this.expect('a-new-group-is-bootstrapped', () => isFounded && mesh.leader !== undefined, foundMs + electionMs);
  }

  /** The histories of the nodes that serve. */
  private histories(): Set<string> {
    return new Set(this.context.mesh.servers.map((actor) => summaryOf(actor).group_uid));
  }

  private hasStopped(peerId: PeerId): boolean {
    return (this.context.mesh.lastStatus(peerId).other_history ?? null) !== null;
  }

  private haveAllStopped(): boolean {
    const { servers } = this.context.mesh;
    return servers.length > 1 && servers.every(({ peerId }) => this.hasStopped(peerId));
  }

  /** Checks that each of the leaders refuses requests of clients. */
  private expectRefused(type: 'propose' | 'read'): void {
    const { mesh } = this.context;
    for (const actor of mesh.servers) {
      let code = '';
      mesh.request(
        actor,
        (requestId) =>
          type === 'propose'
            ? { type: 'propose', requestId, payload: new Uint8Array(0), command: null }
            : {
                type: 'read',
                requestId,
                addressee: 'group',
                consistency: 'linearizable',
                query: { type: 'keys', keys: [] },
              },
        (answer) => {
          if ('error' in answer) code = answer.error.code;
        },
      );
      // A leader that was just elected answers no request before a quorum has echoed a tick.
      this.expect('two-histories-stop-each-other', () => code === 'EHISTORY', confirmMs);
    }
  }
}
