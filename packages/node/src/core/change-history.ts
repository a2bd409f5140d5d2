/** What became of changes, read from the configurations in the log: what a new leader can tell as well. */
import {
  type Change,
  ConclaveError,
  type ConfigurationEntry,
  isJoint,
  type LogIndex,
  type PeerId,
  peerIds,
  samePeers,
  type Term,
} from '@conclave/protocol';

/** The changes that these configurations, in order of index, are the traces of. */
export function changesInLog(
  configurations: readonly ConfigurationEntry[],
  commitIndex: LogIndex,
  termAt: (index: LogIndex) => Term,
): Change[] {
  const changes: Change[] = [];
  let inForce: PeerId[] | undefined;
  let joint: Change | undefined;
  for (const { index, configuration } of configurations) {
    const peers = peerIds(configuration.peers);
    const committed = index <= commitIndex;
    const trace = { term: termAt(index), index };
    if (isJoint(configuration)) {
      const old_peers = peerIds(configuration.old_peers);
      if (joint !== undefined) changes.pop();
      joint = { kind: 'change', old_peers, new_peers: peers, state: 'going_on', stage: 'joint', ...trace };
      changes.push(joint);
      continue;
    }
    const old = joint?.old_peers ?? inForce;
    const asked = joint?.new_peers ?? peers;
    if (old !== undefined && (joint !== undefined || !samePeers(old, peers))) {
      if (joint !== undefined) changes.pop();
      const undone = joint !== undefined && !samePeers(peers, asked);
      changes.push({
        kind: 'change',
        old_peers: old,
        new_peers: asked,
        state: committed ? (undone ? 'undone' : 'done') : 'going_on',
        stage: 'stable',
        ...trace,
        ...(undone ? { error: new ConclaveError('ECANCELED', 'the change was cancelled').toBody() } : {}),
      });
    }
    joint = undefined;
    inForce = peers;
  }
  return changes;
}
