/** Election timeouts of a run: all processes have the same, but for those of one peer in some runs. */
import { defaultTimes, type PeerId } from '@conclave/protocol';

const slowerElectionTimeoutMs = 1.5 * defaultTimes.electionTimeoutMs;

/** The election timeout of a peer's processes. */
export function electionTimeoutOf(peerId: PeerId, slowerPeer: PeerId | undefined): number {
  return peerId === slowerPeer ? slowerElectionTimeoutMs : defaultTimes.electionTimeoutMs;
}
