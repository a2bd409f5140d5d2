/**
 * What a leader owns: its replication targets, its lease, its proposals, and the transfer of its leadership.
 * This file lists what other folders may import.
 */
export { LeaderState } from './leader-state.js';
export { LeadershipTransfer } from './leadership-transfer.js';
export { OtherHistory } from './other-history.js';
export { appendsInFlight, Proposals } from './proposals.js';
export { reachOf } from './quorum-reachability.js';
