/** Peers that an operator keeps from running, or without which nobody can be elected. */
import { actorKinds, type PeerId } from '@conclave/protocol';
import type { RunRecord } from '../invariants/record/run-record.js';
import type { CoreMesh } from '../mesh/core-mesh.js';

/** Whether another peer was reset, and this one has the abandoned history: it is rejected until its data are discarded. */
export function hasAbandonedHistory(mesh: CoreMesh, record: RunRecord, peerId: PeerId): boolean {
  // Read from the disk, because a log-store that has just started knows nothing yet.
  const historyOf = (one: PeerId): string => record.stored.ofPeer(one)?.meta.group_uid ?? '';
  const own = historyOf(peerId);
  return mesh.peers.some((one) => own !== '' && record.resets.get(historyOf(one)) === own);
}

/**
 * Whether an operator would not start this peer: it has an abandoned history, and another peer with the same history runs. Together
 * they could elect a leader, and there would be two groups (docs/operations.md, "The quorum is gone for good").
 */
export function isHeldBack(mesh: CoreMesh, record: RunRecord, peerId: PeerId): boolean {
  const isAbandoned = (one: PeerId): boolean => hasAbandonedHistory(mesh, record, one);
  const isUp = (one: PeerId): boolean => actorKinds.some((kind) => mesh.isUp(one, kind));
  return isAbandoned(peerId) && mesh.peers.some((one) => one !== peerId && isUp(one) && isAbandoned(one));
}

/**
 * Whether only a peer in quarantine has the last entries. Because its state differs from the majority's, it does not campaign; because
 * its log is longer, it grants no other peer its vote. An operator has to decide then whether the group continues with its state or
 * without these entries.
 */
export function needsPeerInQuarantine(mesh: CoreMesh): boolean {
  const states = mesh.peers.map((peerId) => mesh.logStore(peerId).durableState);
  const endOf = ({ termRuns, base, lastIndex }: (typeof states)[number]): readonly [number, number] => {
    return [termRuns.at(-1)?.term ?? base.term, lastIndex];
  };
  return states.some((state) => {
    const [term, index] = endOf(state);
    const isBehind = (other: (typeof states)[number]): boolean => {
      const [otherTerm, otherIndex] = endOf(other);
      return otherTerm < term || (otherTerm === term && otherIndex < index);
    };
    return state.divergedAt > 0 && states.every((other) => other.divergedAt > 0 || isBehind(other));
  });
}
