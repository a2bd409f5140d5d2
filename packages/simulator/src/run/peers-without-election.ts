/** Peers that an operator keeps from running, or without which nobody can be elected. */
import { actorKinds, type PeerId } from '@conclave/protocol';
import type { RunRecord } from '../invariants/record/run-record.js';
import type { CoreMesh } from '../mesh/core-mesh.js';

/** Whether another peer was reset and this one has the abandoned history: it is refused until its data are discarded. */
export function isOfLeftHistory(mesh: CoreMesh, record: RunRecord, peerId: PeerId): boolean {
  // Of the disk: a log-store that has just started knows nothing yet.
  const historyOf = (one: PeerId): string => record.stored.ofPeer(one)?.meta.group_uid ?? '';
  const own = historyOf(peerId);
  return mesh.peers.some((one) => own !== '' && record.resets.get(historyOf(one)) === own);
}

/**
 * Whether an operator does not start this peer: it has an abandoned history, of which another peer runs already. Together they could
 * elect a leader, and there would be two groups (docs/operations.md, "The quorum is gone for good").
 */
export function isHeldBack(mesh: CoreMesh, record: RunRecord, peerId: PeerId): boolean {
  const isLeft = (one: PeerId): boolean => isOfLeftHistory(mesh, record, one);
  const runs = (one: PeerId): boolean => actorKinds.some((kind) => mesh.isUp(one, kind));
  return isLeft(peerId) && mesh.peers.some((one) => one !== peerId && runs(one) && isLeft(one));
}

/**
 * Whether only a peer in quarantine has the last entries, as its state differs: it does not campaign, and no other peer gets its
 * vote. An operator has to decide then whether the group continues with its state or without these entries.
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
