/**
 * Whether entries can be committed, as far as a leader knows which members take entries. It keeps nothing.
 *
 * A leader transfers leadership only to a peer that can commit there: else no entry of the new term is committed, and the group
 * neither writes nor, after another election, reads.
 */
import { hasQuorum, type Member, type PeerId } from '@conclave/protocol';
import type { Leadership } from './leadership.js';
import type { NodeState } from './state.js';

interface Parts {
  readonly state: NodeState;
  readonly leadership: Leadership;
}

/** Whether this member stores entries now: it is reachable, with the store of the configuration, and not read-only. */
function storesEntries({ peer_id, store_id }: Member, { state, leadership }: Parts): boolean {
  if (peer_id === state.peerId) return store_id === state.storeId && state.readOnlyReason === '';
  const unfitness = leadership.unfitness(peer_id);
  const isFit = unfitness === undefined || unfitness === 'lacks_actor';
  return isFit && leadership.progress(peer_id)?.store_id === store_id;
}

/**
 * Whether this peer could commit entries as the leader: it stores entries itself, and so does a quorum of each set of the
 * configuration.
 */
export function canCommitAsLeader(peerId: PeerId, parts: Parts): boolean {
  const configuration = parts.state.log.configuration?.configuration;
  if (configuration === undefined || parts.leadership.unfitness(peerId) !== undefined) return false;
  return hasQuorum(configuration, (member) => storesEntries(member, parts));
}
