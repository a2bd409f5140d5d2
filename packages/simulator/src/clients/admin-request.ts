/** The admin request of a command of a script. */
import type { AdminCommand, PeerId } from '@conclave/protocol';
import type { OperatorCommand } from '../language/command.js';

export interface OperatorRequest {
  readonly name: AdminCommand;
  readonly body: Readonly<Record<string, unknown>>;
  /** The peer that it is addressed to; undefined: the leader. */
  readonly peerId?: PeerId | undefined;
}

export function adminRequestOf(command: OperatorCommand): OperatorRequest {
  const timeout = 'timeout' in command && command.timeout !== undefined ? { timeout_ms: command.timeout } : {};
  switch (command.type) {
    case 'reset':
      return { name: 'reset_peer', body: { new_peers: command.peers }, peerId: command.at as PeerId };
    case 'bootstrap': {
      const isNew = command.isNew === true ? { new: true } : {};
      return { name: 'bootstrap', body: { peers: command.peers, ...timeout, ...isNew }, peerId: command.at as PeerId };
    }
    case 'change':
      return { name: 'change_peers', body: { new_peers: command.peers, ...timeout } };
    case 'add':
      return { name: 'add_peer', body: { peer_id: command.peer, ...timeout } };
    case 'remove':
      return { name: 'remove_peer', body: { peer_id: command.peer, ...timeout } };
    case 'cancel':
      return { name: 'cancel_change', body: {} };
    case 'raise':
      return { name: 'upgrade', body: { raise: true } };
    case 'read-only':
      return { name: 'read_only', body: { read_only: command.on }, peerId: command.peer as PeerId };
    case 'snapshot':
      return { name: 'snapshot', body: {}, peerId: command.peer as PeerId };
    case 'transfer':
      return { name: 'transfer_leader', body: command.peer === undefined ? {} : { peer_id: command.peer } };
  }
}
