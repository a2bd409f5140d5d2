/**
 * What every node does that does not lead: appends, votes, and whether it is a member.
 * This file lists what other folders may import.
 */
export { AppendEntriesHandler } from './append-entries.js';
export { Election } from './election.js';
export { FeedSubscription } from './feed-subscription.js';
export { Identity } from './identity.js';
export { LeaderProbe } from './leader-probe.js';
export { NonMember } from './non-member.js';
export { RemovedPeer } from './removed-peer.js';
export { StoreBinding } from './store-binding.js';
