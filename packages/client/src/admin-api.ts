import type { AdminCommand, AdminReply } from '@conclave/protocol';
import { type Caller, type CallOptions, peerIdOf } from './kv-api.js';

export interface ChangeOptions extends CallOptions {
  /** Refuse (EPERM) unless this peer leads. */
  readonly leaderId?: string;
  /** How long new peers may take to catch up; the group's own deadline by default. */
  readonly catchupTimeoutMs?: number;
}

export interface BootstrapOptions extends ChangeOptions {
  /** Create the group even if peers that are not listed hold data of an earlier group of this name without a leader. */
  readonly new?: boolean;
}

/**
 * The commands of a group's operator. Each resolves with its reply, or rejects with a `ConclaveError`: the group's own, unchanged (a
 * change in progress is EBUSY at once), or ETIMEDOUT or EUNREACHABLE of the client. While the group has no leader, a command waits
 * for one as long as other calls do.
 */
export class AdminApi {
  constructor(private readonly call: Caller) {}

  /** Adds a peer; resolves when the new configuration is committed. */
  addPeer(peerId: string, options: ChangeOptions = {}): Promise<AdminReply<'add_peer'>> {
    return this.request('add_peer', { peer_id: peerId, ...wireOptions(options) }, options);
  }

  /** Removes a peer; resolves when the new configuration is committed. */
  removePeer(peerId: string, options: ChangeOptions = {}): Promise<AdminReply<'remove_peer'>> {
    return this.request('remove_peer', { peer_id: peerId, ...wireOptions(options) }, options);
  }

  /** Changes to this set of peers; resolves when the new configuration is committed. */
  changePeers(newPeers: readonly string[], options: ChangeOptions = {}): Promise<AdminReply<'change_peers'>> {
    return this.request('change_peers', { new_peers: newPeers, ...wireOptions(options) }, options);
  }

  cancelChange(options: CallOptions = {}): Promise<AdminReply<'cancel_change'>> {
    return this.request('cancel_change', {}, options);
  }

  /** Transfers the leadership to a peer; to the most up-to-date one by default. */
  transferLeader(peerId?: string, options: CallOptions = {}): Promise<AdminReply<'transfer_leader'>> {
    return this.request('transfer_leader', peerId === undefined ? {} : { peer_id: peerId }, options);
  }

  /** The status of the group from its leader, or of one peer. */
  status(options: CallOptions & { readonly peerId?: string } = {}): Promise<AdminReply<'status'>> {
    return this.request('status', {}, options);
  }

  /** Compares the states of all members now, by their digests. */
  check(options: CallOptions = {}): Promise<AdminReply<'check'>> {
    return this.request('check', {}, options);
  }

  /** Creates the group with these peers, by this peer; if the group exists, returns the existing one. */
  bootstrap(
    peerId: string,
    peers: readonly string[],
    options: BootstrapOptions = {},
  ): Promise<AdminReply<'bootstrap'>> {
    const { new: isNew, ...others } = options;
    const body = { peers, ...wireOptions(others), ...(isNew === undefined ? {} : { new: isNew }) };
    return this.request('bootstrap', body, { ...others, peerId });
  }

  /**
   * For a permanently lost quorum: this peer continues with these members alone; each surviving one of `new_peers` needs the same
   * call. Data that only the other peers held is lost.
   */
  resetPeer(peerId: string, newPeers: readonly string[], options: CallOptions = {}): Promise<AdminReply<'reset_peer'>> {
    return this.request('reset_peer', { new_peers: newPeers }, { ...options, peerId });
  }

  /** Makes this peer read-only, or ends that. */
  readOnly(peerId: string, readOnly: boolean, options: CallOptions = {}): Promise<AdminReply<'read_only'>> {
    return this.request('read_only', { read_only: readOnly }, { ...options, peerId });
  }

  /** The leader according to this peer; empty: none. */
  getLeader(peerId: string, options: CallOptions = {}): Promise<AdminReply<'get_leader'>> {
    return this.request('get_leader', {}, { ...options, peerId });
  }

  /** Any command, by its schema. `peerId`: sends it to this peer's node instead of the leader. */
  async request<C extends AdminCommand>(
    command: C,
    body: Readonly<Record<string, unknown>>,
    options: CallOptions & { readonly peerId?: string } = {},
  ): Promise<AdminReply<C>> {
    const peerId = peerIdOf(options.peerId);
    return (await this.call({ operation: 'admin', command, body, peerId }, options.timeoutMs)) as AdminReply<C>;
  }
}

function wireOptions({ leaderId, catchupTimeoutMs }: ChangeOptions): Record<string, unknown> {
  return {
    ...(leaderId === undefined ? {} : { leader_id: leaderId }),
    ...(catchupTimeoutMs === undefined ? {} : { timeout_ms: catchupTimeoutMs }),
  };
}
