/**
 * Finds the hosts of the group over the virtual network, as `HostDiscovery` does over NATS: each node and log-store
 * that receives the request replies, also a fenced or an opening node, and replies that arrive in time count.
 */
import type { LogStoreCore } from '@conclave/log-store';
import type { GroupHost } from '@conclave/node';
import type { PeerId } from '@conclave/protocol';
import type { Actor, ProcessKind } from './actor.js';
import type { ActorHost } from './actor-host.js';

/** How long it waits for replies. */
const replyMs = 300;

/** What a discovery needs of the mesh. */
export interface DiscoveryHost extends ActorHost {
  readonly peers: readonly PeerId[];
  actor(peerId: PeerId, processKind: ProcessKind): Actor | undefined;
  logStore(peerId: PeerId): LogStoreCore;
}

/** @param onFound called once, when the time is over; null: there is no connection to NATS */
export function discoverHosts(mesh: DiscoveryHost, asker: Actor, onFound: (hosts: GroupHost[] | null) => void): void {
  const found = new Map<PeerId, GroupHost>();
  const onReply = (actor: Actor, store: GroupHost['store']): void => {
    const { peerId, kind } = actor;
    const before = found.get(peerId);
    found.set(peerId, {
      peer_id: peerId,
      has_node: before?.has_node === true || kind === 'node',
      store: store ?? before?.store ?? null,
    });
  };
  for (const peerId of mesh.peers) {
    for (const processKind of ['node', 'duplicate-node', 'log-store'] as const) {
      const actor = mesh.actor(peerId, processKind);
      if (actor?.isUp !== true) continue;
      mesh.network.sendOnce<Actor>(asker, actor.name, (to) => {
        mesh.runOrDefer(to, () => {
          const store = to.kind === 'log-store' ? storeOf(mesh, peerId) : null;
          mesh.network.sendOnce<Actor>(to, asker.name, () => onReply(to, store));
        });
      });
    }
  }
  const isConnected = asker.connection.server !== undefined;
  mesh.after(replyMs, () => onFound(isConnected ? [...found.values()] : null));
}

function storeOf(mesh: DiscoveryHost, peerId: PeerId): GroupHost['store'] {
  const { storeId, groupUid, lastIndex } = mesh.logStore(peerId).durableState;
  // The store is being loaded, or cannot be loaded.
  if (storeId === '') return null;
  return { group_uid: groupUid, last_index: lastIndex };
}
