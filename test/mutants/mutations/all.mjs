import { clients } from './clients.mjs';
import { configuration } from './configuration.mjs';
import { earlyVotes } from './early-votes.mjs';
import { elections } from './elections.mjs';
import { handOvers } from './hand-overs.mjs';
import { histories } from './histories.mjs';
import { identity } from './identity.mjs';
import { leases } from './leases.mjs';
import { levels } from './levels.mjs';
import { log } from './log.mjs';
import { logins } from './logins.mjs';
import { quorums } from './quorums.mjs';
import { reads } from './reads.mjs';
import { replication } from './replication.mjs';
import { sendersOfMessages } from './senders.mjs';
import { sessions } from './sessions.mjs';
import { ofSnapshots } from './snapshots.mjs';
import { trust } from './trust.mjs';

/** All mutations, by what they break. */
export const mutations = [
  ...elections,
  ...earlyVotes,
  ...log,
  ...quorums,
  ...sessions,
  ...configuration,
  ...histories,
  ...identity,
  ...leases,
  ...levels,
  ...replication,
  ...reads,
  ...clients,
  ...ofSnapshots,
  ...trust,
  ...handOvers,
  ...sendersOfMessages,
  ...logins,
];
