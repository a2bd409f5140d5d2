/** Which peers' disks a run may lose without destroying the quorum that the group needs to recover. */
import { type Configuration, majority, type PeerId } from '@conclave/protocol';
import type { CoreMesh } from '../mesh/core-mesh.js';

export class QuorumView {
  constructor(private readonly mesh: CoreMesh) {}

  /** Whether every configuration that may be effective has its quorum without this peer. */
  isSpare(peerId: PeerId): boolean {
    return this.configurations().every((configuration) => this.hasQuorum(configuration, peerId));
  }

  /** Whether every configuration that may be effective has its quorum. If not, the group cannot recover by itself. */
  get isWhole(): boolean {
    return this.configurations().every((configuration) => this.hasQuorum(configuration));
  }

  /** Returns the store that a peer has now; empty: none. */
  storeOf(peerId: PeerId): string {
    // The mesh still has the core of a process that is down, even if the disk of the process was lost since.
    const isLost = !this.mesh.isUp(peerId, 'log-store') && this.mesh.disks.lastIndex(peerId) === 0;
    return isLost ? '' : this.mesh.logStore(peerId).durableState.storeId;
  }

  /** All configurations that may still be effective somewhere. */
  private configurations(): Configuration[] {
    const { mesh } = this;
    const { peers } = mesh;
    const committed = Math.max(...peers.map((peerId) => mesh.node(peerId).summary().commit_index));
    return peers.flatMap((peerId) => {
      const stored = mesh.disks.configurations(peerId);
      const last = stored.findLastIndex(({ index }) => index <= committed);
      const inMemory = mesh.status(peerId).configuration;
      const onDisk = stored.slice(Math.max(last, 0)).map(({ configuration }) => configuration);
      return inMemory === null ? onDisk : [...onDisk, inMemory];
    });
  }

  /** Whether a majority of each set, not counting the peer `without`, has the stores that the configuration names, undamaged. */
  private hasQuorum({ peers, old_peers }: Configuration, without?: PeerId): boolean {
    return [peers, old_peers].every((members) => {
      const intact = members.filter(
        ({ peer_id, store_id }) =>
          peer_id !== without && this.storeOf(peer_id) === store_id && !this.mesh.disks.isDamaged(peer_id),
      );
      return members.length === 0 || intact.length >= majority(members.length);
    });
  }
}
