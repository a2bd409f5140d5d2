/**
 * At the very end of some runs the quorum is lost for good, and an operator resets the survivors (promises 15 and 24).
 * The calls of clients were checked before, because entries that only the lost peers had are lost, as documented.
 */
import { majority, type PeerId } from '@conclave/protocol';
import type { Expect, RunContext } from './run-context.js';

/** Within this time the last messages of a dead leader have arrived, and a started peer knows whether there is a leader. */
const silenceMs = 4000;
const electionMs = 20_000;
const replyMs = 5000;

export class QuorumLossCheck {
  constructor(
    private readonly context: RunContext,
    private readonly expect: Expect,
    private readonly members: readonly PeerId[],
  ) {}

  run(): void {
    const { mesh } = this.context;
    const survivors = this.members.slice(0, majority(this.members.length) - 1);
    if (survivors.length === 0) return;
    const others = mesh.peers.filter((peerId) => !survivors.includes(peerId));
    for (const peerId of others) mesh.crashPeer(peerId);
    this.expect('nobody-leads-without-a-quorum', () => mesh.leader === undefined, electionMs);
    mesh.run(silenceMs);
    for (const peerId of survivors) this.reset(peerId, survivors);
    this.expect('survivors-elect-a-leader', () => this.isLeaderAmong(survivors), electionMs);
    mesh.coverage.count('survivors reset');
    // As many members of the old history return as there are survivors: too few for a quorum. The survivors must stay in their new
    // history even if all of these peers restart together.
    const back = this.members.filter((peerId) => others.includes(peerId)).slice(0, survivors.length);
    for (const peerId of survivors) mesh.crashPeer(peerId);
    for (const peerId of [...survivors, ...back]) mesh.startPeer(peerId);
    mesh.run(silenceMs);
    this.expect('a-reset-survives-a-restart', () => this.isLeaderAmong(survivors), electionMs);
    const histories = new Set(survivors.map((peerId) => mesh.status(peerId).group_uid));
    const isInNewHistory = (peerId: PeerId): boolean => histories.has(mesh.status(peerId).group_uid);
    this.expect('a-reset-survives-a-restart', () => histories.size === 1 && !back.some(isInNewHistory), 0);
  }

  private reset(at: PeerId, newPeers: readonly PeerId[]): void {
    const { mesh } = this.context;
    let isDone = false;
    const body = { new_peers: [...newPeers] };
    mesh.request(
      mesh.nodeActor(at),
      (requestId) => ({ type: 'admin', requestId, addressee: 'peer', command: 'reset_peer', body }),
      (answer) => {
        isDone = 'result' in answer;
      },
    );
    this.expect('survivors-are-reset', () => isDone, replyMs);
  }

  private isLeaderAmong(survivors: readonly PeerId[]): boolean {
    const { leader } = this.context.mesh;
    return leader !== undefined && survivors.includes(leader);
  }
}
