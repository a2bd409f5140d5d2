/**
 * One lasting fault that leaves the leader a quorum whose members can all exchange messages: a dead or paused follower, or a link that
 * is cut in one direction. During the fault the leader must stay leader in its term, and writes must be committed within a bound.
 */
import { actorKinds, type PeerId } from '@conclave/protocol';
import type { Expect, RunContext } from './run-context.js';

/** The fault lasts for this many rounds of one write each: longer than any election timeout. */
const faultRounds = 6;
const roundMs = 1000;
const writeMs = 1500;

export class LastingFault {
  constructor(
    private readonly context: RunContext,
    private readonly expect: Expect,
    private readonly leader: PeerId,
    private readonly members: readonly PeerId[],
  ) {}

  run(): void {
    const { mesh } = this.context;
    const followers = this.members.filter((peerId) => peerId !== this.leader);
    // Without the affected follower, the leader and the other followers must be a majority, and the leader must be a member.
    if (followers.length < 2 || followers.length === this.members.length) return;
    const away = mesh.random.pick(followers);
    const other = mesh.random.pick(followers.filter((peerId) => peerId !== away));
    const faults = [
      { name: 'a dead follower', begin: () => mesh.crashPeer(away), end: () => mesh.startPeer(away) },
      { name: 'a paused follower', begin: () => this.pause(away), end: () => this.resume(away) },
      this.cut('from the leader', this.leader, away),
      this.cut('to the leader', away, this.leader),
      this.cut('between followers', away, other),
    ];
    const { name, begin, end } = mesh.random.pick(faults);
    const { term } = mesh.node(this.leader).summary();
    begin();
    for (let round = 0; round < faultRounds; round++) this.write(round, term);
    end();
    // The follower must not depose the leader after the fault either.
    for (let round = 0; round < 2; round++) this.write(faultRounds + round, term);
    mesh.coverage.count(`lasting fault: ${name}`);
  }

  private cut(name: string, from: PeerId, to: PeerId): { name: string; begin: () => void; end: () => void } {
    const { network } = this.context.mesh;
    return {
      name: `no messages ${name}`,
      begin: () => network.cut([[from], [to]], true),
      end: () => network.endCuts(),
    };
  }

  private write(round: number, term: number): void {
    const { mesh, clients } = this.context;
    const call = clients.call({ type: 'client', client: 'c9', operation: 'put', key: 'lasting', value: `${round}` });
    this.expect('a-lasting-fault-stops-no-writes', () => call.outcome === 'ok', writeMs);
    mesh.run(roundMs);
    const stays = (): boolean => mesh.leader === this.leader && mesh.node(this.leader).summary().term === term;
    this.expect('a-lasting-fault-unseats-no-leader', stays, 0);
  }

  private pause(peerId: PeerId): void {
    for (const kind of actorKinds) this.context.mesh.pause(peerId, kind);
  }

  private resume(peerId: PeerId): void {
    for (const kind of actorKinds) this.context.mesh.resume(peerId, kind);
  }
}
